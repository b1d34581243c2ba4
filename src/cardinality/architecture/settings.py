"""A setting ``32x4d`` (cardinality C and width d) and the architecture that it is put into."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from cardinality.common.errors import UserError

Stem = Literal["imagenet", "cifar", "cifar-stride2"]
STEMS: tuple[Stem, ...] = get_args(Stem)
Block = Literal["original", "preactivation"]
BLOCKS: tuple[Block, ...] = get_args(Block)

# A depth in an ablation is a role; every protocol says which depth plays it at its scale.
Role = Literal["base", "deep", "double", "residual"]

# Blocks in each stage by depth: the paper's Table 1 and Section 5.1, and ResNet-152 and -200 of
# He et al. (2016); the authors' models/resnext.lua has the same table.
IMAGENET_BLOCKS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
)

# Every width of the paper's templates is stated for a stem of 64 channels (Table 1).
PAPER_BASE = 64
# No net here is deeper: a bound, so that a mistyped depth does not count for ever.
DEEPEST = 10_000
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
        match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})d", text)
        if match is None:
            raise UserError(
                f"setting {text!r}: expected CARDINALITYxWIDTHd, like 32x4d (32 paths of width 4)"
            )
        return cls(int(match[1]), int(match[2]))

    def group_width(self, base: int = PAPER_BASE, stage: int = 0) -> int:
        """Channels of one group of the 3x3 convolution in a stage (counted from 0).

        It is d at base 64 in the first stage and doubles with every stage (Table 1).

        Raises:
            UserError: the base makes it fractional.
        """
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
        depth: 50, 101, 152 or 200 with the ``imagenet`` stem, else 9n + 2.
        stem: ``imagenet`` (7x7 of stride 2, max pool; four stages), ``cifar`` (3x3; three
            stages) or ``cifar-stride2`` (the same with stride 2).
        classes: outputs of the fully connected layer.
        base: channels of the stem; every width of the template is in proportion to it.
        residual: False drops every shortcut, projections included.
        block: ``original`` (batch norm and ReLU after a convolution) or ``preactivation``
            (before it; `cardinality.nets.preactivation` says which nets of the paper are built so).

    Raises:
        UserError: a depth that the stem does not have, or a base that makes a width fractional.
    """

    setting: Setting
    depth: int
    stem: Stem = "imagenet"
    classes: int = 1000
    base: int = PAPER_BASE
    residual: bool = True
    block: Block = "original"

    def __post_init__(self) -> None:
        if self.stem not in STEMS:
            raise UserError(f"stem {self.stem!r}: allowed are {', '.join(STEMS)}")
        if self.block not in BLOCKS:
            raise UserError(f"block {self.block!r}: allowed are {', '.join(BLOCKS)}")
        if self.classes < 1:
            raise UserError(f"classes {self.classes}: at least 1")
        if self.base < 1:
            raise UserError(f"base {self.base}: at least 1")
        if self.stem == "imagenet" and self.depth not in IMAGENET_BLOCKS:
            allowed = ", ".join(map(str, IMAGENET_BLOCKS))
            raise UserError(f"depth {self.depth} with the imagenet stem: allowed are {allowed}")
        ladder = range(11, DEEPEST, 9)
        if self.stem != "imagenet" and self.depth not in ladder:
            raise UserError(
                f"depth {self.depth} with the {self.stem} stem: allowed are 9n + 2"
                f" (11, 20, 29, 38, ... {ladder[-1]})"
            )
        self.setting.group_width(self.base)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Bottleneck blocks in each stage."""
        if self.stem == "imagenet":
            return IMAGENET_BLOCKS[self.depth]
        return ((self.depth - 2) // 9,) * 3

    @property
    def conv_widths(self) -> tuple[int, ...]:
        """Width of the grouped 3x3 convolution in each stage."""
        return tuple(self.setting.conv_width(self.base, i) for i in range(len(self.blocks)))

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Output channels of each stage: 4 x base, doubling; they do not depend on the setting."""
        return tuple(EXPANSION * self.base * 2**i for i in range(len(self.blocks)))

    @property
    def image_size(self) -> int:
        """Side of the images that the paper feeds to nets with this stem, in pixels."""
        return 224 if self.stem == "imagenet" else 32
