"""Class folders: which images there are, and that they are what the protocol says.

The classes and the order of images are those of torchvision's ImageFolder. That lists names alone;
here sizes and times are needed too, and no torch.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.experiment.datasets import HELD_OUT_EVERY, Folders

# An image file and its label.
Sample = tuple[str, int]


@dataclass(frozen=True)
class File:
    """A file: its path below the split's folder, size in bytes and time of change in ns."""

    name: str
    size: int
    changed: int


@dataclass(frozen=True)
class Split:
    """The training or the test images: every class folder and the files in it."""

    path: Path
    classes: dict[str, tuple[File, ...]]

    @property
    def files(self) -> Iterator[File]:
        """Every file, class by class."""
        return (file for files in self.classes.values() for file in files)

    @property
    def count(self) -> int:
        """How many files there are."""
        return sum(map(len, self.classes.values()))

    def samples(self) -> list[Sample]:
        """Every file's path with its label, class by class."""
        return [
            (str(self.path / file.name), label)
            for label, files in enumerate(self.classes.values())
            for file in files
        ]


@dataclass(frozen=True)
class ClassFolders:
    """A checked set of photographs.

    Attributes:
        data: what the protocol says of it.
        path: the folder that has both splits.
        train, test: files to train on and to measure the error on.
        classes: the folders' names, in the order of the labels.
        names_checksum: over names and sizes of all files; 16 hexadecimal digits.
    """

    data: Folders
    path: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    classes: tuple[str, ...]
    names_checksum: str

    def checksum(self) -> str:
        """Over names and sizes of all files, not their bytes: ImageNet has 150 GB of them."""
        return self.names_checksum


def scan(path: Path) -> Split:
    """List a split's class folders and files by name; hidden files are passed over."""
    folders = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    return Split(path, {folder: tuple(list_files(path, folder)) for folder in folders})


def fingerprint(splits: Iterable[Split], times: bool) -> str:
    """SHA-256 over every file's name and size, and its time of change if wanted; 16 digits."""
    digest = hashlib.sha256()
    for split in splits:
        for file in split.files:
            time = file.changed if times else 0
            digest.update(f"{split.path.name}/{file.name}\0{file.size}\0{time}\n".encode())
    return digest.hexdigest()[:16]


def list_files(path: Path, folder: str) -> Iterator[File]:
    """Every file at any depth of a folder in ``path``, by name; hidden files are passed over."""
    seen: set[str] = set()
    for place, folders, names in os.walk(path / folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back would be followed for ever
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for name in sorted(names):
            if not name.startswith("."):
                file = Path(place, name)
                try:
                    status = file.stat()
                except FileNotFoundError:  # a link to nowhere is found when headers are read
                    status = file.lstat()
                yield File(file.relative_to(path).as_posix(), status.st_size, status.st_mtime_ns)


def find_folders(data: Folders, root: Path, cache: Path) -> ClassFolders:
    """Find and check a set of class folders.

    Args:
        data: what the protocol says of it.
        root: the folder for data.
        cache: where the result of the check is kept.

    Raises:
        UserError: it is not there, or something is wrong with it.
    """
    from cardinality.data.checks import check

    places = [root / name for name in data.folders]
    place = next((place for place in places if (place / "train").is_dir()), None)
    if place is None:
        looked = " and ".join(str(place / "train") for place in places)
        raise UserError(
            f"{data.title}: looked for {looked}; to get it, {data.how_to_get}, or give the folder"
            f" that has {data.folders[0]}/train/CLASS/* and {data.folders[0]}/val/CLASS/* as --data"
        )
    tests = [place / name for name in ("val", "test") if (place / name).is_dir()]
    if not tests:
        raise UserError(f"{place}: train and no test images; allowed: val/CLASS/* or test/CLASS/*")
    train, test = scan(place / "train"), scan(tests[0])
    check(train, test, data, cache)
    samples, evaluated = train.samples(), test.samples()
    if data.evaluate_on == "held-out":
        evaluated = samples[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        del samples[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    checksum = fingerprint((train, test), times=False)
    return ClassFolders(
        data, place, tuple(samples), tuple(evaluated), tuple(train.classes), checksum
    )
