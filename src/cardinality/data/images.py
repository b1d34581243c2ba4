"""Images in memory, as every data set of small images ends up: uint8, with labels."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Mean and standard deviation of each channel, in 0 to 255.
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class ImageSet:
    """``pixels`` (N, side, side, 3) as uint8 and ``labels`` (N,) as int64."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> "ImageSet":
        """Some of the images, by their numbers (M,)."""
        return ImageSet(self.pixels[chosen], self.labels[chosen])


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

    def checksum(self) -> str:
        """SHA-256 over every pixel and label, shapes included; 16 hexadecimal digits of it."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for array in (part.pixels, part.labels.astype("<i8")):
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def channel_statistics(self) -> Statistics:
        """Mean and standard deviation of each channel over the training images, in 0 to 255.

        The published ones where the set has them.
        """
        if self.statistics is not None:
            return self.statistics
        channels = self.train.pixels.reshape(-1, 3)
        mean, deviation = channels.mean(axis=0), channels.std(axis=0, dtype=np.float64)
        return tuple(map(float, mean)), tuple(map(float, deviation))
