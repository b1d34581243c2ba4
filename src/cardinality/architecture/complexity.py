"""Eq. (4), its solver, and the cost of a whole net: plain arithmetic, no torch.

Conventions, the same in every table of the suite:

- **parameters**: all of them; convolutions have no bias, batch norm has two per channel, the
  fully connected layer has its bias; a batch norm is counted with the convolution whose output
  it takes, also where pre-activation puts it at the start of the next block;
- **MACs** (the paper's "FLOPs", multiply-adds): convolutions and the fully connected layer, bias
  not counted, one image, one forward pass;
- **activations**: output elements of those same layers, not of pooling, batch norm or ReLU.
"""

import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from cardinality.architecture.settings import (
    EXPANSION,
    PAPER_BASE,
    Architecture,
    Setting,
    projects,
)
from cardinality.common.errors import UserError
from cardinality.common.values import of_kind, positive, whole


def block_parameters(setting: Setting, base: int = PAPER_BASE) -> int:
    """Eq. (4): weights of one block of the first stage, ``C (256 d + 9 d^2 + 256 d)`` at base 64.

    Args:
        setting: cardinality C and width d.
        base: channels of the stem; the block takes and gives ``4 x base`` channels.
    """
    channels, width = EXPANSION * base, setting.group_width(base)
    return setting.cardinality * (channels * width + 3 * 3 * width * width + width * channels)


def deviation(setting: Setting, budget: float) -> float:
    """How far a setting's Eq. (4) count lies from a budget, as a fraction (0.0074 is +0.74 %)."""
    return block_parameters(setting) / budget - 1


@dataclass(frozen=True)
class Solution:
    """The width that a cardinality needs for a budget.

    Attributes:
        setting: the whole-numbered setting nearest to the budget.
        exact_width: the real-valued d that meets the budget exactly.
        budget: the parameters asked for, of one block at base 64.
        deviation: what rounding leaves, as a fraction of the budget.
    """

    setting: Setting
    exact_width: float
    budget: int
    deviation: float


def solve(cardinality: int, budget: Setting, times: float = 1, base: int = PAPER_BASE) -> Solution:
    """Solve Eq. (4) for d: the width that gives C paths the parameters of another setting.

    Eq. (4) scales with the square of the base, so d and its deviation are the same at every base;
    the base only restricts d to widths that it leaves whole.

    Args:
        cardinality: C.
        budget: the setting whose block is to be matched (1x64d in Table 2).
        times: multiple of that block's parameters (2 in Table 4).
        base: channels of the stem.

    Returns:
        The setting, the exact d before it is rounded, and how far off rounding is.

    Raises:
        UserError: a cardinality, multiple or base that is not positive, or a budget of less than
            a parameter or of more than 1e15.
    """
    cardinality, base = whole("cardinality", cardinality, 1), whole("base", base, 1)
    budget = of_kind("budget", budget, Setting, 'Setting.parse("1x64d")')
    target = block_parameters(budget) * positive("times", times)
    if not 1 <= target <= 1e15:
        raise UserError(f"budget of {target:.1e} parameters a block: allowed are 1 to 1e15")
    # C (9 d^2 + 512 d) = target, solved for the positive root.
    linear = 2 * EXPANSION * PAPER_BASE
    exact = (math.sqrt(linear**2 + 4 * 9 * target / cardinality) - linear) / (2 * 9)
    step = PAPER_BASE // math.gcd(PAPER_BASE, base)
    below = max(step, math.floor(exact / step) * step)
    candidates = (Setting(cardinality, below), Setting(cardinality, below + step))
    nearest = min(candidates, key=lambda candidate: abs(deviation(candidate, target)))
    return Solution(nearest, exact, round(target), deviation(nearest, target))


@dataclass(frozen=True)
class Layer:
    """One convolution with the batch norm after it, or a fully connected layer (``side`` 1).

    Attributes:
        name: as in the built net's ``named_modules``.
        stage: Table 1's name, conv1 to conv5, or fc.
        kernel, stride: of the convolution; padding is half the kernel.
        side: side of the output map, in pixels.
        per_channel: parameters of each output channel besides its weights: 2 of a batch norm,
            1 of a bias, 0 of a convolution that nothing normalises.
    """

    name: str
    stage: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int
    side: int
    per_channel: int = 2

    @property
    def weights(self) -> int:
        """Elements of the weight tensor."""
        return self.kernel**2 * self.in_channels // self.groups * self.out_channels

    @property
    def params(self) -> int:
        """Weights, and batch norm's scale and shift or the fully connected layer's bias."""
        return self.weights + self.out_channels * self.per_channel

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""
        return self.weights * self.activations // self.out_channels

    @property
    def activations(self) -> int:
        """Output elements of one image."""
        return self.out_channels * self.side**2


def strided(side: int, kernel: int, stride: int) -> int:
    """Side of the output map of a convolution or pooling padded by half its kernel."""
    return (side + 2 * (kernel // 2) - kernel) // stride + 1


def layers(net: Architecture, image_size: int | None = None) -> Iterator[Layer]:
    """Every counted layer of a net in forward order.

    Args:
        net: the architecture.
        image_size: side of the input; by default the paper's for that stem (224 or 32).

    Raises:
        UserError: an image without pixels.
    """
    net, side = _asked(net, image_size)
    side = yield from _stem(net, side)
    channels = net.base
    for i, (blocks, out) in enumerate(zip(net.blocks, net.out_channels, strict=True)):
        for j in range(blocks):
            # The 3x3 of a stage's first block has the stride, but for the first stage.
            stride = 2 if i > 0 and j == 0 else 1
            side = yield from _block(net, i, f"layer{i + 1}.{j}", channels, stride, side)
            channels = out
    yield Layer("fc", "fc", channels, net.classes, 1, 1, 1, 1, per_channel=1)


def _asked(net: Architecture, image_size: int | None) -> tuple[Architecture, int]:
    """What is to be counted, and the side of its input."""
    net = of_kind("net", net, Architecture, 'Architecture(Setting.parse("32x4d"), depth=50)')
    return net, net.image_size if image_size is None else whole("image size", image_size, 1)


def _stem(net: Architecture, side: int) -> Generator[Layer, None, int]:
    """The stem's layers; gives the side of its maps after pooling."""
    kernel = 7 if net.stem == "imagenet" and not net.deep_stem else 3
    stride = 1 if net.stem == "cifar" else 2
    channels = 3
    for place, outputs in enumerate(net.stem_channels):
        # In a deep stem batch norm and ReLU stand between the convolutions.
        name = f"conv1.{3 * place}" if net.deep_stem else "conv1"
        side = strided(side, kernel, stride)
        yield Layer(name, "conv1", channels, outputs, kernel, stride, 1, side)
        channels, stride = outputs, 1
    return strided(side, 3, 2) if net.stem == "imagenet" else side


def _block(
    net: Architecture, index: int, name: str, channels: int, stride: int, side: int
) -> Generator[Layer, None, int]:
    """The layers of one block of a stage (counted from 0); gives the side of its maps."""
    stage, out, width = f"conv{index + 2}", net.out_channels[index], net.conv_widths[index]
    out_side = strided(side, 3, stride)
    if net.block == "basic":
        yield Layer(f"{name}.conv1", stage, channels, width, 3, stride, 1, out_side)
        yield Layer(f"{name}.conv2", stage, width, out, 3, 1, 1, out_side)
    else:
        groups = net.setting.cardinality
        yield Layer(f"{name}.conv1", stage, channels, width, 1, 1, 1, side)
        yield Layer(f"{name}.conv2", stage, width, width, 3, stride, groups, out_side)
        yield Layer(f"{name}.conv3", stage, width, out, 1, 1, 1, out_side)
    if net.residual and projects(net.shortcut, channels, out, stride):
        # A projection beside pre-activation has no batch norm.
        per_channel = 0 if net.block == "preactivation" else 2
        place, stride = (1, 1) if net.pooled_projection else (0, stride)
        shortcut = f"{name}.downsample.{place}"
        yield Layer(shortcut, stage, channels, out, 1, stride, 1, out_side, per_channel)
    if net.squeeze:
        narrow = net.squeezed[index]
        yield Layer(f"{name}.se.fc1", stage, out, narrow, 1, 1, 1, 1, per_channel=1)
        yield Layer(f"{name}.se.fc2", stage, narrow, out, 1, 1, 1, 1, per_channel=1)
    return out_side


@dataclass(frozen=True)
class Complexity:
    """Parameters, multiply-adds and activations of a net or of one of its stages."""

    params: int
    macs: int
    activations: int

    @classmethod
    def of(cls, parts: Iterable[Layer]) -> "Complexity":
        """The sum over some layers."""
        counts = [(layer.params, layer.macs, layer.activations) for layer in parts]
        return cls(*(sum(column) for column in zip(*counts, strict=True)))


def complexity(net: Architecture, image_size: int | None = None) -> Complexity:
    """Count a whole net without building it.

    Args:
        net: the architecture.
        image_size: side of the input in pixels; by default the paper's for that stem (224 or 32).

    Returns:
        Parameters; MACs (multiply-adds) and activations (output elements of convolutions and the
        fully connected layer) of one image in one forward pass.

    Raises:
        UserError: an image without pixels.
    """
    return _counted(*_asked(net, image_size))


@lru_cache(maxsize=4096)
def _counted(net: Architecture, side: int) -> Complexity:
    return Complexity.of(layers(net, side))


def by_stage(net: Architecture, image_size: int | None = None) -> dict[str, Complexity]:
    """The same, stage by stage under Table 1's names: conv1, conv2, ..., fc."""
    stages = groupby(layers(net, image_size), key=lambda layer: layer.stage)
    return {stage: Complexity.of(parts) for stage, parts in stages}
