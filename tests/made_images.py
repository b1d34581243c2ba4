"""Small sets of made images, as files."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cardinality.experiment.datasets import Folders

DATA = os.environ.get("CARDINALITY_DATA", "data")


def needs(folder: str) -> pytest.MarkDecorator:
    """Skip a test where a real set is not below the data root."""
    missing = not Path(DATA, folder).is_dir()
    return pytest.mark.skipif(missing, reason=f"{folder} is not in CARDINALITY_DATA ({DATA})")


def noise(n: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Images (n, side, side, 3) of noise."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def write_split(
    folder: Path, images: NDArray[np.uint8], classes: int, ending: str = ".png"
) -> None:
    """Write images into class folders, one class after the other in turn, without loss."""
    for number, image in enumerate(images):
        place = folder / f"class{number % classes}"
        place.mkdir(parents=True, exist_ok=True)
        # Names that sort in another order than the images came in.
        name = f"{(number * 37) % 1009:04d}{ending}"
        Image.fromarray(image).save(place / name, lossless=True)


def write_set(
    root: Path, classes: int = 5, train: int = 20, test: int = 10, side: int = 16
) -> None:
    """Write ``made/train`` and ``made/val`` below a data root."""
    write_split(root / "made/train", noise(train, side), classes)
    write_split(root / "made/val", noise(test, side, seed=1), classes)


# What a protocol would say of `write_set`'s default set, its images left as they are.
MADE_FOLDERS: dict[str, object] = {
    "name": "folders",
    "title": "Made",
    "folders": ("made",),
    "how_to_get": "make it",
    "classes": 5,
    "train": 20,
    "test": 10,
    "side": 16,
    "resize": 16,
    "area": 1.0,
    "jitter": 0.0,
    "lighting": 0.0,
}


def made_folders(**changes: object) -> Folders:
    """`MADE_FOLDERS` as the protocol's data, with changes."""
    return Folders.model_validate(MADE_FOLDERS | changes)
