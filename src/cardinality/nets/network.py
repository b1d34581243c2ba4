"""The net as the paper's Table 1 draws it.

Modules are named as in torchvision's ``resnet.py``, so that weights move between the two.
"""

from typing import Unpack, cast

from torch import Tensor, nn

from cardinality.architecture.names import AllOptions, Options, describe
from cardinality.architecture.settings import Architecture, Setting, Stem
from cardinality.nets.basic import BasicBlock
from cardinality.nets.layers import Convolution, activate
from cardinality.nets.preactivation import PreactivationBottleneck
from cardinality.nets.variants import PAPER, Variant, deep_stem, make_gate, make_shortcut


class Bottleneck(nn.Module):
    """Fig. 3(c): 1x1 down to C x d channels, 3x3 in C groups, 1x1 up, and the shortcut.

    The stride is in the 3x3 (Section 4, implementation details). The shortcut is of type B:
    a projection where the shape changes, else the identity. ``residual=False`` has neither.
    What other nets have besides stands in `cardinality.nets.variants`.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        stride: int,
        groups: int,
        residual: bool,
        variant: Variant = PAPER,
    ) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Convolution(width, width, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = Convolution(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.se = make_gate(variant, outputs)
        self.residual = residual
        self.downsample = make_shortcut(variant, inputs, outputs, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        y, x = self.conv1.fork(x)
        y = activate(self.bn2, self.conv2(activate(self.bn1, y)))
        y = self.conv3(y)
        if not self.residual:
            return activate(self.bn3, y, gate=self.se)
        shortcut = x if self.downsample is None else self.downsample(x)
        return activate(self.bn3, y, shortcut, gate=self.se)


def stage(net: Architecture, index: int, inputs: int) -> nn.Sequential:
    """One stage of Table 1 (counted from 0): blocks of one width, the first with the stride."""
    outputs = net.out_channels[index]
    blocks = nn.Sequential()
    for number in range(net.blocks[index]):
        stride = 2 if index > 0 and number == 0 else 1
        blocks.append(block(net, index, inputs, stride))
        inputs = outputs
    return blocks


def block(net: Architecture, index: int, inputs: int, stride: int) -> nn.Module:
    """One block of a stage, of the net's kind."""
    width, outputs = net.conv_widths[index], net.out_channels[index]
    groups, residual, variant = net.setting.cardinality, net.residual, Variant.of(net)
    if net.block == "basic":
        return BasicBlock(inputs, width, outputs, stride, residual, variant)
    if net.block == "preactivation":
        return PreactivationBottleneck(inputs, width, outputs, stride, groups, residual)
    return Bottleneck(inputs, width, outputs, stride, groups, residual, variant)


class ResNeXt(nn.Module):
    """A ResNeXt; with cardinality 1, a ResNet.

    Shapes: (N, 3, H, W) -> (N, classes).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.base
        self.conv1: nn.Module
        self.maxpool: nn.Module = nn.Identity()
        stride = 1 if architecture.stem == "cifar" else 2
        if architecture.deep_stem:
            self.conv1 = deep_stem(architecture, stride)
        else:
            kernel = 7 if architecture.stem == "imagenet" else 3
            self.conv1 = Convolution(3, channels, kernel, stride)
        if architecture.stem == "imagenet":
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = stage(architecture, 0, channels)
        self.layer2 = stage(architecture, 1, architecture.out_channels[0])
        self.layer3 = stage(architecture, 2, architecture.out_channels[1])
        # CIFAR nets have three stages, ImageNet nets four.
        self.layer4: nn.Module = nn.Identity()
        if len(architecture.blocks) == 4:
            self.layer4 = stage(architecture, 3, architecture.out_channels[2])
        # What pre-activation leaves to be done after the last block.
        self.norm: nn.Module = nn.Identity()
        if architecture.block == "preactivation":
            self.norm = nn.Sequential(nn.BatchNorm2d(architecture.out_channels[-1]), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(architecture.out_channels[-1], architecture.classes)
        self.apply(initialise)

    def features(self, x: Tensor) -> Tensor:
        """What the fully connected layer takes: (N, 3, H, W) -> (N, channels)."""
        x = self.maxpool(activate(self.bn1, self.conv1(x)))
        x = self.norm(self.layer4(self.layer3(self.layer2(self.layer1(x)))))
        return self.avgpool(x).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


def initialise(module: nn.Module) -> None:
    """Initialise one module as the authors' models/resnext.lua does.

    Convolutions are normal with variance 2 / (k k outputs), which is He et al.'s fan-out and is
    not divided by the groups; batch norm starts at scale 1 and shift 0 everywhere; the fully
    connected layer keeps torch's own (Lua Torch's) uniform weights and gets a bias of 0.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
        nn.init.zeros_(module.bias)


def build(
    setting: str | Setting,
    depth: int | None = None,
    stem: Stem | None = None,
    classes: int | None = None,
    base: int | None = None,
    **options: Unpack[Options],
) -> ResNeXt:
    """Build an initialised net: ``build("32x4d", depth=50)``, or ``build("resnext50_32x4d")``.

    Args:
        setting: cardinality and width, as ``"32x4d"`` or parsed; or the name that torchvision or
            timm has for a net (`cardinality.architecture.names.NETS`).
        depth: in layers; a name has its own.
        stem, classes, base, options: as `Architecture` describes them, and with its defaults; with
            a name, in what the net differs from the one of that name.

    Returns:
        A module that takes images (N, 3, H, W) of any size, normalised as its weights want them,
        and gives logits (N, classes). ``features`` gives what its last layer takes. It goes
        through torch.export, torch.fx and torchvision's ``create_feature_extractor``.

    Raises:
        UserError: values that make no net, with what is allowed.
    """
    stated = cast(AllOptions, dict(options))
    if stem is not None:
        stated["stem"] = stem
    if classes is not None:
        stated["classes"] = classes
    if base is not None:
        stated["base"] = base
    return ResNeXt(describe(setting, depth, **stated))
