"""The files in class folders, as they are listed.

The classes and the order of images are those of torchvision's ImageFolder. That lists names alone;
here sizes and times are needed too, and no torch.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
