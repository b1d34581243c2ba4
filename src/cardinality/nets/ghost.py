"""Batch norm over groups of images, as when a batch is shared among GPUs."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from cardinality.nets.layers import replace_layers


class GhostBatchNorm2d(nn.BatchNorm2d):
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
