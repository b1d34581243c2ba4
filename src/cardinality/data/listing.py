"""The files in class folders, as they are listed.

The classes and the order of images are those of torchvision's ImageFolder, but for what programs
leave behind. That lists names alone; here sizes and times are needed too, and no torch.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import reason

# What torchvision's ImageFolder takes for images.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# What desktops, archives and file servers leave among other files.
LEFT_BEHIND = {
    "__MACOSX",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Desktop.ini",
    "Icon\r",
}

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

    def samples(self, names: Sequence[str] | None = None) -> list[Sample]:
        """Every file's path with its label, class by class.

        Args:
            names: all classes in the order of the labels, where there are more than these.
        """
        labels = {name: label for label, name in enumerate(names or self.classes)}
        return [
            (str(self.path / file.name), labels[name])
            for name, files in self.classes.items()
            for file in files
        ]

    def of(self, names: Iterable[str]) -> "Split":
        """Those classes of a list that are here, in its order."""
        return Split(self.path, {n: self.classes[n] for n in names if n in self.classes})


def passed_over(name: str) -> bool:
    """Whether a file or folder is none of the data: hidden, or left behind by a program."""
    return name.startswith(".") or name in LEFT_BEHIND


def scan(path: Path) -> Split:
    """List a split's class folders and files by name; see `passed_over` for what is not.

    A Mac decomposes names (an e and an accent); they are sorted and compared as composed ones, so
    that a class has the same label wherever its folder was written.

    Raises:
        UserError: the folder cannot be listed, or has no class folders that could be told apart.
    """
    try:
        entries = [entry for entry in os.scandir(path) if not passed_over(entry.name)]
    except OSError as error:
        raise UserError(f"{path}: {reason(error)}") from None
    folders: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.is_symlink() and not Path(entry.path).exists():
            raise UserError(f"{entry.path}: a link to nowhere; allowed: a folder a class")
        if entry.is_dir():
            folders[_told_apart(path, entry.name, folders)] = entry.name
    if not folders:
        raise UserError(_no_classes(path, [entry.name for entry in entries]))
    seen: dict[str, str] = {}
    return Split(
        path, {name: tuple(list_files(path, folders[name], seen)) for name in sorted(folders)}
    )


def _told_apart(path: Path, name: str, known: Mapping[str, str]) -> str:
    """A class's name, composed."""
    composed = unicodedata.normalize("NFC", name)
    if not name.isprintable():  # it will stand in records and tables
        raise UserError(f"{path / name}: a class's name; allowed: printable UTF-8")
    if composed in known:
        raise UserError(
            f"{path / name}: there are two folders of this name, with composed and with decomposed"
            " letters; allowed: one folder a class"
        )
    return composed


def _no_classes(path: Path, names: list[str]) -> str:
    flat = sum(1 for name in names if name.lower().endswith(ENDINGS))
    if not flat:
        return f"{path}: has no class folders; allowed: {path.name}/CLASS/* for each class"
    return (
        f"{path}: has {flat:,} images in one flat folder, as ImageNet ships its validation images,"
        f" and no class folders; allowed: {path.name}/CLASS/*; docs/data.md says how to sort them"
    )


def fingerprint(splits: Iterable[Split], times: bool) -> str:
    """SHA-256 over every file's name and size, and its time of change if wanted; 16 digits."""
    digest = hashlib.sha256()
    for split in splits:
        for file in split.files:
            time = file.changed if times else 0
            digest.update(
                f"{split.path.name}/{file.name}\0{file.size}\0{time}\n".encode(
                    errors="surrogateescape"
                )
            )
    return digest.hexdigest()[:16]


def list_files(path: Path, folder: str, seen: dict[str, str] | None = None) -> Iterator[File]:
    """Every file at any depth of a folder in ``path``, by name; see `passed_over` for what is not.

    Args:
        path: of the split.
        folder: in it.
        seen: folders that were listed already, by where links lead.

    Raises:
        UserError: a folder that cannot be listed, or that a link brings in a second time.
    """
    seen = {} if seen is None else seen
    for place, folders, names in os.walk(path / folder, followlinks=True, onerror=_unlisted):
        real = os.path.realpath(place)
        if real in seen:  # its images would count twice, or be walked through for ever
            raise UserError(
                f"{place}: by a link the same folder as {seen[real]}; allowed: each folder once"
            )
        seen[real] = place
        folders[:] = sorted(name for name in folders if not passed_over(name))
        for name in sorted(names):
            if not passed_over(name):
                file = Path(place, name)
                try:
                    status = file.stat()
                except OSError:  # a link to nowhere is found when headers are read
                    status = file.lstat()
                yield File(file.relative_to(path).as_posix(), status.st_size, status.st_mtime_ns)


def _unlisted(error: OSError) -> None:
    raise UserError(f"{error.filename}: {reason(error)}")
