"""Where data sets come from: made or read once, then kept outside git under a name of their own."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from cardinality.common.files import look, written_aside
from cardinality.common.locks import held
from cardinality.common.notes import note
from cardinality.common.workspace import workspace
from cardinality.data import cifar, patches
from cardinality.data.folders import ClassFolders, find_folders, list_folders, names_checksum
from cardinality.data.images import Identity, Images, ImageSet
from cardinality.experiment.datasets import HELD_OUT_EVERY, Cifar, DataSpec, Folders, Patches

# Part of every cached file's name; to be raised when `_save` writes other things.
FORMAT = 3

# A data set as `cardinality.data.device.batches` brings it to a device.
DataSet = Images | ClassFolders
# What numpy raises for a file that is cut, of another kind, or whose bytes have changed.
DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


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
    path = _path(data)
    _cached(data, path)
    return path


def identify(data: DataSpec) -> Identity:
    """What tells a data set from others, from what is kept of it where that suffices.

    Raises:
        UserError: the set is not there, or cannot be read.
    """
    if isinstance(data, Folders):
        _, train, test = list_folders(data, data_root())
        return Identity(names_checksum(train, test, data), "names and sizes")
    key = "held_out_checksum" if _is_cut(data) else "checksum"
    return Identity(str(_cached(data, _path(data), key)[key]), "pixels")


@overload
def load_images(data: Patches | Cifar) -> Images: ...
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
    arrays = _cached(data, _path(data))
    train, test = (
        ImageSet(
            arrays[f"{which}_pixels"], arrays[f"{which}_labels"], arrays.get(f"{which}_sources")
        )
        for which in ("train", "test")
    )
    statistics = arrays["statistics"].tolist()
    published = (tuple(statistics[0]), tuple(statistics[1])) if statistics else None
    images = Images(train, test, tuple(arrays["classes"].tolist()), published)
    return images.holding_out(HELD_OUT_EVERY) if _is_cut(data) else images


def _is_cut(data: Patches | Cifar) -> bool:
    """Whether training images take the place of the test images after reading."""
    return isinstance(data, Cifar) and data.evaluate_on == "held-out"


def _path(data: Patches | Cifar) -> Path:
    """The file for a set's arrays, which is named by a hash of all that they depend on."""
    if isinstance(data, Patches):
        parameters = {
            "version": patches.VERSION,
            "photographs": patches.PHOTOGRAPHS,
            **data.model_dump(mode="json"),
        }
    else:
        # A copy that was mended or replaced is read anew.
        files = cifar.state_of_files(cifar.find(data, data_root()))
        parameters = {"version": cifar.VERSION, "name": data.name, "files": files}
    text = json.dumps({"format": FORMAT, **parameters}, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    return cache_folder(data_root()) / f"{data.name}-{key}.npz"


def _cached(data: Patches | Cifar, path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Some of the arrays in a set's file, or all; it is made if it is not there or damaged.

    Several processes may want it at once; the first makes it, the others wait.
    """
    way_out = "$XDG_CACHE_HOME and --data on a local disk"
    with held(path.with_suffix(".lock"), way_out):
        if path.exists():
            try:
                return _load(path, names)
            except DAMAGED as error:
                note(f"{path}: damaged ({type(error).__name__}), so it is made again")
                path.unlink()
        _save(_make(data), path)
        return _load(path, names)


def _load(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Read arrays; every byte of each is held to the checksum that the archive has of it."""
    look(path)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names or arrays.files}


def _make(data: Patches | Cifar) -> Images:
    if isinstance(data, Patches):
        return patches.generate(data.side, data.train, data.test, data.evaluate_on)
    return cifar.read(data, cifar.find(data, data_root()))


def _save(images: Images, path: Path) -> None:
    """Write a set whole.

    Uncompressed: compressing CIFAR saves a tenth of the space and takes ten times as long to read.
    """
    sets = {"train": images.train, "test": images.test}
    arrays = {
        f"{which}_{name}": array
        for which, part in sets.items()
        for name, array in vars(part).items()
        if array is not None
    }
    held_out = images.holding_out(HELD_OUT_EVERY)
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            **arrays,
            classes=np.array(images.classes),
            statistics=np.array(images.statistics or ()),
            checksum=np.array(images.identity().checksum),
            held_out_checksum=np.array(held_out.identity().checksum),
        )
