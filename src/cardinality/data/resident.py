"""Small images on the device as uint8: batches are cropped, flipped and normalised there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cardinality.data.augmentation import normalise
from cardinality.data.images import ImageSet, Statistics


@dataclass(frozen=True)
class Choices:
    """What augmentation does to each image.

    Attributes:
        down, right: (N,) int64, by how many pixels the crop is moved.
        flip: (N,) bool, whether the image is mirrored; it is before it is moved.
    """

    down: Tensor
    right: Tensor
    flip: Tensor

    @classmethod
    def draw(cls, n: int, shift: int, flip: bool, generator: torch.Generator) -> "Choices":
        """Shifts uniform over (2 shift + 1)^2 places, half of the images flipped (or none).

        The generator is the CPU's on every device, so that a seed means the same everywhere.
        """
        moves = torch.randint(-shift, shift + 1, (2, n), generator=generator)
        mirrored = torch.rand(n, generator=generator) < (0.5 if flip else 0.0)
        return cls(moves[0], moves[1], mirrored)


class ResidentImages:
    """A set of images on a device.

    Args:
        images: N images of one side.
        statistics: mean and standard deviation of each channel, in 0 to 255.
        device: where they are kept.
        shift, flip: how an `epoch` is augmented; see `Choices.draw`.
    """

    def __init__(
        self,
        images: ImageSet,
        statistics: Statistics,
        device: torch.device,
        shift: int = 0,
        flip: bool = False,
    ) -> None:
        self.shift, self.flip = shift, flip
        self.pixels = torch.from_numpy(np.ascontiguousarray(images.pixels)).to(device)
        self.labels = torch.from_numpy(images.labels).to(device)
        self.mean = torch.tensor(statistics[0], device=device)
        self.deviation = torch.tensor(statistics[1], device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def epoch(self, generator: torch.Generator, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once in random order, augmented; see `batches`."""
        order = torch.randperm(len(self), generator=generator)
        choices = Choices.draw(len(self), self.shift, self.flip, generator)
        return self.batches(order, choices, batch)

    def plain(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image in order, normalised, in batches of ``size``; see `batches`."""
        for start in range(0, len(self), size):
            pixels = self.pixels[start : start + size]
            yield normalise(pixels, self.mean, self.deviation), self.labels[start : start + size]

    def batches(
        self, order: Tensor, choices: Choices, size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented batches of ``size`` in the given order, the last one with what is left.

        Args:
            order: (N,) indices of the images.
            choices: for the images in that order.
            size: images a batch.

        Yields:
            Images (B, 3, side, side) as float32 in channels-last layout, and labels (B,).
        """
        device = self.labels.device
        order, down, right, flip = (
            part.to(device) for part in (order, choices.down, choices.right, choices.flip)
        )
        for start in range(0, len(order), size):
            part = slice(start, start + size)
            chosen = order[part]
            yield self._moved(chosen, down[part], right[part], flip[part]), self.labels[chosen]

    def _moved(self, chosen: Tensor, down: Tensor, right: Tensor, flip: Tensor) -> Tensor:
        """Pad with zeros after normalising, crop and flip (datasets/cifar10.lua of
        fb.resnet.torch normalises, flips and then crops), as one gather.
        """
        side = self.pixels.shape[1]
        line = torch.arange(side, device=chosen.device)
        rows, columns = line + down[:, None], line + right[:, None]
        rows_inside = (rows >= 0) & (rows < side)
        columns_inside = (columns >= 0) & (columns < side)
        rows, columns = rows.clamp(0, side - 1), columns.clamp(0, side - 1)
        columns = torch.where(flip[:, None], side - 1 - columns, columns)
        pixels = self.pixels[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        inside = rows_inside[:, :, None] & columns_inside[:, None, :]
        return normalise(pixels, self.mean, self.deviation) * inside[:, None]
