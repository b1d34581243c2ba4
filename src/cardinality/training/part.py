"""An epoch that is under way: what a checkpoint inside it holds beside the net."""

import time
from typing import Any

import torch
from torch import Tensor

from cardinality.training.peers import Peers
from cardinality.training.tally import Sums, Tally


class Part:
    """How far an epoch has come, from its first step to the end of its evaluation.

    Args:
        order: the state of the generator from which the epoch's order and augmentation are drawn;
            drawn again from there, they are the same.
        rate: of its first step.
        device: on which losses and errors are summed.

    Attributes:
        steps: batches that have been trained on.
        tally: what they came to in this process.
        sums: what they came to in all of them, when they were last asked.
        waited: seconds for batches, in all sittings.
    """

    def __init__(self, order: Tensor, rate: float, device: torch.device) -> None:
        self.order, self.rate, self.tally = order, rate, Tally(device)
        self.steps, self.waited = 0, 0.0
        self.sums: Sums = []
        self._before, self._began = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """That the epoch has taken, in all sittings."""
        return self._before + time.perf_counter() - self._began

    def gather(self, peers: Peers) -> None:
        """Have the sums of all processes, for `state_dict`; they all call it."""
        self.sums = self.tally.gathered(peers)

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the epoch depends on, but for the generator's state."""
        return {
            "rate": self.rate,
            "steps": self.steps,
            "sums": self.sums,
            "classes": self.tally.classes,
            "waited": self.waited,
            "seconds": self.seconds,
        }

    @classmethod
    def from_state(
        cls, order: Tensor, state: dict[str, Any], device: torch.device, peers: Peers
    ) -> "Part":
        """Go on where `state_dict` was taken."""
        part = cls(order, state["rate"], device)
        part.steps, part.waited, part._before = state["steps"], state["waited"], state["seconds"]
        part.sums, part.tally.classes = state["sums"], state["classes"]
        part.tally.go_on(part.sums, peers)
        return part
