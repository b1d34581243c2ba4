"""Class folders, looked through once before hours are spent on them.

Every set that enters comes through here: photographs to train on, CIFAR's class folders, and the
folder that given weights are evaluated on. Everything that is wrong is named at once. The result is
kept beside the data under a hash of every file's name, size and time of change, so that headers are
read again only after a change.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.text import LONGEST, line, plural
from cardinality.data.decoding import UnreadableImage, open_image
from cardinality.data.listing import ENDINGS, File, Sample, Split, fingerprint, scan
from cardinality.experiment.datasets import Folders

# Part of the kept result's name; to be raised when the checks change.
VERSION = 3
# Each problem that an error names is cut to so many characters; as many are named as fit.
LENGTH = 110
# Headers are read side by side: with cold disks the time is spent waiting. ImageNet's are asked
# for by parts, since a million requests at once are 2 GiB.
READERS, PART = 16, 4096
# What copies of a file are called by desktops, browsers and Jupyter.
COPY = re.compile(r"(\(\d+\)|-checkpoint|[ _-]copy( \d+)?)\.[^.]*$|^Copy of ", re.IGNORECASE)


def check(train: Split, test: Split, data: Folders, cache: Path) -> None:
    """Check both splits against each other, the protocol and themselves.

    Args:
        train, test: as `cardinality.data.listing.scan` found them.
        data: what the protocol says of them.
        cache: folder in which it is kept that they are good.

    Raises:
        UserError: in one line, everything that is wrong, the first problems by name.
    """
    kept = cache / f"checked-{VERSION}-{fingerprint((train, test), times=True)}"
    problems = [*_pair(train, test, data.class_list), *_counts(train, test, data)]
    if kept.exists() and not problems:
        return
    problems += [*_headers(train), *_headers(test)]
    _stop_at(problems, train.path.parent)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        kept.touch()
    except OSError:  # a folder that cannot be written is looked through again next time
        return


def check_names(train: Split, test: Split) -> None:
    """Check what the names alone say of two splits whose images are all decoded anyway.

    Raises:
        UserError: as `check`.
    """
    splits = (train, test)
    _stop_at([*_pair(train, test), *(p for s in splits for p in _endings(s))], train.path.parent)


def labelled(folder: Path, classes: int) -> list[Sample]:
    """Every image of one folder of class folders with its label, checked as those to train on are.

    Args:
        folder: that has a folder a class, in the order of the labels.
        classes: how many there must be.

    Raises:
        UserError: there is no such folder, or something is wrong with it.
    """
    split = split_of(folder)
    if len(split.classes) != classes:
        more = ", ..." if len(split.classes) > 5 else ""
        shown = line(", ".join([*split.classes][:5]), 100) + more
        count = plural(len(split.classes), "class folder")
        raise UserError(
            f"{folder}: {count} ({shown}), and {classes:,} classes are asked for; allowed: as many"
            " folders as classes"
        )
    return split.samples()


def split_of(folder: Path) -> Split:
    """A folder of class folders, checked as those to train on are.

    Raises:
        UserError: there is no such folder, or something is wrong with it.
    """
    if not folder.is_dir():
        what = "is there and is no folder" if os.path.lexists(folder) else "no such folder"
        raise UserError(f"{folder}: {what}; allowed: one with a folder a class")
    split = scan(folder)
    _stop_at([*_empty(split), *_headers(split)], folder)
    return split


def _stop_at(problems: list[str], place: Path) -> None:
    """Name as many problems as a line has room for."""
    if not problems:
        return
    message = f"{place}: {len(problems)} wrong: "
    for number, problem in enumerate(problems):
        left = len(problems) - number
        more = f"; and {left} more"
        part = ("; " if number else "") + line(problem.replace(f"{place}/", ""), LENGTH)
        if number and len(message) + len(part) + len(more) > LONGEST:
            raise UserError(message + more)
        message += part
    raise UserError(message)


def _pair(train: Split, test: Split, class_list: str | None = None) -> Iterator[str]:
    """What is wrong with the class folders of two splits; of a list, some may have no tests."""
    name, other = train.path.name, test.path.name
    if class_list is None:
        for folder in sorted(train.classes.keys() - test.classes.keys()):
            yield f"class {folder} is in {name} and not in {other}"
    for folder in sorted(test.classes.keys() - train.classes.keys()):
        yield f"class {folder} is in {other} and not in {name}"
    yield from (*_empty(train), *_empty(test))


def _empty(split: Split) -> Iterator[str]:
    yield from (
        f"{split.path.name}/{folder} is empty"
        for folder, files in split.classes.items()
        if not files
    )


def _counts(train: Split, test: Split, data: Folders) -> Iterator[str]:
    """Where there is another number of things than the protocol says."""
    if len(train.classes) != data.classes:
        found = f"{train.path.name} has {len(train.classes):,} classes"
        yield f"{found}, the protocol's data.classes {data.classes:,}"
    for split, count, key in ((train, data.train, "train"), (test, data.test, "test")):
        if split.count != count:
            found = f"{split.path.name} has {split.count:,} images"
            many = _odd(split) if split.count > count else ""
            yield f"{found}, the protocol's data.{key} {count:,}{many}"


def _odd(split: Split) -> str:
    """Which images may be the ones too many: copies by their names, else the fullest class."""
    copies = [file.name for file in split.files if COPY.search(Path(file.name).name)]
    if copies:
        return f" (copies by their names: {', '.join(copies[:2])})"
    sizes = {folder: len(files) for folder, files in split.classes.items()}
    usual = Counter(sizes.values()).most_common(1)[0][0]
    fullest = max(sizes, key=lambda folder: sizes[folder])
    if sizes[fullest] == usual:
        return ""
    newest = max(split.classes[fullest], key=lambda file: file.changed).name
    return f" ({fullest} has {sizes[fullest]:,}, most {usual:,}; newest: {newest})"


def _endings(split: Split) -> Iterator[str]:
    yield from filter(None, (_ending(split.path, file) for file in split.files))


def _ending(path: Path, file: File) -> str | None:
    if file.name.lower().endswith(ENDINGS):
        return None
    return f"{path / file.name}: no image by its ending; allowed: {' '.join(ENDINGS)}"


def _headers(split: Split) -> Iterator[str]:
    """Read every image's header and say what is wrong."""

    def look(file: File) -> str | None:
        wrong = _ending(split.path, file)
        if wrong is not None:
            return wrong
        try:
            with open_image(split.path / file.name):
                return None
        except UnreadableImage as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as pool:
        for part in _parts(split.files):
            yield from filter(None, pool.map(look, part))


def _parts(every: Iterable[File]) -> Iterator[list[File]]:
    source = iter(every)
    while part := list(islice(source, PART)):
        yield part
