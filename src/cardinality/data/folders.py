"""Class folders: which images there are, and that they are what the protocol says."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.data.checks import check
from cardinality.data.images import Identity
from cardinality.data.listing import Sample, Split, fingerprint, scan
from cardinality.data.names import read_names
from cardinality.experiment.datasets import HELD_OUT_EVERY, Folders


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

    def identity(self) -> Identity:
        """Over names and sizes of all files, not their bytes: ImageNet has 150 GB of them."""
        return Identity(self.names_checksum, "names and sizes")

    @property
    def evaluated(self) -> tuple[list[int], list[int] | None]:
        """Labels of the images that the error is measured on, in their order, and no sources."""
        return [label for _, label in self.test], None


def find_folders(data: Folders, root: Path, cache: Path) -> ClassFolders:
    """Find and check a set of class folders.

    Args:
        data: what the protocol says of it.
        root: the folder for data.
        cache: where the result of the check is kept.

    Raises:
        UserError: it is not there, or something is wrong with it.
    """
    place, train, test = list_folders(data, root)
    check(train, test, data, cache)
    classes = tuple(train.classes)
    samples, evaluated = train.samples(), test.samples(classes)
    if data.evaluate_on == "held-out":
        evaluated = samples[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        del samples[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    return ClassFolders(
        data,
        place,
        tuple(samples),
        tuple(evaluated),
        classes,
        names_checksum(train, test, data),
    )


def list_folders(data: Folders, root: Path) -> tuple[Path, Split, Split]:
    """Where a set of class folders is, and the files to train on and to test on, unchecked.

    Raises:
        UserError: it is not there.
    """
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
    if data.class_list is None:
        return place, train, test
    return _listed(place, train, test, read_names(place / data.class_list), data.class_list)


def _listed(
    place: Path, train: Split, test: Split, names: Sequence[str], file: str
) -> tuple[Path, Split, Split]:
    """The classes of a list alone, in its order; tested may be on some of them.

    Raises:
        UserError: one of them is not there to train on, or none to test on.
    """
    for name in names:
        if name not in train.classes:
            raise UserError(
                f"{place / file}: {line(name, 60)}: no such folder in {train.path}; allowed: those"
                " that are there"
            )
    tested = test.of(names)
    if not tested.classes:
        raise UserError(f"{place / file}: {test.path} has none of its classes; allowed: some")
    return place, train.of(names), tested


def names_checksum(train: Split, test: Split, data: Folders) -> str:
    """Over names and sizes of all files; with held-out images, or a list, the set is another."""
    checksum = fingerprint((train, test), times=False)
    if data.class_list is not None:  # classes without a test image, and the order of the labels
        listed = "\n".join([checksum, *train.classes])
        checksum = hashlib.sha256(listed.encode()).hexdigest()[:16]
    if data.evaluate_on == "test":
        return checksum
    return hashlib.sha256(f"{checksum} {data.evaluate_on}".encode()).hexdigest()[:16]
