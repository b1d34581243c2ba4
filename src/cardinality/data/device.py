"""From a data set to batches on a device: the interface that training sees."""

import time
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from cardinality.data.augmentation import IMAGENET_STATISTICS
from cardinality.data.folders import ClassFolders
from cardinality.data.images import Images, Statistics
from cardinality.data.resident import ResidentImages
from cardinality.data.shares import ALL, Share
from cardinality.data.streamed import StreamedImages
from cardinality.experiment.configuration import Training

# Images (B, 3, side, side) as float32 in channels-last layout, and labels (B,) as int64.
Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """Images on the device or on their way there."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def epoch(
        self, generator: torch.Generator, batch: int, skip: int = 0, share: Share = ALL
    ) -> Iterator[Batch]:
        """Every image once, in random order and augmented, all drawn from a CPU generator.

        Of an epoch that goes on the first ``skip`` batches are left out, and of each batch what is
        not this process's share; what is drawn is the same.
        """
        ...

    def plain(self, size: int, chosen: range | None = None) -> Iterator[Batch]:
        """Every image once, in order and as it is evaluated; or those of some places."""
        ...


def channel_statistics(images: Images | ClassFolders) -> Statistics:
    """Mean and deviation of each channel, in 0 to 255, that batches have taken off."""
    if isinstance(images, ClassFolders):
        return IMAGENET_STATISTICS
    return images.channel_statistics()


def batches(
    images: Images | ClassFolders, training: Training, device: torch.device
) -> tuple[Batches, Batches]:
    """Images to train on, augmented as the protocol says, and images to measure the error on."""
    if isinstance(images, ClassFolders):
        return (
            StreamedImages(images.train, images.data, device, training.flip),
            StreamedImages(images.test, images.data, device),
        )
    statistics = channel_statistics(images)
    return (
        ResidentImages(images.train, statistics, device, training.shift, training.flip),
        ResidentImages(images.test, statistics, device),
    )


class Waited:
    """Passes batches on and adds up how long it waited for them.

    On a GPU that is the time in which the CPU prepared or waited for a batch, which the GPU spends
    on the steps before.

    Attributes:
        seconds: waited so far.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = iter(batches)
        self.seconds = 0.0

    def __iter__(self) -> "Waited":
        return self

    def __next__(self) -> Batch:
        start = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self.seconds += time.perf_counter() - start
