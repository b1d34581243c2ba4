"""Top-1 and top-5 error of given weights on a folder of class folders."""

import hashlib
import json
import math
import multiprocessing
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_to_tensor

from cardinality.common.errors import UserError
from cardinality.common.files import written_aside
from cardinality.common.strict import Strict
from cardinality.data.augmentation import IMAGENET_STATISTICS
from cardinality.data.decoding import ENDINGS, UnreadableImage, decode
from cardinality.data.images import Statistics
from cardinality.data.listing import Sample, scan
from cardinality.data.streamed import Answer, collate
from cardinality.host.machine import Precision
from cardinality.host.provenance import Provenance
from cardinality.nets.network import ResNeXt
from cardinality.report.markdown import number, to_markdown
from cardinality.training.numerics import exact_float32

Views = Literal["center", "ten"]
BATCH = 50
CONFIDENCE = 0.95


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
    interpolation: Literal["bilinear", "bicubic"]

    def transform(self, statistics: Statistics) -> v2.Compose:
        """From a PIL image to its views (V, 3, crop, crop), normalised.

        Args:
            statistics: mean and deviation of each channel, in 0 to 255.
        """
        mean, deviation = ([value / 255 for value in values] for values in statistics)
        # Torchvision's published weights come with just this (its presets.ImageClassification).
        return v2.Compose(
            [
                v2.Resize(self.resize, InterpolationMode(self.interpolation), antialias=True),
                v2.TenCrop(self.crop) if self.views == "ten" else v2.CenterCrop(self.crop),
                stack,
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, deviation),
            ]
        )


def stack(views: Image.Image | tuple[Image.Image, ...]) -> Tensor:
    """Views as one tensor (V, 3, H, W) of uint8.

    Of a tuple of tensors the transforms that follow would take the first one alone.
    """
    images = views if isinstance(views, tuple) else (views,)
    return torch.stack([pil_to_tensor(image) for image in images])


class Photographs(Dataset[Answer]):
    """Decodes and transforms; an image that cannot be read gives a message in its place."""

    def __init__(self, samples: list[Sample], crops: Crops, statistics: Statistics) -> None:
        self.samples = samples
        self.transform = crops.transform(statistics)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Answer:
        name, label = self.samples[index]
        try:
            return self.transform(Image.fromarray(decode(Path(name)))), label
        except UnreadableImage as error:
            return str(error)


class Evaluation(Strict):
    """What was measured of one set of weights; errors and their bounds in percent.

    Attributes:
        weights, weights_checksum: the file's name, and SHA-256 over its bytes (16 digits of it).
        data: the folder's name and that of the one it lies in.
        data_checksum: over names of all images; 16 hexadecimal digits.
        precision: of the forward pass.
        images: how many there are, n.
        top1_error, top5_error: with the bounds of a 95 % Wilson interval; no top-5 error with
            fewer than five classes. The interval is of the images drawn, not of training again.
    """

    weights: str
    weights_checksum: str
    setting: str
    depth: int
    data: str
    data_checksum: str
    precision: Precision
    images: int
    classes: int
    resize: int
    crop: int
    views: Views
    interpolation: Literal["bilinear", "bicubic"]
    top1_error: float
    top1_interval: tuple[float, float]
    top5_error: float | None
    top5_interval: tuple[float, float] | None
    provenance: Provenance
    finished: str


def find_samples(folder: Path, classes: int) -> list[Sample]:
    """Every image of a folder of class folders with its label, as torchvision's ImageFolder.

    Raises:
        UserError: no such folder, another number of classes than the net has, or no image.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; allowed: one with a folder a class")
    split = scan(folder)
    if len(split.classes) != classes:
        shown = ", ".join(list(split.classes)[:5])
        raise UserError(
            f"{folder}: {len(split.classes)} class folders ({shown}...), and the weights have"
            f" {classes} classes; allowed: as many folders as classes"
        )
    samples = [sample for sample in split.samples() if sample[0].lower().endswith(ENDINGS)]
    if not samples:
        raise UserError(f"{folder}: no images; allowed: {' '.join(ENDINGS)}")
    return samples


def _names_checksum(samples: list[Sample], folder: Path) -> str:
    names = "\n".join(str(Path(name).relative_to(folder)) for name, _ in samples)
    return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:16]


def precision_of(metadata: dict[str, str]) -> Precision:
    """What weights were trained in: of ours it stands in the file, else float32."""
    return "bfloat16" if metadata.get("precision") == "bfloat16" else "float32"


def statistics_of(metadata: dict[str, str]) -> Statistics:
    """What weights were trained with: of ours it stands in the file, else ImageNet's.

    Raises:
        UserError: it stands there and is no mean and deviation of three channels.
    """
    if "statistics" not in metadata:
        return IMAGENET_STATISTICS
    try:
        mean, deviation = (tuple(map(float, part)) for part in json.loads(metadata["statistics"]))
    except (ValueError, TypeError):
        mean = deviation = ()
    if len(mean) != 3 or len(deviation) != 3 or min(deviation) <= 0:
        raise UserError("weights: their statistics are no mean and deviation of three channels")
    return mean, deviation


@torch.no_grad()
def count_errors(
    net: ResNeXt,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    precision: Precision = "float32",
) -> tuple[int, int]:
    """How many images are wrong by top-1 and by top-5.

    Args:
        net: in evaluation mode on the device.
        batches: views (B, V, 3, H, W) and labels (B,).
        precision: in which convolutions multiply.
    """
    exact_float32()
    wrong1 = wrong5 = 0
    for views, labels in batches:
        b, v = views.shape[:2]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = net(views.flatten(0, 1).to(device))
        logits = logits.float().view(b, v, -1).mean(1)
        ranked = logits.topk(min(5, logits.shape[1])).indices == labels.to(device)[:, None]
        wrong1 += b - int(ranked[:, 0].sum())
        wrong5 += b - int(ranked.sum())
    return wrong1, wrong5


def stream(
    samples: list[Sample], crops: Crops, statistics: Statistics, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Views (B, V, 3, H, W) and labels of every image in order.

    Raises:
        UnreadableImage: by name, an image that cannot be decoded.
    """
    context = multiprocessing.get_context("forkserver") if workers else None
    loader = DataLoader(
        Photographs(samples, crops, statistics),
        BATCH,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=context,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise UnreadableImage(batch)
        yield batch


def interval(wrong: int, images: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an error, in percent."""
    bounds = binomtest(wrong, images).proportion_ci(CONFIDENCE, "wilson")
    return 100 * float(bounds.low), 100 * float(bounds.high)


def evaluation(
    path: Path,
    net: ResNeXt,
    wrong: tuple[int, int],
    samples: list[Sample],
    folder: Path,
    crops: Crops,
    precision: Precision,
    provenance: Provenance,
) -> Evaluation:
    """Put together what was measured; ``wrong`` is of top-1 and top-5."""
    architecture = net.architecture
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    n, five = len(samples), architecture.classes >= 5
    return Evaluation(
        weights=path.name,
        weights_checksum=checksum,
        setting=str(architecture.setting),
        depth=architecture.depth,
        data="/".join(folder.resolve().parts[-2:]),
        data_checksum=_names_checksum(samples, folder),
        precision=precision,
        images=n,
        classes=architecture.classes,
        **asdict(crops),
        top1_error=100 * wrong[0] / n,
        top1_interval=interval(wrong[0], n),
        top5_error=100 * wrong[1] / n if five else None,
        top5_interval=interval(wrong[1], n) if five else None,
        provenance=provenance,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write(found: Evaluation, folder: Path) -> Path:
    """Write a record into a folder, and the table of all records that are there.

    Returns:
        The table, a Markdown file. It stands by itself: weights from elsewhere were made by other
        recipes, and are never put in a cell beside runs that were trained here.
    """
    key = f"{found.weights_checksum}-{found.data}-{found.data_checksum}-{found.resize}"
    key += f"-{found.crop}-{found.views}-{found.interpolation}"
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{Path(found.weights).stem}-{key}")
    record = folder / f"{name}.json"
    with written_aside(record) as aside:
        aside.write_text(found.model_dump_json(indent=1) + "\n")
    table = folder / "evaluations.md"
    table.write_text(page(read(folder)))
    return table


def read(folder: Path) -> list[Evaluation]:
    """Every record in a folder, by name.

    Raises:
        UserError: a file that is no record.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(Evaluation.model_validate_json(path.read_text()))
        except (OSError, ValueError):
            raise UserError(f"{path}: no record of an evaluation; move it elsewhere") from None
    return records


def page(records: list[Evaluation]) -> str:
    """The table of evaluated weights, named by weight set."""

    def error(value: float | None, bounds: tuple[float, float] | None) -> str:
        if value is None or bounds is None:
            return number(math.nan)
        return f"{value:.2f} ({bounds[0]:.2f} to {bounds[1]:.2f})"

    rows = {
        "weights": [record.weights for record in records],
        "setting": [record.setting for record in records],
        "depth": [str(record.depth) for record in records],
        "data": [record.data for record in records],
        "n": [f"{record.images:,}" for record in records],
        "resize, crop, views": [
            f"{record.resize}, {record.crop}, {record.views} ({record.interpolation})"
            for record in records
        ],
        "top-1 error, %": [error(r.top1_error, r.top1_interval) for r in records],
        "top-5 error, %": [error(r.top5_error, r.top5_interval) for r in records],
    }
    return (
        "# Given weights, evaluated\n\n"
        "Weights from elsewhere were trained by other recipes: compare them with each other, not"
        " with the runs of this suite.\n\n"
        + to_markdown({heading: pd.Series(cells) for heading, cells in rows.items()})
        + "\n\nIn brackets the 95 % Wilson interval of the error over the n images; it says nothing"
        " of another training.\n"
    )
