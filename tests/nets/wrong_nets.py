"""The usual mistakes as nets: each function builds an architecture with one mistake in it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from cardinality.architecture.settings import Architecture, Setting
from cardinality.nets.forms import convert
from cardinality.nets.layers import Convolution
from cardinality.nets.network import Bottleneck, ResNeXt, initialise

Mistake = Callable[[Architecture], nn.Module]


def blocks(net: nn.Module) -> Iterator[Bottleneck]:
    return (module for module in net.modules() if isinstance(module, Bottleneck))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def groups_on_the_first_1x1(architecture: Architecture) -> nn.Module:
    net, groups = ResNeXt(architecture), architecture.setting.cardinality
    for block in blocks(net):
        inputs, width = block.conv1.in_channels, block.conv1.out_channels
        block.conv1 = Convolution(inputs, width, 1, groups=groups)
    return net.apply(initialise)


def output_of_twice_c_d(architecture: Architecture) -> nn.Module:
    """A block puts out twice the width of its grouped convolution, as kuangliu's net does."""
    net = ResNeXt(architecture)
    inputs = architecture.base
    for block in blocks(net):
        width = block.conv2.out_channels
        block.conv1 = Convolution(inputs, width, 1)
        block.conv3 = Convolution(width, 2 * width, 1)
        block.bn3 = nn.BatchNorm2d(2 * width)
        if block.downsample is not None:
            block.downsample = projection(inputs, 2 * width, block.conv2.stride[0])
        inputs = 2 * width
    net.fc = nn.Linear(inputs, architecture.classes)
    return net.apply(initialise)


def c_and_d_swapped(architecture: Architecture) -> nn.Module:
    setting = architecture.setting
    return ResNeXt(replace(architecture, setting=Setting(setting.width, setting.cardinality)))


def stride_in_the_first_1x1(architecture: Architecture) -> nn.Module:
    net = ResNeXt(architecture)
    for block in blocks(net):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return net


def last_scale_at_zero(architecture: Architecture) -> nn.Module:
    net = ResNeXt(architecture)
    for block in blocks(net):
        nn.init.zeros_(block.bn3.weight)
    return net


def paths_drawn_by_themselves(architecture: Architecture) -> nn.Module:
    """Form (a) of Fig. 3, each convolution initialised for its own number of outputs."""
    return convert(ResNeXt(architecture), "a").apply(initialise)


def biases_in_convolutions(architecture: Architecture) -> nn.Module:
    net = ResNeXt(architecture)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(module.weight.new_zeros(module.out_channels))
    return net


class ZeroPadded(nn.Module):
    """A shortcut of type A: every second position, and zeros for the channels that are new."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        subsampled = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(subsampled, (0, 0, 0, 0, 0, self.channels))


def without_projection(architecture: Architecture) -> nn.Module:
    net = ResNeXt(architecture)
    for block in blocks(net):
        if block.downsample is not None:
            new = block.conv3.out_channels - block.conv1.in_channels
            block.downsample = ZeroPadded(new, block.conv2.stride[0])
    return net


def bare_projections(architecture: Architecture) -> nn.Module:
    net = ResNeXt(architecture)
    for block in blocks(net):
        if block.downsample is not None:
            assert isinstance(block.downsample, nn.Sequential)
            block.downsample = block.downsample[:1]
    return net


def projections_everywhere(architecture: Architecture) -> nn.Module:
    """Shortcuts of type C."""
    net = ResNeXt(architecture)
    for block in blocks(net):
        if block.downsample is None:
            channels = block.conv1.in_channels
            block.downsample = projection(channels, channels, 1).apply(initialise)
    return net
