"""Losses and errors, summed on the device, and the one rule by which an image counts as right."""

import math
from typing import Any

import torch
from torch import Tensor

from cardinality.training.ends import Diverged


def rivals(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes are not behind the label's, (N,): the label's own and those at least as
    likely.

    An image is right by top-1 if there is one, the label's own, and by top-5 if there are five or
    fewer. So a tie counts as wrong: which class is first in it would be the order of the classes'
    doing (bfloat16 logits tie in some of a thousand images). What is not a number is behind
    nothing and nothing is behind it.

    Args:
        logits: (N, classes).
        labels: (N,) int64.
    """
    own = logits.gather(1, labels[:, None])
    return (~(logits < own)).sum(1)


def has_top5(classes: int) -> bool:
    """Whether a top-5 error says anything: with five classes every image is right."""
    return classes > 5


class Tally:
    """Sums loss, top-1 and top-5 errors on the device; they cross to the CPU when asked for."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.images = 0
        self.classes = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Count a batch and say which of its images are right by top-1, (B,) of bool.

        Args:
            loss: its mean, ().
            logits: (B, classes).
            labels: (B,).
        """
        self.classes = logits.shape[1]
        ahead = rivals(logits.detach(), labels)
        right = ahead == 1
        wrong = [(~right).sum(), (ahead > 5).sum()]
        self.sums += torch.stack([loss.detach().double() * len(labels), *wrong])
        self.images += len(labels)
        return right

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {"sums": self.sums.cpu(), "images": self.images, "classes": self.classes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums that `state_dict` gave."""
        self.sums.copy_(state["sums"])
        self.images, self.classes = state["images"], state["classes"]

    def check(self, when: str) -> None:
        """See that every loss so far was finite; a sum keeps what was not.

        Raises:
            Diverged: one was not.
        """
        total = self.sums[0].item()
        if not math.isfinite(total):
            raise Diverged(f"loss {total} {when}")

    def means(self) -> tuple[float, float, float | None]:
        """Mean loss, top-1 and top-5 error in percent; the last only where it says anything."""
        loss, *wrong = self.sums.tolist()
        # As whole numbers of images are divided wherever an error is computed.
        top1, top5 = (100 * round(count) / self.images for count in wrong)
        return loss / self.images, top1, top5 if has_top5(self.classes) else None
