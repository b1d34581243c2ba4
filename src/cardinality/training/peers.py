"""What several processes that share a run tell each other; with one process, nothing.

Each has the whole net and its share of every batch. Their gradients are added before the step, so
that all take the same one; what only one can say (stop, keep, the loss is infinite) all hear at the
same step.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn

from cardinality.data.shares import Share


class Peers:
    """One process alone.

    Attributes:
        number: of this process; the first writes.
        count: of the processes.
    """

    number, count = 0, 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes checkpoints and records."""
        return self.number == 0

    def share(self, group: int) -> Share:
        """This process's part of batches whose images stay together in groups of so many."""
        return Share(self.number, self.count, group)

    def agree(self, wish: int) -> int:
        """The greatest of all wishes."""
        return wish

    def total(self, sums: Tensor) -> Tensor:
        """The sum over all processes."""
        return sums

    def gather(self, value: Any) -> list[Any]:
        """What each has, in their order."""
        return [value]

    def tell(self, value: Any) -> Any:
        """What the first has, in all of them."""
        return value

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient the sum over all processes; one that has none counts as 0."""

    def copy_buffers(self, net: nn.Module) -> None:
        """Make a net's running averages those of the first, which alone has the first group."""


class Together(Peers):
    """Processes that `torch.distributed` has brought together.

    Tensors of a GPU go by NCCL, those of a CPU and all else by gloo.
    """

    def __init__(self) -> None:
        self.number, self.count = distributed.get_rank(), distributed.get_world_size()

    def agree(self, wish: int) -> int:
        found = torch.tensor(wish)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def total(self, sums: Tensor) -> Tensor:
        found = sums.clone()
        distributed.all_reduce(found)
        return found

    def gather(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value)
        return found

    def tell(self, value: Any) -> Any:
        found = [value]
        distributed.broadcast_object_list(found)
        return found[0]

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        every = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in every]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for parameter, gradient, part in zip(every, gradients, parts, strict=True):
            # In the layout of the gradient, which is that of the weight.
            parameter.grad = gradient.copy_(part.view(gradient.shape))

    def copy_buffers(self, net: nn.Module) -> None:
        for buffer in net.buffers():
            distributed.broadcast(buffer, 0)


ALONE = Peers()
