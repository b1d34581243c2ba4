"""Losses and errors, summed on the device."""

import math

import torch
from torch import Tensor

from cardinality.training.ends import Diverged


class Tally:
    """Sums loss, top-1 and top-5 errors on the device; they cross to the CPU when asked for."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.images = 0
        self.classes = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss (), logits (B, classes) and labels (B,)."""
        self.classes = logits.shape[1]
        ranked = logits.detach().topk(min(5, logits.shape[1])).indices == labels[:, None]
        wrong1 = len(labels) - ranked[:, 0].sum()
        wrong5 = len(labels) - ranked.sum()
        self.sums += torch.stack([loss.detach().double() * len(labels), wrong1, wrong5])
        self.images += len(labels)

    def check(self, when: str) -> None:
        """See that every loss so far was finite; a sum keeps what was not.

        Raises:
            Diverged: one was not.
        """
        total = self.sums[0].item()
        if not math.isfinite(total):
            raise Diverged(f"loss {total} {when}")

    def means(self) -> tuple[float, float, float | None]:
        """Mean loss, top-1 and top-5 error in percent; the last only with five classes or more."""
        loss, top1, top5 = (self.sums / self.images).tolist()
        return loss, 100 * top1, 100 * top5 if self.classes >= 5 else None
