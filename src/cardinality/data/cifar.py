"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), from either of two forms and always in one order.

The forms are torchvision's download and class folders, ``ROOT/cifar10/{train,test}/CLASS/*``.
Images are sorted by class and then by a hash of their pixels, so that both forms give the same
bytes, whatever the files are called.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardinality.common.errors import UserError
from cardinality.data.checks import check_names
from cardinality.data.decoding import decode
from cardinality.data.images import Images, ImageSet, Statistics
from cardinality.data.listing import Split, fingerprint, list_files, scan
from cardinality.experiment.datasets import Cifar

# Part of the cache's name; to be raised when the same files would give other arrays.
VERSION = 1
SIDE = 32
# Training and test images of either set.
COUNTS = (50_000, 10_000)
# The authors' datasets/cifar10.lua and cifar100.lua: mean and deviation over the training images.
STATISTICS: dict[str, Statistics] = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}


def find(data: Cifar, root: Path) -> Path:
    """The folder of a set, in whichever form it is there; the download comes first.

    Raises:
        UserError: neither form is there.
    """
    download, own = root / download_name(data), root / data.name
    if download.is_dir():
        return download
    if (own / "train").is_dir():
        return own
    raise UserError(
        f"{data.title}: looked for {download} and {own / 'train'}; to get it, run"
        f" torchvision.datasets.{data.name.upper()}({str(root)!r}, download=True) in Python,"
        f" or give the folder that has {data.name}/train/CLASS/* and {data.name}/test/CLASS/*"
        " as --data"
    )


def state_of_files(place: Path) -> str:
    """Changes with the name, size or time of change of any file of a set; 16 digits."""
    files = tuple(list_files(place.parent, place.name))
    return fingerprint([Split(place.parent, {place.name: files})], times=True)


def read(data: Cifar, place: Path) -> Images:
    """Read a set from the folder where it was found.

    Raises:
        UserError: not all of it is there, or something is wrong with it.
    """
    if place.name == download_name(data):
        found = read_download(data, place.parent)
    else:
        found = read_folders(place)
    _check(found, data, place)
    return found


def download_name(data: Cifar) -> str:
    """The folder into which torchvision unpacks the set."""
    return "cifar-10-batches-py" if data.name == "cifar10" else "cifar-100-python"


def read_download(data: Cifar, root: Path) -> Images:
    """Read torchvision's download.

    It holds pickles; torchvision loads them only after their checksums agree with the published.

    Raises:
        UserError: a checksum does not agree, or a file is missing.
    """
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if data.name == "cifar10" else CIFAR100
    try:
        train, test = (kind(str(root), train=which) for which in (True, False))
    except RuntimeError:
        raise UserError(
            f"{root / download_name(data)}: not the published files, by their checksums; remove"
            " it and download the set again"
        ) from None
    names = tuple(sorted(train.classes))
    # The published classes are in alphabetical order; folders have no other.
    number = np.array([names.index(name) for name in train.classes])
    first, second = (ordered(part.data, number[np.array(part.targets)]) for part in (train, test))
    return Images(first, second, names, STATISTICS[data.name])


def read_folders(folder: Path) -> Images:
    """Read ``train/CLASS/*`` and ``test/CLASS/*`` below a folder.

    Raises:
        UserError: a folder is missing, the classes differ, or a file is no image of 32 x 32.
    """
    train, test = (scan(folder / which) for which in ("train", "test"))
    check_names(train, test)
    first, second = _read_split(train), _read_split(test)
    return Images(first, second, tuple(train.classes), STATISTICS[folder.name])


def _read_split(split: Split) -> ImageSet:
    paths = [(Path(name), label) for name, label in split.samples()]

    def pixels(item: tuple[Path, int]) -> NDArray[np.uint8]:
        decoded = decode(item[0])
        if decoded.shape != (SIDE, SIDE, 3):
            height, width, _ = decoded.shape
            raise UserError(f"{item[0]}: {width} x {height} pixels; allowed: {SIDE} x {SIDE}")
        return decoded

    # Pillow decodes without holding Python's lock.
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(pixels, paths))
    labels = np.array([label for _, label in paths], dtype=np.int64)
    return ordered(np.array(images, dtype=np.uint8).reshape(-1, SIDE, SIDE, 3), labels)


def ordered(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> ImageSet:
    """Sort by class and, in a class, by a hash of the pixels.

    Args:
        pixels: (N, side, side, 3).
        labels: (N,).
    """
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in pixels])
    order = np.lexsort((digests, labels))
    return ImageSet(pixels[order], labels[order].astype(np.int64))


def _check(images: Images, data: Cifar, place: Path) -> None:
    """Every class has its published number of images."""
    wrong = []
    if len(images.classes) != data.classes:
        wrong.append(f"{len(images.classes)} classes instead of {data.classes}")
    for which, part, count in zip(
        ("train", "test"), (images.train, images.test), COUNTS, strict=True
    ):
        each = np.bincount(part.labels, minlength=data.classes)
        wrong += [
            f"{n:,} images instead of {count // data.classes:,} of class {name} in {which}"
            for name, n in zip(images.classes, each, strict=False)
            if n != count // data.classes
        ]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise UserError(f"{place}: {'; '.join(wrong[:5])}{more}")
