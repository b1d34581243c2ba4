"""What does not hold together among a protocol's results."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.text import plural
from cardinality.results import manifest
from cardinality.results.folder import CORRECT, RECORD, Results, counts_of
from cardinality.results.images import TestImages
from cardinality.results.records import Record


@dataclass(frozen=True)
class Verified:
    """What came of looking at everything that lies in a protocol's folder.

    Attributes:
        finished: how many finished runs hold together.
        unsound: what is wrong with records, a line each; tables leave them out.
        beside: what is wrong besides, a line each; no table is another for it.
    """

    finished: int
    unsound: tuple[str, ...]
    beside: tuple[str, ...]


def verify(results: Results) -> Verified:
    """Look at every record, its images, and the repository's files."""
    records, unsound = results.read_all()
    done = [record for record in records if record.status == "done"]
    beside = (
        *_of_no_net(records),
        *_without_labels(done, results),
        *_without_record(results.folder),
        *_changed(results.folder),
    )
    return Verified(len(done), tuple(unsound.values()), beside)


def _of_no_net(records: Iterable[Record]) -> Iterator[str]:
    """Records whose counts have nothing to be held to."""
    for record in records:
        try:
            counts_of(record)
        except UserError as error:
            yield f"{record.name}: {error}"


def _without_labels(records: Iterable[Record], results: Results) -> Iterator[str]:
    """Labels that are not there of images that finished runs were evaluated on."""
    evaluated = defaultdict(list)
    for record in records:
        correct = results.correct(record)
        if correct is not None:
            evaluated[record.data_checksum].append((record.name, len(correct.right)))
    for checksum, runs in evaluated.items():
        path = results.images(checksum)
        try:
            known = len(TestImages.read(path).labels)
        except UserError as error:
            yield f"{error}; {plural(len(runs), 'run')} evaluated on these images"
            continue
        for name, count in runs:
            if count != known:
                yield f"{name}: {CORRECT} is of {count:,} images, {path} has {known:,}"


def _without_record(folder: Path) -> Iterator[str]:
    for path in sorted([*(folder / "runs").glob("*"), *(folder / "failed").glob("*")]):
        if not (path / RECORD).is_file():
            what = f"has no {RECORD}" if path.is_dir() else "is no folder"
            yield f"{path}: {what}; the run counts as missing"


def _changed(folder: Path) -> Iterator[str]:
    """Files that the repository brings and that are not as it brings them."""
    try:
        listed = manifest.read(folder)
    except UserError as error:
        yield str(error)
        return
    for name, expected in listed.items():
        path = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            yield f"{folder / manifest.NAME}: {name!r} leads out of the folder"
        elif not path.is_file():
            yield f"{path}: comes with the repository and is not there"
        elif manifest.digest(path) != expected:
            yield f"{path}: is not as the repository brings it"
