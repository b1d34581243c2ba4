"""An epoch's random order, and which images of a batch each of several processes has."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """One process's part of whatever images there are.

    Attributes:
        number: of the process.
        count: of the processes.
        group: images that stay together, as batch norm's groups do.
    """

    number: int = 0
    count: int = 1
    group: int = 1

    def of(self, images: int) -> range:
        """Which of so many images are this process's; the first has the first group.

        The groups are shared as evenly as they can be; an epoch's last batch may have too few for
        all, and then some processes have none of it.
        """
        groups = -(-images // self.group)
        first, last = (
            min(images, self.group * -(-groups * number // self.count))
            for number in (self.number, self.number + 1)
        )
        return range(first, last)

    def of_epoch(
        self, images: int, batch: int, skip: int
    ) -> tuple[slice | Tensor, int | list[int]]:
        """Which places of an epoch's order are this process's, and how many a batch.

        Args:
            images: of the epoch.
            batch: images of a batch, of all processes.
            skip: batches that are left out at the beginning.
        """
        if self.count == 1:
            return slice(skip * batch, None), batch
        starts = range(skip * batch, images, batch)
        parts = [(start, self.of(min(batch, images - start))) for start in starts]
        places = [torch.arange(start + part.start, start + part.stop) for start, part in parts]
        return torch.cat([torch.arange(0), *places]), [len(part) for _, part in parts if part]


ALL = Share()


def cut(images: int, size: int | Sequence[int]) -> Iterator[slice]:
    """Batches of so many images each, the last one with what is left; or of the given sizes."""
    if isinstance(size, int):
        yield from (slice(start, start + size) for start in range(0, images, size))
        return
    start = 0
    for each in size:
        yield slice(start, start + each)
        start += each


class Choices(Protocol):
    """What augmentation does to each of some images."""

    def __getitem__(self, chosen: slice | Tensor, /) -> Self:
        """Those of some images."""
        ...


Drawn = TypeVar("Drawn", bound=Choices)


class Shuffled(ABC, Generic[Drawn]):
    """Images that every epoch shows in another order, and augmented otherwise."""

    @abstractmethod
    def __len__(self) -> int:
        """How many images there are."""

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Drawn:
        """What an epoch does to each image."""

    @abstractmethod
    def batches(
        self, order: Tensor, choices: Drawn, size: int | Sequence[int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented batches of ``size`` in the given order, the last one with what is left.

        Args:
            order: (n,) indices of the images.
            choices: for the images in that order.
            size: images a batch, or of each batch.

        Yields:
            Images (B, 3, side, side) as float32 in channels-last layout, and labels (B,).
        """

    def epoch(
        self, generator: torch.Generator, batch: int, skip: int = 0, share: Share = ALL
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once in random order, augmented; see `batches`.

        Args:
            generator: that all is drawn from.
            batch: images a batch, of all processes.
            skip: batches that are left out at the beginning.
            share: this process's part of each.
        """
        order = torch.randperm(len(self), generator=generator)
        choices = self.draw(generator)
        places, size = share.of_epoch(len(self), batch, skip)
        return self.batches(order[places], choices[places], size)
