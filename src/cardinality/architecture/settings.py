"""A setting ``32x4d`` (cardinality C and width d) and the architecture that it is put into."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from cardinality.common.errors import UserError
from cardinality.common.values import of_kind, whole

Stem = Literal["imagenet", "cifar", "cifar-stride2"]
STEMS: tuple[Stem, ...] = get_args(Stem)
Block = Literal["original", "preactivation", "basic"]
BLOCKS: tuple[Block, ...] = get_args(Block)
# He et al. (2016), arXiv 1512.03385, Section 3.3 and Table 3.
Shortcut = Literal["A", "B", "C"]
SHORTCUTS: tuple[Shortcut, ...] = get_args(Shortcut)

# A depth in an ablation is a role; every protocol says which depth plays it at its scale.
Role = Literal["base", "deep", "double", "residual"]

# Blocks in each stage by depth: the paper's Table 1 and Section 5.1, and ResNet-152 and -200 of
# He et al. (2016); the authors' models/resnext.lua has the same table. 26 is timm's resnet26, for
# scales that cannot afford 50.
IMAGENET_BLOCKS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        26: (2, 2, 2, 2),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
        200: (3, 24, 36, 3),
    }
)

# The same of blocks of two 3x3 convolutions: Table 1 of He et al. (2016), arXiv 1512.03385.
BASIC_BLOCKS: Mapping[int, tuple[int, ...]] = MappingProxyType({18: (2, 2, 2, 2), 34: (3, 4, 6, 3)})

# Every width of the paper's templates is stated for a stem of 64 channels (Table 1).
PAPER_BASE = 64
# No net here is deeper: a bound, so that a mistyped depth does not count for ever.
DEEPEST = 10_000
# Conv2 to conv5; nets for CIFAR have three.
STAGES = 4
# A bottleneck block puts out four times the stage's plain width (Table 1: 64 -> 256).
EXPANSION = 4


@dataclass(frozen=True, order=True)
class Setting:
    """Cardinality C and bottleneck width d of one path, as in the paper's ``C x d d``.

    ``width`` is always d at base 64 and in the first stage (Table 2), whatever the base of the
    architecture that uses the setting.
    """

    cardinality: int
    width: int

    def __post_init__(self) -> None:
        _become_whole(self, ("cardinality", "width"))
        if self.cardinality < 1 or self.width < 1:
            raise UserError(f"setting {self}: cardinality and width must be at least 1, like 32x4d")

    def __str__(self) -> str:
        return f"{self.cardinality}x{self.width}d"

    @classmethod
    def parse(cls, text: str) -> "Setting":
        """Read ``CxdD`` such as ``32x4d``: 32 paths of width 4 (never the other way round).

        Raises:
            UserError: the text is not of that form, or a number in it is zero.
        """
        read = isinstance(text, str)  # for those who are not held to types by a checker
        match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})d", text) if read else None
        if match is None:
            raise UserError(
                f"setting {text!r:.60}: expected CARDINALITYxWIDTHd, like 32x4d (32 paths of width"
                " 4), each of six digits at most"
            )
        return cls(int(match[1]), int(match[2]))

    def group_width(self, base: int = PAPER_BASE, stage: int = 0) -> int:
        """Channels of one group of the 3x3 convolution in a stage (counted from 0).

        It is d at base 64 in the first stage and doubles with every stage (Table 1).

        Raises:
            UserError: the base makes it fractional, or no net has such a stage.
        """
        base, stage = whole("base", base), whole("stage", stage, 0, STAGES - 1)
        scaled, remainder = divmod(self.width * base, PAPER_BASE)
        if remainder or scaled == 0:
            raise UserError(
                f"setting {self} at base {base}: its groups would be"
                f" {self.width * base / PAPER_BASE:g} channels wide; allowed: a base that makes"
                f" {self.width} x base / {PAPER_BASE} a whole number"
            )
        return scaled * 2**stage

    def conv_width(self, base: int = PAPER_BASE, stage: int = 0) -> int:
        """Channels of the whole grouped 3x3 convolution in a stage (counted from 0): C times d."""
        return self.cardinality * self.group_width(base, stage)


@dataclass(frozen=True)
class Architecture:
    """One net, completely: a setting put into the template of Table 1.

    Attributes:
        setting: cardinality and width.
        depth: 26, 50, 101, 152 or 200 with the ``imagenet`` stem, else 9n + 2; of ``basic`` blocks
            18 or 34, else 6n + 2.
        stem: ``imagenet`` (7x7 of stride 2, max pool; four stages), ``cifar`` (3x3; three
            stages) or ``cifar-stride2`` (the same with stride 2).
        classes: outputs of the fully connected layer.
        base: channels of the stem; every width of the template is in proportion to it.
        residual: False drops every shortcut, projections included.
        block: ``original`` (batch norm and ReLU after a convolution) or ``preactivation``
            (before it; `cardinality.nets.preactivation` says which nets of the paper are built so),
            or ``basic`` (two 3x3 convolutions in place of the three, as in ResNet-18 and -34).
        shortcut: what leads around a block (He et al. 2016, Section 3.3): ``A`` keeps the identity
            and pads new channels with zeros, ``B`` projects where the shape changes, ``C``
            everywhere.
        deep_stem: three 3x3 convolutions in place of the stem's one, the first with its stride
            (He et al. 2019, "Bag of Tricks", arXiv 1812.01187, ResNet-C).
        pooled_projection: a projection averages 2 x 2 pixels where it would have a stride
            (the same, ResNet-D).
        squeeze: each block's output is scaled channel by channel (Hu et al. 2018,
            "Squeeze-and-Excitation Networks", arXiv 1709.01507).

    Raises:
        UserError: a depth that the stem does not have, a base that makes a width fractional, or
            options that no net has together.
    """

    setting: Setting
    depth: int
    stem: Stem = "imagenet"
    classes: int = 1000
    base: int = PAPER_BASE
    residual: bool = True
    block: Block = "original"
    shortcut: Shortcut = "B"
    deep_stem: bool = False
    pooled_projection: bool = False
    squeeze: bool = False

    def __post_init__(self) -> None:
        of_kind("setting", self.setting, Setting, 'Setting.parse("32x4d")')
        _become_whole(self, ("depth",))
        _become_whole(self, ("classes", "base"), least=1)
        for name in ("residual", "deep_stem", "pooled_projection", "squeeze"):
            of_kind(name, getattr(self, name), bool, "True or False")
        for name, allowed in (("stem", STEMS), ("block", BLOCKS), ("shortcut", SHORTCUTS)):
            value = getattr(self, name)
            if value not in allowed:
                raise UserError(f"{name} {value!r:.60}: allowed are {', '.join(allowed)}")
        self._check_depth()
        self._check_options()
        self.setting.group_width(self.base)

    def _check_depth(self) -> None:
        if self.stem == "imagenet" and self.depth not in self._ladder:
            allowed = ", ".join(map(str, self._ladder))
            raise UserError(f"depth {self.depth} with the imagenet stem: allowed are {allowed}")
        step = self._layers_a_block * 3
        rungs = range(step + 2, DEEPEST, step)
        if self.stem != "imagenet" and self.depth not in rungs:
            first = ", ".join(map(str, rungs[:4]))
            raise UserError(
                f"depth {self.depth} with the {self.stem} stem: allowed are {step}n + 2"
                f" ({first}, ... {rungs[-1]})"
            )

    def _check_options(self) -> None:
        """Refuse what would be another net than it says, or the same one under two names."""
        if self.block == "basic" and self.setting.cardinality > 1:
            # The paper's Section 3.3: paths of two layers are one dense block.
            raise UserError(
                f"setting {self.setting} with the basic block: its paths are one wide block;"
                f" allowed: 1x{self.setting.cardinality * self.setting.width}d"
            )
        if not self.residual and self.shortcut != "B":
            raise UserError(f"shortcut {self.shortcut}: without shortcuts; allowed: none stated")
        if self.pooled_projection and not (self.residual and self.shortcut != "A"):
            raise UserError("pooled_projection: no projection here; allowed: with shortcut B or C")
        if self.block == "preactivation" and (
            self.shortcut != "B" or self.pooled_projection or self.squeeze
        ):
            raise UserError("block preactivation: allowed is shortcut B, without other options")
        if self.deep_stem and self.base % 2:
            raise UserError(
                f"deep_stem: half of base {self.base} is no whole number; allowed: even"
            )

    @property
    def _layers_a_block(self) -> int:
        return 2 if self.block == "basic" else 3

    @property
    def _ladder(self) -> Mapping[int, tuple[int, ...]]:
        return BASIC_BLOCKS if self.block == "basic" else IMAGENET_BLOCKS

    @property
    def expansion(self) -> int:
        """Output channels of a block as a multiple of the stage's plain width."""
        return 1 if self.block == "basic" else EXPANSION

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        if self.stem == "imagenet":
            return self._ladder[self.depth]
        return ((self.depth - 2) // (3 * self._layers_a_block),) * 3

    @property
    def conv_widths(self) -> tuple[int, ...]:
        """Width of the (first) 3x3 convolution of a block in each stage."""
        return tuple(self.setting.conv_width(self.base, i) for i in range(len(self.blocks)))

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Output channels of each stage: 4 x base (1 x of basic blocks), doubling; they do not
        depend on the setting.
        """
        return tuple(self.expansion * self.base * 2**i for i in range(len(self.blocks)))

    @property
    def stem_channels(self) -> tuple[int, ...]:
        """Output channels of each of the stem's convolutions."""
        return (self.base // 2, self.base // 2, self.base) if self.deep_stem else (self.base,)

    @property
    def squeezed(self) -> tuple[int, ...]:
        """Channels between the two layers of squeeze and excitation in each stage, if it has it."""
        return tuple(squeezed(out) for out in self.out_channels)

    @property
    def variant(self) -> str:
        """In what it is none of the paper's nets, in words; empty for theirs."""
        return variant(
            self.block, self.shortcut, self.deep_stem, self.pooled_projection, self.squeeze
        )

    @property
    def image_size(self) -> int:
        """Side of the images that the paper feeds to nets with this stem, in pixels."""
        return 224 if self.stem == "imagenet" else 32


def _become_whole(
    made: Setting | Architecture, names: tuple[str, ...], least: int | None = None
) -> None:
    """Whole numbers of other libraries, as of a data frame, become Python's."""
    for name in names:
        object.__setattr__(made, name, whole(name, getattr(made, name), least))  # frozen


def variant(
    block: Block | None, shortcut: Shortcut, deep_stem: bool, pooled_projection: bool, squeeze: bool
) -> str:
    """What of a net the ResNeXt paper does not have, in words: ``basic, shortcut A``.

    Pre-activation is not among it: a protocol says which of the paper's nets are built so.
    """
    parts = {
        "basic": block == "basic",
        f"shortcut {shortcut}": shortcut != "B",
        "deep stem": deep_stem,
        "pooled projection": pooled_projection,
        "squeeze": squeeze,
    }
    return ", ".join(words for words, stands in parts.items() if stands)


def projects(shortcut: Shortcut, inputs: int, outputs: int, stride: int) -> bool:
    """Whether a shortcut of that type is a projection around such a block."""
    changes = stride != 1 or inputs != outputs
    return shortcut == "C" or (shortcut == "B" and changes)


def squeezed(channels: int) -> int:
    """To how many channels squeeze and excitation narrows: a sixteenth (Hu et al., Section 6.4)."""
    return max(1, channels // 16)
