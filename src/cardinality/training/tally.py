"""Losses and errors, summed on the device, and the one rule by which an image counts as right."""

import math

import torch
from torch import Tensor

from cardinality.training.ends import Diverged
from cardinality.training.peers import ALONE, Peers

# Of each process: of its images the losses, and how many are wrong by top-1 and top-5; how many
# images.
Sums = list[tuple[list[float], int]]


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

    def __init__(self, device: torch.device, classes: int = 0) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.images = 0
        self.classes = classes

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

    def gathered(self, peers: Peers) -> Sums:
        """What all processes have summed so far."""
        return peers.gather(([float(value) for value in self.sums], self.images))

    def go_on(self, gathered: Sums, peers: Peers) -> None:
        """Go on from what `gathered` gave, to as many processes or others.

        As many go on from their own sums, so that these come to the same bits; of any other number
        the first has them all.
        """
        own = gathered[peers.number : peers.number + 1]
        if len(gathered) != peers.count:
            own = gathered if peers.first else []
        for sums, images in own:
            self.sums += torch.tensor(sums, dtype=torch.float64, device=self.sums.device)
            self.images += images

    def check(self, when: str, peers: Peers = ALONE) -> None:
        """See that every loss so far was finite; a sum keeps what was not.

        Raises:
            Diverged: one was not.
        """
        total = peers.total(self.sums[0]).item()
        if not math.isfinite(total):
            raise Diverged(f"loss {total} {when}")

    def means(self, peers: Peers = ALONE) -> tuple[float, float, float | None]:
        """Mean loss, top-1 and top-5 error in percent; the last only where it says anything."""
        loss, *wrong = peers.total(self.sums).tolist()
        images = int(peers.total(torch.tensor(self.images)))
        # As whole numbers of images are divided wherever an error is computed.
        top1, top5 = (100 * round(count) / images for count in wrong)
        return loss / images, top1, top5 if has_top5(self.classes) else None
