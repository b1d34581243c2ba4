"""The epochs of a run: what each gave, and the CSV file that they stand in."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cardinality.common.files import read_text, written_aside

LARGEST = 10_000_000  # bytes; 10,000 epochs are some 2,000,000
# Python's float() takes 1_0 and the digits of other scripts as well.
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave; losses are means, errors are in percent.

    The training loss and error are running averages over the epoch, under augmentation, as in
    the paper's Fig. 5; the test loss and errors are of the net as the epoch left it, on so many
    ``images``. With five classes or fewer there is no top-5 error. Of the seconds,
    ``input_seconds`` went by while training waited for its batches.
    """

    epoch: int
    rate: float
    train_loss: float
    train_error: float
    test_loss: float
    top1_error: float
    top5_error: float | None
    images: int
    seconds: float
    input_seconds: float


def write_epochs(path: Path, epochs: Sequence[Epoch]) -> None:
    """Write epochs as CSV, whole or not at all; what was not measured is empty."""
    with written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in epochs)


def read_epochs(path: Path) -> list[dict[str, float]]:
    """Every epoch in a file, in order; a figure that was not measured is not a number.

    Raises:
        ValueError: it has not the epochs 1, 2, 3 and so on, or holds what is no number.
        UserError: it cannot be read.
    """
    text = read_text(path, LARGEST)
    try:
        reader = csv.DictReader(text.splitlines())
        lines = list(reader)
    except csv.Error as error:  # a cell of more than 128 KB
        raise ValueError(f"no CSV: {error}") from None
    columns = reader.fieldnames or ()
    if len({*columns}) < len(columns):
        raise ValueError("a column stands twice")
    rows = [{key: _number(value) for key, value in line.items()} for line in lines]
    if [row.get("epoch") for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError("has not the epochs 1, 2, 3 and so on")
    return rows


def _number(text: Any) -> float:
    """A figure; empty is one that was not measured, and a line's end too many or few is none."""
    if not isinstance(text, str):
        raise ValueError("a line has more or fewer values than columns")
    value = float(text) if text else math.nan
    if text and not (math.isfinite(value) and PLAIN.fullmatch(text)):
        raise ValueError(f"{text[:40]!r} is no finite number")
    return value
