"""Images in memory, as every data set of small images ends up: uint8, with labels."""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Mean and standard deviation of each channel, in 0 to 255.
Statistics = tuple[tuple[float, ...], tuple[float, ...]]
# What a checksum is over. By names and sizes an edit that keeps both passes.
Kind = Literal["pixels", "names and sizes"]


@dataclass(frozen=True)
class Identity:
    """What tells one data set from another: 16 hexadecimal digits, and what they are over."""

    checksum: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.checksum} (of {self.kind})"


@dataclass(frozen=True)
class ImageSet:
    """Images of one side.

    Attributes:
        pixels: (N, side, side, 3) as uint8.
        labels: (N,) as int64.
        sources: (N,) as int64, the number of what each was made of, where several images were
            made of one thing.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sources: NDArray[np.int64] | None = None

    def take(self, chosen: NDArray[np.int64]) -> "ImageSet":
        """Some of the images, by their numbers (M,)."""
        sources = None if self.sources is None else self.sources[chosen]
        return ImageSet(self.pixels[chosen], self.labels[chosen], sources)


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        train, test: images to train on and images to measure the error on.
        classes: their names, in the order of the labels.
        statistics: published mean and standard deviation of each channel, in 0 to 255.
    """

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    statistics: Statistics | None = None

    def holding_out(self, every: int) -> "Images":
        """The same with every so-many-th training image in place of the test images."""
        numbers = np.arange(len(self.train.labels))
        held = numbers % every == every - 1
        return replace(
            self, train=self.train.take(numbers[~held]), test=self.train.take(numbers[held])
        )

    def identity(self) -> Identity:
        """SHA-256 over every pixel and label, shapes included; 16 hexadecimal digits of it."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for array in (part.pixels, part.labels.astype("<i8")):
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return Identity(digest.hexdigest()[:16], "pixels")

    @property
    def evaluated(self) -> tuple[list[int], list[int] | None]:
        """Labels and sources of the images that the error is measured on, in their order."""
        sources = self.test.sources
        return self.test.labels.tolist(), None if sources is None else sources.tolist()

    def channel_statistics(self) -> Statistics:
        """Mean and standard deviation of each channel over the training images, in 0 to 255.

        The published ones where the set has them.
        """
        if self.statistics is not None:
            return self.statistics
        channels = self.train.pixels.reshape(-1, 3)
        mean, deviation = channels.mean(axis=0), channels.std(axis=0, dtype=np.float64)
        return tuple(map(float, mean)), tuple(map(float, deviation))
