"""What of an image is looked at, and the stream of it: files in class folders in, bytes out."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_to_tensor

from cardinality.data.decoding import UnreadableImage, decode
from cardinality.data.listing import Sample
from cardinality.data.loaders import fitting
from cardinality.data.streamed import PATIENCE, collate, patiently

Views = Literal["center", "ten", "whole"]
Interpolation = Literal["bilinear", "bicubic"]
# Of each image its views and its label; a message in place of one that cannot be read.
Answers = list[tuple[Any, int] | str]


@dataclass(frozen=True)
class Crops:
    """What of an image is looked at.

    Attributes:
        resize: length of its shorter side, in pixels.
        crop: side of the square that is cut out.
        views: the centre, or ten: the centre and four corners, and their mirror images; the
            logits are averaged (fb.resnet.torch's train.lua sums them).
        interpolation: of the resizing.
    """

    resize: int
    crop: int
    views: Views
    interpolation: Interpolation

    @property
    def count(self) -> int:
        """How many views of an image there are, V."""
        return 10 if self.views == "ten" else 1

    @property
    def pixels(self) -> int:
        """Of all views of an image."""
        return self.count * self.crop**2

    @property
    def described(self) -> dict[str, Any]:
        """What a record says of it."""
        return asdict(self)

    def look(self, image: Image.Image | Tensor) -> Tensor:
        """See `transform`."""
        return self.transform()(image)

    def together(self, answers: Answers) -> tuple[Tensor, Tensor] | str:
        """Views (B, V, 3, crop, crop) and labels (B,) of several images; or the first message."""
        return collate(answers)

    def transform(self) -> v2.Compose:
        """From an image, PIL's or (3, H, W) of uint8, to its views (V, 3, crop, crop) of uint8."""
        # Torchvision's published weights come with just this (its presets.ImageClassification).
        return v2.Compose(
            [
                v2.Resize(self.resize, InterpolationMode(self.interpolation), antialias=True),
                v2.TenCrop(self.crop) if self.views == "ten" else v2.CenterCrop(self.crop),
                stack,
            ]
        )


def stack(views: Image.Image | Tensor | tuple[Image.Image | Tensor, ...]) -> Tensor:
    """Views as one tensor (V, 3, H, W) of uint8."""
    images = views if isinstance(views, tuple) else (views,)
    return torch.stack(
        [image if isinstance(image, Tensor) else pil_to_tensor(image) for image in images]
    )


class Looks(Protocol):
    """What of an image is looked at: `Crops`, or `cardinality.evaluation.scales.Scales`."""

    @property
    def pixels(self) -> int:
        """Of all that is looked at of an image."""

    def look(self, image: Image.Image | Tensor) -> Any:
        """From an image, PIL's or (3, H, W) of uint8, to its views."""

    def together(self, answers: Answers) -> tuple[Any, Tensor] | str:
        """Views and labels of several images as one batch; a message takes its place."""


class Photographs(Dataset[Any]):
    """Decodes and cuts views; an image that cannot be read gives a message in its place.

    Args:
        samples: files and labels.
        looks: what of each is looked at.
        as_trained: resize by torch's code, as training does, and not by Pillow's, as those did
            who published weights: the two differ in the last bit of some pixels.
    """

    def __init__(self, samples: list[Sample], looks: Looks, as_trained: bool) -> None:
        self.samples, self.looks, self.as_trained = samples, looks, as_trained

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int] | str:
        name, label = self.samples[index]
        try:
            pixels = decode(Path(name))
            if self.as_trained:
                return self.looks.look(torch.from_numpy(pixels).permute(2, 0, 1)), label
            return self.looks.look(Image.fromarray(pixels)), label
        except UnreadableImage as error:
            return str(error)


def stream(
    samples: list[Sample],
    looks: Looks,
    batch: int,
    workers: int,
    as_trained: bool = False,
) -> Iterator[tuple[Any, Tensor]]:
    """Views (B, V, 3, H, W) of uint8 and labels (B,) of every image in order.

    Args:
        samples: files and labels.
        looks: what of each is looked at.
        batch: B, the last one excepted.
        workers: processes that decode.
        as_trained: see `Photographs`.

    Raises:
        UnreadableImage: by name, an image that cannot be decoded.
    """
    found = fitting(batch * 3 * looks.pixels, workers, prefetch=2)
    context = multiprocessing.get_context("forkserver") if workers else None
    loader = DataLoader(
        Photographs(samples, looks, as_trained),
        batch,
        num_workers=found.workers,
        prefetch_factor=found.prefetch if workers else None,
        collate_fn=looks.together,
        timeout=PATIENCE if workers else 0,
        multiprocessing_context=context,
    )
    for answer in patiently(loader):
        if isinstance(answer, str):
            raise UnreadableImage(answer)
        yield answer
