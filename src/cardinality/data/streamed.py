"""Photographs on their way to the device: decoded and cropped by worker processes as needed.

A worker is told for each image which file to read and, in training, the seed of its crop; so what
an epoch sees depends on the run's seed and the epoch alone, however many workers there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info
from torchvision.transforms import v2

from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.data.augmentation import IMAGENET_STATISTICS, Colour, normalise
from cardinality.data.decoding import UnreadableImage, decode
from cardinality.data.listing import Sample
from cardinality.data.loaders import ENLARGE, fitting
from cardinality.data.shares import Shuffled, cut
from cardinality.experiment.datasets import Folders
from cardinality.host import limits
from cardinality.host.processes import end_with_parent

# The authors' datasets/transforms.lua scales bicubically; it does not smooth before it makes
# images smaller, which torchvision does.
INTERPOLATION = v2.InterpolationMode.BICUBIC
# So long a loader waits for a batch before it says that none came; slow disks take seconds.
PATIENCE = 600.0
Loaded = TypeVar("Loaded")

# What a worker is asked for: the file, its label and in training the seed of its crop.
Request = tuple[str, int, int | None]
# Pixels (3, side, side) uint8 and label; a message where the file cannot be decoded.
Answer = tuple[Tensor, int] | str


class Decoder(Dataset[Answer]):
    """What a worker does: a request in, pixels out."""

    def __init__(self, data: Folders) -> None:
        # Both pass an image of the right size on as it is.
        self.random_crop = v2.RandomResizedCrop(
            data.side, scale=(data.area, 1.0), interpolation=INTERPOLATION, antialias=True
        )
        self.centre_crop = v2.Compose(
            [
                v2.Resize(data.resize, interpolation=INTERPOLATION, antialias=True),
                v2.CenterCrop(data.side),
            ]
        )

    def __getitem__(self, request: Request) -> Answer:
        name, label, seed = request
        try:
            image = torch.from_numpy(decode(Path(name))).permute(2, 0, 1)
        except UnreadableImage as error:
            return str(error)
        if seed is None:
            return self.centre_crop(image), label
        # Torchvision draws from torch's global generator. This one is the worker's own.
        torch.default_generator.manual_seed(seed)
        return self.random_crop(image), label


def collate(answers: list[Answer]) -> tuple[Tensor, Tensor] | str:
    """Images (B, 3, side, side) uint8 and labels (B,), or the first message.

    In a loader's process both lie in shared memory at once: where there is no room for them, the
    error is raised here and told. What passes them on would lose them and say nothing.
    """
    images, labels = [], []
    for answer in answers:
        if isinstance(answer, str):
            return answer
        images.append(answer[0])
        labels.append(answer[1])
    batch = torch.stack(images), torch.tensor(labels)
    if get_worker_info() is not None:
        for part in batch:
            part.share_memory_()
    return batch


@dataclass(frozen=True)
class Choices:
    """What augmentation does to each of N images.

    Attributes:
        crop: (N,) int64, seeds of the random-resized crops.
        flip: (N,) bool, whether the image is mirrored.
        colour: what is done to the colours, if anything.
    """

    crop: Tensor
    flip: Tensor
    colour: Colour | None

    @classmethod
    def draw(cls, n: int, data: Folders, flip: bool, generator: torch.Generator) -> "Choices":
        """Draw them with the CPU's generator, the same on every device."""
        # Torch's generator takes 32 bits of a seed.
        crop = torch.randint(2**32, (n,), generator=generator)
        mirrored = torch.rand(n, generator=generator) < (0.5 if flip else 0.0)
        colour = None
        if data.jitter or data.lighting:
            colour = Colour.draw(n, data.jitter, data.lighting, generator)
        return cls(crop, mirrored, colour)

    def __getitem__(self, chosen: slice | Tensor) -> "Choices":
        """Those of some images."""
        colour = None if self.colour is None else self.colour[chosen]
        return Choices(self.crop[chosen], self.flip[chosen], colour)


class StreamedImages(Shuffled[Choices]):
    """Class folders on their way to a device.

    Args:
        samples: the files, N of them, with their labels.
        data: sizes and augmentation.
        device: where batches go.
        flip: whether half of the training images are mirrored.
        workers: processes that decode, where there is room for what they share; by default as
            many as `cardinality.data.loaders.default_workers` says.
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        data: Folders,
        device: torch.device,
        flip: bool = False,
        workers: int | None = None,
    ) -> None:
        self.samples, self.data, self.device, self.flip = samples, data, device, flip
        self.mean = torch.tensor(IMAGENET_STATISTICS[0], device=device)
        self.deviation = torch.tensor(IMAGENET_STATISTICS[1], device=device)
        self.requests: list[list[Request]] = []
        self.wanted = workers
        self._loader: DataLoader[Answer] | None = None

    def _ready(self, size: int) -> DataLoader[Answer]:
        """The processes that decode; started when it is known what they will share."""
        if self._loader is None:
            found = fitting(min(size, len(self)) * 3 * self.data.side**2, self.wanted)
            # Forked processes inherit torch's threads in the middle of what they do; these start
            # from a clean one, once a run, because they persist from epoch to epoch.
            context = torch.multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([__name__])
            self._loader = DataLoader(
                Decoder(self.data),
                batch_sampler=self.requests,
                num_workers=found.workers,
                timeout=PATIENCE,
                collate_fn=collate,
                pin_memory=self.device.type == "cuda",
                prefetch_factor=found.prefetch,
                persistent_workers=True,
                worker_init_fn=_begin,
                multiprocessing_context=context,
                # Else every epoch would take a number from torch's global generator.
                generator=torch.Generator(),
            )
        return self._loader

    def __len__(self) -> int:
        return len(self.samples)

    def draw(self, generator: torch.Generator) -> Choices:
        """What an epoch does to each image."""
        return Choices.draw(len(self), self.data, self.flip, generator)

    def batches(
        self, order: Tensor, choices: Choices, size: int | Sequence[int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Shuffled.batches` says.

        Raises:
            UnreadableImage: a file cannot be decoded.
        """
        requests: list[Request] = [
            (*self.samples[index], seed)
            for index, seed in zip(order.tolist(), choices.crop.tolist(), strict=True)
        ]
        # Now and not batch by batch, which would wait for a GPU each time.
        flip = choices.flip.to(self.device)[:, None, None, None]
        colour = None if choices.colour is None else choices.colour.to(self.device)
        for part, (pixels, labels) in self._decoded(requests, size):
            pixels = torch.where(flip[part], pixels.flip(2), pixels)
            if colour is None:
                yield normalise(pixels, self.mean, self.deviation), labels
            else:
                yield colour[part].apply(pixels, self.mean, self.deviation), labels

    def plain(self, size: int, chosen: range | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in order, cropped at the centre, in batches of ``size``: all, or ``chosen``."""
        places = range(len(self)) if chosen is None else chosen
        requests: list[Request] = [(*self.samples[place], None) for place in places]
        for _, (pixels, labels) in self._decoded(requests, size):
            yield normalise(pixels, self.mean, self.deviation), labels

    def _decoded(
        self, requests: list[Request], size: int | Sequence[int]
    ) -> Iterator[tuple[slice, tuple[Tensor, Tensor]]]:
        """For each batch its images' places, and pixels (B, side, side, 3) with labels."""
        parts = list(cut(len(requests), size))
        loader = self._ready(size if isinstance(size, int) else max(size, default=1))
        self.requests[:] = [requests[part] for part in parts]
        for part, batch in zip(parts, patiently(loader), strict=True):
            if isinstance(batch, str):
                raise UnreadableImage(batch)
            pixels, labels = (part.to(self.device, non_blocking=True) for part in batch)
            yield part, (pixels.permute(0, 2, 3, 1).contiguous(), labels)


def patiently(loader: Iterable[Loaded]) -> Iterator[Loaded]:
    """What a loader with a timeout gives; that none came, or a worker died, is said with why.

    Raises:
        UserError: it came to an end before its time.
    """
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader" not in str(error):
            raise
        room = (limits.shared_memory() or 0) / 2**20
        first = line(str(error).splitlines()[0], 150)
        raise UserError(
            f"a loader gave no batch ({first}); {room:,.0f} MiB are free in {limits.SHARED};"
            f" {ENLARGE}, and disks that answer"
        ) from None


def _begin(_worker: int) -> None:
    """End with the run's process, which has kept stop signals from all that it starts."""
    end_with_parent()
