"""Nets in words, and by the names that torchvision and timm have for them."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypedDict, Unpack

from cardinality.architecture.settings import Architecture, Block, Setting, Shortcut, Stem
from cardinality.common.errors import UserError


def net_in_words(
    setting: Setting | str, at: str = "", residual: bool = True, variant: str = ""
) -> str:
    """A net as pages and messages name it; ``net_in_words(*cell)`` names a compared cell.

    Args:
        setting: such as 32x4d.
        at: its depth or the role of that, where a reader has to be told.
        residual: whether it has shortcuts.
        variant: in what it is none of the paper's (`Architecture.variant`).
    """
    return ", ".join(
        part for part in (str(setting), at, variant, "" if residual else "no shortcuts") if part
    )


class Options(TypedDict, total=False):
    """What a net's blocks and its stem may have; see `Architecture`."""

    residual: bool
    block: Block
    shortcut: Shortcut
    deep_stem: bool
    pooled_projection: bool
    squeeze: bool


class AllOptions(Options, total=False):
    """What of a net may be stated besides setting and depth; see `Architecture`."""

    stem: Stem
    classes: int
    base: int


def _net(setting: str, depth: int, **options: Unpack[Options]) -> Architecture:
    return Architecture(Setting.parse(setting), depth, **options)


# ResNet-D of "Bag of Tricks" is timm's: deep stem and pooled projections. ResNet-200 is its
# original form there (the ResNeXt paper's is pre-activation).
NETS: Mapping[str, Architecture] = MappingProxyType(
    {
        "resnet18": _net("1x64d", 18, block="basic"),
        "resnet34": _net("1x64d", 34, block="basic"),
        "resnet26": _net("1x64d", 26),
        "resnet50": _net("1x64d", 50),
        "resnet101": _net("1x64d", 101),
        "resnet152": _net("1x64d", 152),
        "resnet200": _net("1x64d", 200),
        "resnext50_32x4d": _net("32x4d", 50),
        "resnext101_32x4d": _net("32x4d", 101),
        "resnext101_32x8d": _net("32x8d", 101),
        "resnext101_32x16d": _net("32x16d", 101),
        "resnext101_32x32d": _net("32x32d", 101),
        "resnext101_64x4d": _net("64x4d", 101),
        "wide_resnet50_2": _net("1x128d", 50),
        "wide_resnet101_2": _net("1x128d", 101),
        "resnet50d": _net("1x64d", 50, deep_stem=True, pooled_projection=True),
        "resnext50d_32x4d": _net("32x4d", 50, deep_stem=True, pooled_projection=True),
        "seresnet50": _net("1x64d", 50, squeeze=True),
        "seresnext50_32x4d": _net("32x4d", 50, squeeze=True),
    }
)


def describe(
    net: str | Setting, depth: int | None = None, **options: Unpack[AllOptions]
) -> Architecture:
    """A net by its name, or by its setting and depth.

    Args:
        net: ``resnext50_32x4d``, or a setting, as ``32x4d`` or parsed.
        depth: in layers; a name has its own.
        options: what differs from `Architecture`'s defaults, or from the net of that name.

    Raises:
        UserError: no such net, with what is allowed.
    """
    if isinstance(net, str) and net in NETS:
        setting_and_depth(net, depth)
        return replace(NETS[net], **options)
    return Architecture(*setting_and_depth(net, depth), **options)


def setting_and_depth(net: str | Setting, depth: int | None = None) -> tuple[Setting, int]:
    """The setting and the depth of a net by its name, or as they are stated.

    Raises:
        UserError: no such name, or no depth beside a setting, or another one beside a name.
    """
    if isinstance(net, str) and net in NETS:
        if depth not in (None, NETS[net].depth):
            raise UserError(f"depth {depth}: {net} has {NETS[net].depth}; allowed: none beside it")
        return NETS[net].setting, NETS[net].depth
    if not isinstance(net, str | Setting) or (isinstance(net, str) and net[:1].isalpha()):
        what = "no such name" if isinstance(net, str) else "no name and no setting"
        names = ", ".join(NETS)
        raise UserError(f"net {net!r:.60}: {what}; allowed: a setting like 32x4d, or {names}")
    setting = Setting.parse(net) if isinstance(net, str) else net
    if depth is None:
        raise UserError(f"depth: is missing beside the setting {setting}; allowed: one such as 50")
    return setting, depth
