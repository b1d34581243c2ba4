"""What does not hold together among a protocol's results."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from cardinality.architecture.complexity import Complexity, complexity
from cardinality.common.errors import UserError
from cardinality.experiment.run import net_from
from cardinality.results import manifest
from cardinality.results.folder import CORRECT, Results
from cardinality.results.images import TestImages
from cardinality.results.records import Record


def problems(results: Results) -> Iterator[str]:
    """Everything that is wrong, a line each: records, their images, and the repository's files."""
    records, unsound = results.read_all()
    yield from unsound.values()
    for record in records:
        try:
            _check_counts(record)
            _check_images(record, results)
        except UserError as error:
            yield str(error)
    for folder in sorted((results.folder / "runs").glob("*")):
        if folder.is_dir() and not (folder / "run.json").is_file():
            yield f"{folder}: has no run.json; the run counts as missing"
    yield from _changed(results.folder)


def _check_counts(record: Record) -> None:
    """See that parameters, MACs and activations are those of the net that was configured."""
    try:
        side = record.configuration["data"].get("side", 32)  # CIFAR's does not stand there
        expected = _counts(tuple(record.configuration["net"].items()), side)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{record.name}: configuration.net: {error}") from None
    for count in ("params", "macs", "activations"):
        ours, theirs = getattr(record, count), getattr(expected, count)
        if ours != theirs:
            raise UserError(f"{record.name}: {count}: {ours:,}, and its net has {theirs:,}")


@lru_cache(maxsize=1000)
def _counts(net: tuple[tuple[str, Any], ...], side: int) -> Complexity:
    return complexity(net_from(dict(net)), side)


def _check_images(record: Record, results: Results) -> None:
    """See that the labels are there of the images that a finished run was evaluated on."""
    correct = results.correct(record)
    if correct is None:
        return
    path = results.images(record.data_checksum)
    labels = _labels(path)
    if len(labels.labels) != len(correct.right):
        raise UserError(
            f"{record.name}: {CORRECT} is of {len(correct.right):,} images, {path} has"
            f" {len(labels.labels):,}"
        )


@lru_cache(maxsize=8)
def _labels(path: Path) -> TestImages:
    return TestImages.read(path)


def _changed(folder: Path) -> Iterator[str]:
    """Files that the repository brings and that are not as it brings them."""
    for name, expected in manifest.read(folder).items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            yield f"{folder / manifest.NAME}: {name!r} leads out of the folder"
        elif not path.is_file():
            yield f"{path}: comes with the repository and is not there"
        elif manifest.digest(path) != expected:
            yield f"{path}: is not as the repository brings it"
