"""Convolution and batch norm as every block uses them, each with what goes on beside it.

A block could call torch's layers one after the other; that these are one call each lets
`cardinality.nets.fast` compute them in one pass over memory, which is what takes their time.
Batch norm itself is torch's own class: torch.fx takes that as one piece, and would look into a
class of ours and stumble over the checks of its input.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import relu


class Convolution(nn.Conv2d):
    """A convolution as the paper uses it: padded by half its kernel, without bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)

    def fork(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output, where the branch begins, and x itself, which goes on to the shortcut.

        Branch and shortcut must meet again in a sum, and what is returned as x may be used for
        nothing but the shortcut: its gradient may be overwritten once the branch's is known.
        """
        return self(x), x


class ActivatingBatchNorm(nn.BatchNorm2d):
    """A batch norm that has a faster way of its own to do what `activate` does."""

    def activate(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """See `activate`."""
        raise NotImplementedError


def activate(
    norm: nn.BatchNorm2d,
    x: Tensor,
    shortcut: Tensor | None = None,
    *,
    gate: nn.Module | None = None,
) -> Tensor:
    """``relu(gate(norm(x)) + shortcut)``; (N, channels, H, W), all of them."""
    if gate is not None:
        return add_relu(gate(norm(x)), shortcut)
    if isinstance(norm, ActivatingBatchNorm):
        return norm.activate(x, shortcut)
    return add_relu(norm(x), shortcut)


def add_relu(y: Tensor, shortcut: Tensor | None) -> Tensor:
    """``relu(y + shortcut)``, in the memory of y."""
    if shortcut is not None:
        y += shortcut
    return relu(y, inplace=True)


def replace_layers(net: nn.Module, change: Callable[[nn.Module], nn.Module]) -> None:
    """Put in the place of every module of a net what ``change`` makes of it, or itself."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            setattr(module, name, change(child))
