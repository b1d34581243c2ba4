"""The net as the paper's Table 1 draws it.

Modules are named as in torchvision's ``resnet.py``, so that weights move between the two.
"""

from torch import Tensor, nn

from cardinality.architecture.settings import PAPER_BASE, Architecture, Block, Setting, Stem
from cardinality.nets.layers import Convolution, activate
from cardinality.nets.preactivation import PreactivationBottleneck


class Bottleneck(nn.Module):
    """Fig. 3(c): 1x1 down to C x d channels, 3x3 in C groups, 1x1 up, and the shortcut.

    The stride is in the 3x3 (Section 4, implementation details). The shortcut is of type B:
    a projection where the shape changes, else the identity. ``residual=False`` has neither.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, stride: int, groups: int, residual: bool
    ) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Convolution(width, width, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = Convolution(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.residual = residual
        self.downsample: nn.Module | None = None
        if residual and (stride != 1 or inputs != outputs):
            self.downsample = nn.Sequential(
                Convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y, x = self.conv1.fork(x)
        y = activate(self.bn2, self.conv2(activate(self.bn1, y)))
        y = self.conv3(y)
        if not self.residual:
            return activate(self.bn3, y)
        return activate(self.bn3, y, x if self.downsample is None else self.downsample(x))


def stage(architecture: Architecture, index: int, inputs: int) -> nn.Sequential:
    """One stage of Table 1 (counted from 0): blocks of one width, the first with the stride."""
    block = Bottleneck if architecture.block == "original" else PreactivationBottleneck
    width, outputs = architecture.conv_widths[index], architecture.out_channels[index]
    blocks = nn.Sequential()
    for number in range(architecture.blocks[index]):
        stride = 2 if index > 0 and number == 0 else 1
        groups, residual = architecture.setting.cardinality, architecture.residual
        blocks.append(block(inputs, width, outputs, stride, groups, residual))
        inputs = outputs
    return blocks


class ResNeXt(nn.Module):
    """A ResNeXt; with cardinality 1, a ResNet.

    Shapes: (N, 3, H, W) -> (N, classes).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.base
        self.maxpool: nn.Module
        if architecture.stem == "imagenet":
            self.conv1 = Convolution(3, channels, 7, stride=2)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            stride = 2 if architecture.stem == "cifar-stride2" else 1
            self.conv1 = Convolution(3, channels, 3, stride)
            self.maxpool = nn.Identity()
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
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def build(
    setting: str | Setting,
    depth: int,
    stem: Stem = "imagenet",
    classes: int = 1000,
    base: int = PAPER_BASE,
    residual: bool = True,
    block: Block = "original",
) -> ResNeXt:
    """Build an initialised net, e.g. ``build("32x4d", depth=50)`` for ResNeXt-50 (32x4d).

    Args:
        setting: cardinality and width, as ``"32x4d"`` or parsed.
        depth, stem, classes, base, residual, block: as `Architecture` describes them.

    Raises:
        UserError: values that make no net, with what is allowed.
    """
    parsed = Setting.parse(setting) if isinstance(setting, str) else setting
    return ResNeXt(Architecture(parsed, depth, stem, classes, base, residual, block))
