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


def load_images(data: Digits, root: Path | None = None) -> Images:
    """The images of a data set, from the cache or made now and cached.

    Args:
        data: which set, with all its parameters.
        root: the folder for data, by default `data_root`.
    """
    parameters = {"version": digits.VERSION, **data.model_dump(mode="json")}
    text = json.dumps(parameters, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = (root or data_root()) / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data.name}-{key}.npz"
    # Several workers start at once; the first makes the set, the others wait and read it.
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            images = digits.generate(data.side, data.train, data.test, data.evaluate_on)
            _save(images, path)
    with np.load(path, allow_pickle=False) as arrays:
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
