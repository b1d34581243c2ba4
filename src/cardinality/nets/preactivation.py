"""The pre-activation bottleneck: batch norm and ReLU before each convolution, not after it.

Full pre-activation of He et al. (2016), "Identity Mappings in Deep Residual Networks",
arXiv 1603.05027, as in models/preresnet.lua of fb.resnet.torch since its pull request 42. The
paper's ResNet-200 (Table 4) is such a net, and the first edition of the paper used such blocks on
CIFAR.
"""

from torch import Tensor, nn

from cardinality.nets.layers import Convolution, activate


class PreactivationBottleneck(nn.Module):
    """A bottleneck whose batch norms and ReLUs come before its convolutions.

    What the first batch norm and ReLU are applied to differs, as in preresnet.lua:

    - in the first block of a stage (``both_preact`` there), to the input of both branches: the
      projection takes the activated input, too, and has no batch norm of its own;
    - in the net's first block (``no_preact``), to nothing, because the stem has activated its
      input already. It is the one whose channels change without a stride;
    - in every other block, to the residual branch alone: the shortcut is the identity.

    The sum is not activated; the next block does that, and after the last one the net.
    ``residual=False`` drops the shortcut, projection included.

    On CIFAR preresnet.lua has no activation in the stem and activates both branches of the first
    block instead, which is the same function since no pooling lies between.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, stride: int, groups: int, residual: bool
    ) -> None:
        super().__init__()
        self.bn1: nn.BatchNorm2d | None = None
        if stride != 1 or inputs == outputs:
            self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = Convolution(inputs, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = Convolution(width, width, 3, stride, groups)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = Convolution(width, outputs, 1)
        self.residual = residual
        self.downsample: nn.Module | None = None
        if residual and (stride != 1 or inputs != outputs):
            # A sequence of one, so that the convolution is named as in the original block.
            self.downsample = nn.Sequential(Convolution(inputs, outputs, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        activated = x if self.bn1 is None else activate(self.bn1, x)
        y, activated = self.conv1.fork(activated)
        y = self.conv2(activate(self.bn2, y))
        y = self.conv3(activate(self.bn3, y))
        if self.residual:
            y += x if self.downsample is None else self.downsample(activated)
        return y
