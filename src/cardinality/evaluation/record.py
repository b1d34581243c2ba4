"""The record of what was measured of given weights, and the page of all such records."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from cardinality.architecture.settings import Stem
from cardinality.common import text
from cardinality.common.errors import UserError
from cardinality.common.files import guard, read_text, written_aside
from cardinality.common.strict import Strict
from cardinality.data.listing import Sample
from cardinality.evaluation.counting import Way
from cardinality.evaluation.scales import Scales
from cardinality.evaluation.views import Crops, Interpolation, Views
from cardinality.experiment.run import Numerics
from cardinality.host.machine import Precision
from cardinality.host.provenance import Provenance
from cardinality.nets.network import ResNeXt
from cardinality.report.markdown import to_markdown
from cardinality.report.wording import number
from cardinality.training.tally import has_top5

CONFIDENCE = 0.95
# What was measured, and how: measured again, it takes the place of the former record.
WHAT = (
    *("weights", "weights_checksum", "choice", "stem", "variant"),
    *("data", "data_checksum", "among", "names_checksum"),
    *("resize", "crop", "views", "scales", "interpolation"),
)
LARGEST = 1_000_000  # bytes of a record; ours are some thousand


class Evaluation(Strict):
    """What was measured of one set of weights; errors and their bounds in percent.

    Attributes:
        weights, weights_checksum: the file's name, and SHA-256 over its bytes (16 digits of it).
        data: the folder's name and that of the one it lies in.
        data_checksum: over names of all images; 16 hexadecimal digits.
        precision: of the forward pass.
        numerics: the run's, where its weights were evaluated as it was; else nothing.
        choice: which of several sets of weights in the file it is; nothing where there is one.
        images: how many there are, n.
        resize, crop, views, scales, interpolation: what of an image was looked at.
        variant: in what the net is none of the paper's, in words.
        stem: of the net; of weights of one shape there are several.
        among: how many of the classes competed, where not all did.
        names_checksum: over the names of those that competed in their order, where they were given.
        top1_error, top5_error: with the bounds of a 95 % Wilson interval; no top-5 error with
            five classes or fewer. The interval is of the images drawn, not of training again.
    """

    weights: str
    weights_checksum: str
    setting: str
    depth: int
    data: str
    data_checksum: str
    precision: Precision
    numerics: Numerics | None = None
    choice: str | None = None
    images: int
    classes: int
    resize: int | None
    crop: int | None
    views: Views
    scales: tuple[int, ...] | None = None
    variant: str = ""
    stem: Stem = "imagenet"
    among: int | None = None
    names_checksum: str | None = None
    interpolation: Interpolation
    top1_error: float
    top1_interval: tuple[float, float]
    top5_error: float | None
    top5_interval: tuple[float, float] | None
    provenance: Provenance
    finished: str


def _names_checksum(samples: list[Sample], folder: Path) -> str:
    names = "\n".join(str(Path(name).relative_to(folder)) for name, _ in samples)
    return _checksum(names)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


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
    looks: Crops | Scales,
    chosen: Way,
    provenance: Provenance,
    choice: str | None = None,
    among: Sequence[str] | None = None,
) -> Evaluation:
    """Put together what was measured.

    Args:
        path, net: the weights.
        wrong: of top-1 and top-5.
        samples, folder, looks, chosen, provenance: on what and how.
        choice: which of several sets of weights in the file it is.
        among: the names of the classes that competed, in the order of the labels; where none are
            given, the folders'.
    """
    architecture = net.architecture
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    n, five = len(samples), has_top5(len(among or ()) or architecture.classes)
    return Evaluation(
        weights=path.name,
        weights_checksum=checksum,
        setting=str(architecture.setting),
        depth=architecture.depth,
        data="/".join(folder.resolve().parts[-2:]),
        data_checksum=_names_checksum(samples, folder),
        precision=chosen.numerics.precision,
        numerics=chosen.numerics if chosen.as_trained else None,
        choice=choice,
        images=n,
        classes=architecture.classes,
        variant=architecture.variant,
        stem=architecture.stem,
        among=None if among is None or len(among) == architecture.classes else len(among),
        names_checksum=None if among is None else _checksum("\n".join(among)),
        **looks.described,
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
    what = found.model_dump_json(include={*WHAT})
    name = f"{text.file_name(Path(found.weights).stem)}-{_checksum(what)}"
    guard(folder)
    record = folder / f"{name}.json"
    with written_aside(record) as aside:
        aside.write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
    table = folder / "evaluations.md"
    with written_aside(table) as aside:
        aside.write_text(page(read(folder)), encoding="utf-8")
    return table


def read(folder: Path) -> list[Evaluation]:
    """Every record in a folder, by name.

    Raises:
        UserError: a file that is no record.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(Evaluation.model_validate_json(read_text(path, LARGEST)))
        except (OSError, ValueError):
            raise UserError(f"{path}: no record of an evaluation; move it elsewhere") from None
    return records


def _named(record: Evaluation) -> str:
    """The file's name, and which of several sets in it was taken."""
    return f"{record.weights} ({record.choice})" if record.choice else record.weights


def _net(record: Evaluation) -> str:
    """The setting, and in what else than its depth the net is not the paper's of ImageNet."""
    stem = "" if record.stem == "imagenet" else f"stem {record.stem}"
    return ", ".join(filter(None, (record.setting, record.variant, stem)))


def _looked(record: Evaluation) -> str:
    """What of an image was looked at."""
    if record.scales is not None:
        return f"{', '.join(map(str, record.scales))}, {record.views}"
    return f"{record.resize}, {record.crop}, {record.views}"


def _told_apart(named: Iterable[tuple[str, str]]) -> list[str]:
    """Names, with how their checksum begins where one name stands for several things."""
    pairs = list(named)
    counts = Counter(name for name, _ in {*pairs})
    return [f"{name} ({sha[:8]})" if counts[name] > 1 else name for name, sha in pairs]


def page(records: list[Evaluation]) -> str:
    """The table of evaluated weights, named by weight set."""

    def error(value: float | None, bounds: tuple[float, float] | None) -> str:
        if value is None or bounds is None:
            return number(math.nan)
        return f"{value:.2f} ({bounds[0]:.2f} to {bounds[1]:.2f})"

    rows = {
        "weights": _told_apart((_named(r), r.weights_checksum) for r in records),
        "setting": [_net(record) for record in records],
        "depth": [str(record.depth) for record in records],
        "data": _told_apart((r.data, r.data_checksum) for r in records),
        "n": [f"{record.images:,}" for record in records],
        "classes": [f"{record.among or record.classes:,}-way" for record in records],
        "resize, crop, views": [
            f"{_looked(record)} ({record.interpolation})" for record in records
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
