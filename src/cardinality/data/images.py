"""Images in memory, as every data set of small images ends up: uint8, with labels."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageSet:
    """``pixels`` (N, side, side, 3) as uint8 and ``labels`` (N,) as int64."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """A data set: images to train on, images to test on, and the names of the classes."""

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]

    def checksum(self) -> str:
        """SHA-256 over every pixel and label, shapes included; 16 hexadecimal digits of it."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for array in (part.pixels, part.labels.astype("<i8")):
                digest.update(repr(array.shape).encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def channel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the training images, in 0 to 255."""
        channels = self.train.pixels.reshape(-1, 3)
        mean, deviation = channels.mean(axis=0), channels.std(axis=0, dtype=np.float64)
        return tuple(map(float, mean)), tuple(map(float, deviation))
