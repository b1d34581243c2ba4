"""Class folders, looked through once before hours are spent on them.

Everything that is wrong is named at once. The result is kept beside the data under a hash of
every file's name, size and time of change, so that headers are read again only after a change.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.data.decoding import ENDINGS, UnreadableImage, open_image
from cardinality.data.listing import File, Split, fingerprint
from cardinality.experiment.datasets import Folders

# Part of the kept result's name; to be raised when the checks change.
VERSION = 2
# An error names so many problems, each cut to so many characters.
SHOWN, LENGTH = 8, 200
# Headers are read side by side: with cold disks the time is spent waiting.
READERS = 16


def check(train: Split, test: Split, data: Folders, cache: Path) -> None:
    """Check both splits against each other, the protocol and themselves.

    Args:
        train, test: as `cardinality.data.listing.scan` found them.
        data: what the protocol says of them.
        cache: folder in which it is kept that they are good.

    Raises:
        UserError: in one line, everything that is wrong, the first `SHOWN` problems by name.
    """
    kept = cache / f"checked-{VERSION}-{fingerprint((train, test), times=True)}"
    problems = list(_structure(train, test, data))
    if kept.exists() and not problems:
        return
    problems += [*_headers(train), *_headers(test)]
    if problems:
        shown = "; ".join(problem[:LENGTH] for problem in problems[:SHOWN])
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(f"{train.path.parent}: {len(problems)} wrong: {shown}{more}")
    cache.mkdir(parents=True, exist_ok=True)
    kept.touch()


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


def _headers(split: Split) -> Iterator[str]:
    """Read every image's header and say what is wrong."""

    def look(file: File) -> str | None:
        path = split.path / file.name
        if not file.name.lower().endswith(ENDINGS):
            return f"{path}: no image by its ending; allowed: {', '.join(ENDINGS)}"
        try:
            with open_image(path):
                return None
        except UnreadableImage as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as pool:
        yield from filter(None, pool.map(look, split.files))
