"""What the ablations do not use but the paper speaks of: basic blocks, and batch norm by GPU."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cardinality.architecture.settings import PAPER_BASE
from cardinality.nets.layers import BatchNorm, Convolution, replace_layers
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


class GhostBatchNorm2d(BatchNorm):
    """Batch norm with the statistics of groups of so many images, not of the whole batch.

    It stands for a batch that is shared among GPUs, each with the statistics of its own images:
    32 on ImageNet and 16 on CIFAR for the authors. In training every ``images`` consecutive
    images are normalised by themselves, and **the first group alone feeds the running averages**.
    So it was there: nn.DataParallelTable copies parameters between its replicas but not running
    averages, and the authors' checkpoints.lua keeps the first replica (``model:get(1)``).
    In evaluation it is batch norm.

    The last group has what is left where N is no multiple, as an epoch's last batch has.

    Shapes: (N, channels, H, W) -> the same.
    """

    def __init__(self, channels: int, images: int) -> None:
        super().__init__(channels)
        if images < 1:
            raise ValueError(f"images {images}: at least 1")
        self.images = images

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        first, *others = x.split(self.images)
        return torch.cat([super().forward(first), *(self._normalise(other) for other in others)])

    def _normalise(self, x: Tensor) -> Tensor:
        """Normalise by the statistics of these images and keep nothing of them."""
        return functional.batch_norm(
            x, None, None, self.weight, self.bias, training=True, eps=self.eps
        )


def use_ghost_batch_norm(net: nn.Module, images: int) -> None:
    """Replace every batch norm of a net, in place; weights and running averages stay.

    Args:
        net: any net with ``nn.BatchNorm2d`` in it; its names and counts do not change.
        images: images in a group.
    """

    def ghost(layer: nn.Module) -> nn.Module:
        if not isinstance(layer, nn.BatchNorm2d):
            return layer
        grouped = GhostBatchNorm2d(layer.num_features, images).to(layer.weight)
        grouped.eps, grouped.momentum = layer.eps, layer.momentum
        grouped.load_state_dict(layer.state_dict())
        return grouped.train(layer.training)

    replace_layers(net, ghost)
