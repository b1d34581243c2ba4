"""Where data sets come from: made or read once, then kept outside git under a name of their own."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from filelock import FileLock

from cardinality.configuration import Digits
from cardinality.data import digits
from cardinality.data.images import Images, ImageSet

ARRAYS = ("train_pixels", "train_labels", "test_pixels", "test_labels")


def data_root() -> Path:
    """The folder for data: ``$CARDINALITY_DATA``, or data/ in the current folder."""
    return Path(os.environ.get("CARDINALITY_DATA") or "data")


def prepare(data: Digits) -> Path:
    """Make a data set, unless it is in the cache, and say where it is.

    Args:
        data: which set, with all its parameters; the cache is named by a hash of them.
    """
    parameters = {"version": digits.VERSION, **data.model_dump(mode="json")}
    text = json.dumps(parameters, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = data_root() / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data.name}-{key}.npz"
    # Several processes may want it at once; the first makes it, the others wait.
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            _save(digits.generate(data.side, data.train, data.test, data.evaluate_on), path)
    return path


def load_images(data: Digits) -> Images:
    """The images of a data set, from the cache or made now and cached."""
    with np.load(prepare(data), allow_pickle=False) as arrays:
        train_pixels, train_labels, test_pixels, test_labels = (arrays[name] for name in ARRAYS)
    return Images(
        ImageSet(train_pixels, train_labels), ImageSet(test_pixels, test_labels), digits.CLASSES
    )


def _save(images: Images, path: Path) -> None:
    """Write aside, then move into place, so that a file there is a whole one."""
    aside = path.with_suffix(".part")
    with aside.open("wb") as file:
        np.savez_compressed(
            file,
            train_pixels=images.train.pixels,
            train_labels=images.train.labels,
            test_pixels=images.test.pixels,
            test_labels=images.test.labels,
        )
    aside.replace(path)
