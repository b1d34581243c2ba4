"""Where data sets come from: made or read once, then kept outside git under a name of their own."""

import hashlib
import json
import os
from pathlib import Path
from typing import overload

import numpy as np
from filelock import FileLock

from cardinality.common.files import written_aside
from cardinality.common.workspace import workspace
from cardinality.data import cifar, digits
from cardinality.data.folders import ClassFolders, find_folders
from cardinality.data.images import Images, ImageSet
from cardinality.experiment.datasets import HELD_OUT_EVERY, Cifar, DataSpec, Digits, Folders

# Part of every cached file's name; to be raised when `_save` writes other things.
FORMAT = 2

# A data set as `cardinality.data.device.batches` brings it to a device.
DataSet = Images | ClassFolders


def data_root() -> Path:
    """The folder for data: ``$CARDINALITY_DATA``, or data/ in the workspace."""
    return Path(os.environ.get("CARDINALITY_DATA") or workspace() / "data")


def cache_folder(root: Path) -> Path:
    """Where what was made or read is kept: cache/ in the folder for data.

    Shared data are often read-only; then it is the user's own cache.
    """
    nearest = next(path for path in (root, *root.absolute().parents) if path.exists())
    if os.access(nearest, os.W_OK):
        return root / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cardinality"


def prepare(data: DataSpec) -> Path:
    """Make, read or check a data set, unless that was done before, and say where it is.

    Raises:
        UserError: the set is not there, or something is wrong with it.
    """
    if isinstance(data, Folders):
        return load_images(data).path
    return _cached(data)


@overload
def load_images(data: Digits | Cifar) -> Images: ...
@overload
def load_images(data: Folders) -> ClassFolders: ...
def load_images(data: DataSpec) -> DataSet:
    """The images of a data set, found under `data_root`.

    Returns:
        Small images in memory, from the cache or made or read now and cached; photographs as
        checked folders.

    Raises:
        UserError: the set is not there, or something is wrong with it.
    """
    if isinstance(data, Folders):
        return find_folders(data, data_root(), cache_folder(data_root()))
    with np.load(_cached(data), allow_pickle=False) as arrays:
        train, test = (
            ImageSet(arrays[f"{which}_pixels"], arrays[f"{which}_labels"])
            for which in ("train", "test")
        )
        statistics = arrays["statistics"].tolist()
        published = (tuple(statistics[0]), tuple(statistics[1])) if statistics else None
        images = Images(train, test, tuple(arrays["classes"].tolist()), published)
    if isinstance(data, Cifar) and data.evaluate_on == "held-out":
        return images.holding_out(HELD_OUT_EVERY)
    return images


def _cached(data: Digits | Cifar) -> Path:
    """The file with a set's arrays, which is named by a hash of all that they depend on."""
    if isinstance(data, Digits):
        parameters = {"version": digits.VERSION, **data.model_dump(mode="json")}
    else:
        # A copy that was mended or replaced is read anew.
        files = cifar.state_of_files(cifar.find(data, data_root()))
        parameters = {"version": cifar.VERSION, "name": data.name, "files": files}
    text = json.dumps({"format": FORMAT, **parameters}, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = cache_folder(data_root())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data.name}-{key}.npz"
    # Several processes may want it at once; the first makes it, the others wait.
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _save(_make(data), path)
    return path


def _make(data: Digits | Cifar) -> Images:
    if isinstance(data, Digits):
        return digits.generate(data.side, data.train, data.test, data.evaluate_on)
    return cifar.read(data, cifar.find(data, data_root()))


def _save(images: Images, path: Path) -> None:
    """Write a set whole.

    Uncompressed: compressing CIFAR saves a tenth of the space and takes ten times as long to read.
    """
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(
            file,
            train_pixels=images.train.pixels,
            train_labels=images.train.labels,
            test_pixels=images.test.pixels,
            test_labels=images.test.labels,
            classes=np.array(images.classes),
            statistics=np.array(images.statistics or ()),
        )
