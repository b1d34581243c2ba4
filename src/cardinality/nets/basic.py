"""The block of ResNet-18 and -34, which has two 3x3 convolutions: why cardinality needs three."""

from torch import Tensor, nn

from cardinality.nets.layers import Convolution, activate
from cardinality.nets.variants import PAPER, Variant, make_gate, make_shortcut


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut: Fig. 5 left of He et al. (2016), arXiv 1512.03385.

    ``width`` is that between the two. C paths of two 3x3 with d channels between them, summed,
    are this block at width C x d, dense: the paper's Section 3.3 and Fig. 4, why cardinality
    needs blocks of depth 3 or more. So there are no groups.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        stride: int,
        residual: bool = True,
        variant: Variant = PAPER,
    ) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Convolution(width, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = make_gate(variant, outputs)
        self.residual = residual
        self.downsample = make_shortcut(variant, inputs, outputs, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        y, x = self.conv1.fork(x)
        y = self.conv2(activate(self.bn1, y))
        if not self.residual:
            return activate(self.bn2, y, gate=self.se)
        shortcut = x if self.downsample is None else self.downsample(x)
        return activate(self.bn2, y, shortcut, gate=self.se)
