"""Small images on the device as uint8: batches are cropped, flipped and normalised there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from cardinality.data.augmentation import normalise
from cardinality.data.images import ImageSet, Statistics
from cardinality.data.shares import Shuffled, cut


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

    def __getitem__(self, chosen: slice | Tensor) -> "Choices":
        """Those of some images."""
        return Choices(self.down[chosen], self.right[chosen], self.flip[chosen])


class ResidentImages(Shuffled[Choices]):
    """A set of images on a device.

    Args:
        images: N images of one side.
        statistics: mean and standard deviation of each channel, in 0 to 255.
        device: where they are kept.
        shift, flip: how an `epoch` is augmented; see `Choices.draw`. No image is moved further.
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
        pixels = torch.from_numpy(images.pixels).to(device)
        self.crops = windows(pixels, shift)
        self.inside = windows(torch.ones_like(pixels[:1], dtype=torch.float32), shift)[0]
        self.labels = torch.from_numpy(images.labels).to(device)
        self.mean = torch.tensor(statistics[0], device=device)
        self.deviation = torch.tensor(statistics[1], device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def draw(self, generator: torch.Generator) -> Choices:
        """What an epoch does to each image."""
        return Choices.draw(len(self), self.shift, self.flip, generator)

    def plain(self, size: int, chosen: range | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All images or the ``chosen``, normalised, in batches of ``size``; see `batches`."""
        chosen = range(len(self)) if chosen is None else chosen
        for start in chosen[::size]:
            part = slice(start, min(start + size, chosen.stop))
            pixels = self.crops[part, self.shift, self.shift].unflatten(2, (-1, 3))
            yield normalise(pixels, self.mean, self.deviation), self.labels[part]

    def batches(
        self, order: Tensor, choices: Choices, size: int | Sequence[int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Shuffled.batches` says."""
        device, shift = self.labels.device, self.shift
        if any(len(moves) and moves.abs().max() > shift for moves in (choices.down, choices.right)):
            raise ValueError(f"an image is moved by more than shift, {shift}")
        order, down, right, flip = (
            part.to(device) for part in (order, choices.down, choices.right, choices.flip)
        )
        # The image is mirrored, then moved: that is its crop from the opposite place, mirrored.
        # (datasets/cifar10.lua of fb.resnet.torch normalises, mirrors, pads with zeros, crops.)
        across = torch.where(flip, -right, right)
        for part in cut(len(order), size):
            chosen = order[part]
            crops = self.crops[chosen, shift + down[part], shift + across[part]]
            crops = crops.unflatten(2, (-1, 3))
            crops = torch.where(flip[part, None, None, None], crops.flip(2), crops)
            x = normalise(crops, self.mean, self.deviation)
            inside = self.inside[shift + down[part], shift + right[part]]
            x *= inside.unflatten(2, (-1, 3)).permute(0, 3, 1, 2)
            yield x, self.labels[chosen]


def windows(images: Tensor, shift: int) -> Tensor:
    """Every crop of images padded by ``shift`` on each side, as a view.

    Args:
        images: (N, side, side, 3).

    Returns:
        (N, 2 shift + 1, 2 shift + 1, side, 3 side): image, how far down and right the crop lies,
        then the crop, whose row is one piece in memory.
    """
    n, side = images.shape[:2]
    padded = pad(images, (0, 0, shift, shift, shift, shift)).contiguous()
    image, row, pixel, _ = padded.stride()
    places = 2 * shift + 1
    return padded.as_strided((n, places, places, side, 3 * side), (image, row, pixel, row, 1))
