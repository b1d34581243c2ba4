"""What the paper's nets do not have and others do: shortcuts A and C, and three later additions.

A block gets a `Variant` that says which of them it has; the paper's own blocks have none.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import pad

from cardinality.architecture.settings import Architecture, Shortcut, projects, squeezed
from cardinality.nets.layers import Convolution


@dataclass(frozen=True)
class Variant:
    """What a block has, as `Architecture` describes it; by default the paper's."""

    shortcut: Shortcut = "B"
    pooled_projection: bool = False
    squeeze: bool = False

    @classmethod
    def of(cls, net: Architecture) -> "Variant":
        """That of a net's blocks."""
        return cls(net.shortcut, net.pooled_projection, net.squeeze)


PAPER = Variant()


def make_shortcut(variant: Variant, inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """What leads around a block; none where it is the identity.

    Shapes of the module: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """
    if projects(variant.shortcut, inputs, outputs, stride):
        if variant.pooled_projection:
            return pooled_projection(inputs, outputs, stride)
        return nn.Sequential(Convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
    if stride != 1 or inputs != outputs:
        return PaddedIdentity(outputs - inputs, stride)
    return None


class PaddedIdentity(nn.Module):
    """Shortcut A: every so-many-th position, and zeros for the channels that are new.

    He et al. (2016), Section 3.3; fb.resnet.torch's models/resnet.lua pads behind, too.

    Shapes: (N, C, H, W) -> (N, C + new, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, new: int, stride: int) -> None:
        super().__init__()
        self.new, self.stride = new, stride

    def forward(self, x: Tensor) -> Tensor:
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))


def pooled_projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A projection that loses no position to its stride: the mean of 2 x 2, then a 1x1.

    "Bag of Tricks" (arXiv 1812.01187), ResNet-D; modules are named as in timm's. At an odd edge
    the mean is of the pixels that are there.
    """
    pool: nn.Module = nn.Identity()
    if stride != 1:
        pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, Convolution(inputs, outputs, 1), nn.BatchNorm2d(outputs))


class SqueezeExcitation(nn.Module):
    """Scale each channel by what all channels' means say, through a sixteenth of their number.

    Hu et al. (2018), arXiv 1709.01507, Section 3; modules are named as in timm's.

    Shapes: (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = squeezed(channels)
        self.fc1 = nn.Conv2d(channels, narrow, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(narrow, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(self.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * scale.sigmoid()


def make_gate(variant: Variant, outputs: int) -> nn.Module | None:
    """What a block's output goes through before the sum, if anything."""
    return SqueezeExcitation(outputs) if variant.squeeze else None


def deep_stem(net: Architecture, stride: int) -> nn.Sequential:
    """Three 3x3 convolutions, the first with the stride, in place of the stem's one.

    "Bag of Tricks", ResNet-C, with timm's channels: half, half, and the whole of the base. The
    batch norm after the last is the net's own.

    Shapes: (N, 3, H, W) -> (N, base, ceil(H / stride), ceil(W / stride)).
    """
    first, second, third = net.stem_channels
    return nn.Sequential(
        Convolution(3, first, 3, stride),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        Convolution(first, second, 3),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        Convolution(second, third, 3),
    )
