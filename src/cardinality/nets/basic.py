"""ResNet-18 and -34, whose blocks have two 3x3 convolutions: why cardinality needs depth 3."""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from cardinality.architecture.settings import PAPER_BASE
from cardinality.nets.layers import Convolution
from cardinality.nets.network import initialise

# Blocks in each stage: Table 1 of He et al. (2015), arXiv 1512.03385.
BASIC_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut, the block of ResNet-18 and -34.

    ``width`` is that between the two. C paths of two 3x3 with d channels between them, summed,
    are this block at width C x d, dense: the paper's Section 3.3 and Fig. 4, why cardinality
    needs blocks of depth 3 or more.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Convolution(width, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                Convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def build_basic(depth: Literal[18, 34], classes: int = 1000) -> nn.Sequential:
    """Build ResNet-18 or -34 with the modules' names of torchvision, initialised as `build` does.

    Args:
        depth: 18 or 34.
        classes: outputs of the fully connected layer.

    Shapes of the net: (N, 3, H, W) -> (N, classes).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=Convolution(3, PAPER_BASE, 7, stride=2),
        bn1=nn.BatchNorm2d(PAPER_BASE),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )
    channels = PAPER_BASE
    for index, count in enumerate(BASIC_BLOCKS[depth]):
        stage, outputs = nn.Sequential(), PAPER_BASE * 2**index
        for number in range(count):
            stride = 2 if index > 0 and number == 0 else 1
            stage.append(BasicBlock(channels, outputs, outputs, stride))
            channels = outputs
        layers[f"layer{index + 1}"] = stage
    layers.update(avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers["fc"] = nn.Linear(channels, classes)
    return nn.Sequential(layers).apply(initialise)
