"""Class folders, looked through once before hours are spent on them.

Everything that is wrong is named at once. The result is kept beside the data under a hash of
every file's name, size and time of change, so that the headers are read again only after a change.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from cardinality.data.decoding import ENDINGS, UnreadableImage, open_image
from cardinality.data.folders import File, Split
from cardinality.datasets import Folders
from cardinality.errors import UserError
from cardinality.files import written_aside

# Part of the kept result's name; to be raised when the checks change.
VERSION = 1
# An error names so many problems, each cut to so many characters.
SHOWN, LENGTH = 8, 200
# Headers are read side by side: with cold disks the time is spent waiting.
READERS = 16


@dataclass(frozen=True)
class Report:
    """What was found in good folders.

    Attributes:
        checksum: over names and sizes of all files; 16 hexadecimal digits.
        grey, alpha: how many images are not in three colours and will be converted.
        top5: whether there are classes enough for a top-5 error.
    """

    checksum: str
    grey: int
    alpha: int
    top5: bool


def check(train: Split, test: Split, data: Folders, cache: Path) -> Report:
    """Check both splits against each other, the protocol and themselves.

    Args:
        train, test: as `cardinality.data.folders.scan` found them.
        data: what the protocol says of them.
        cache: folder in which the result is kept.

    Raises:
        UserError: in one line, everything that is wrong, the first `SHOWN` problems by name.
    """
    kept = cache / f"checked-{VERSION}-{_digest(train, test, times=True)}.json"
    problems = list(_structure(train, test, data))
    if kept.exists() and not problems:
        return Report(**json.loads(kept.read_text()))
    modes: Counter[str] = Counter()
    for split in (train, test):
        problems += _headers(split, modes)
    if problems:
        shown = "; ".join(problem[:LENGTH] for problem in problems[:SHOWN])
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(f"{train.path.parent}: {len(problems)} wrong: {shown}{more}")
    alpha = sum(modes[mode] for mode in ("LA", "PA", "RGBA", "La", "RGBa"))
    grey = sum(modes[mode] for mode in ("1", "L", "LA", "I", "I;16", "F", "La"))
    checksum = _digest(train, test, times=False)
    report = Report(checksum, grey, alpha, top5=len(train.classes) >= 5)
    with written_aside(kept) as aside:
        aside.write_text(json.dumps(asdict(report)))
    return report


def _structure(train: Split, test: Split, data: Folders) -> Iterator[str]:
    """What can be seen from the names alone."""
    name, other = train.path.name, test.path.name
    for folder in sorted(train.classes.keys() - test.classes.keys()):
        yield f"class {folder} is in {name} and not in {other}"
    for folder in sorted(test.classes.keys() - train.classes.keys()):
        yield f"class {folder} is in {other} and not in {name}"
    if len(train.classes) != data.classes:
        found = f"{name} has {len(train.classes):,} classes"
        yield f"{found}, the protocol's data.classes {data.classes:,}"
    for split, count, key in ((train, data.train, "train"), (test, data.test, "test")):
        if split.count != count:
            found = f"{split.path.name} has {split.count:,} images"
            yield f"{found}, the protocol's data.{key} {count:,}"
        yield from (
            f"{split.path.name}/{folder} is empty"
            for folder, files in split.classes.items()
            if not files
        )


def _headers(split: Split, modes: Counter[str]) -> list[str]:
    """Read every image's header; count the colour modes and return what is wrong."""

    def look(file: File) -> tuple[str | None, str | None]:
        path = split.path / file.name
        if not file.name.lower().endswith(ENDINGS):
            return None, f"{path}: no image by its ending; allowed: {', '.join(ENDINGS)}"
        try:
            with open_image(path) as image:
                return image.mode, None
        except UnreadableImage as error:
            return None, str(error)

    with ThreadPoolExecutor(READERS) as pool:
        looks = list(pool.map(look, split.files))
    modes.update(mode for mode, _ in looks if mode)
    return [problem for _, problem in looks if problem]


def _digest(train: Split, test: Split, times: bool) -> str:
    digest = hashlib.sha256()
    for split in (train, test):
        for file in split.files:
            time = file.changed if times else 0
            digest.update(f"{split.path.name}/{file.name}\0{file.size}\0{time}\n".encode())
    return digest.hexdigest()[:16]
