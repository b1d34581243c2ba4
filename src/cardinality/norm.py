"""Batch norm together with what follows it in a block: the shortcut's addition and ReLU."""

from torch import Tensor, nn
from torch.nn.functional import relu


class BatchNorm(nn.BatchNorm2d):
    """Torch's batch norm, and the way on to the next convolution as one call.

    The two belong together because on memory-bound devices they cost more than the convolutions
    between them unless they are one pass (`cardinality.fast.FusedBatchNorm`).
    """

    def activate(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """``relu(norm(x) + shortcut)``; (N, channels, H, W), all of them."""
        y = self(x)
        if shortcut is not None:
            y += shortcut
        return relu(y, inplace=True)
