"""From an image file to its pixels."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cardinality.common.errors import UserError

# What torchvision's ImageFolder takes for images.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

# A small file can claim to be enormous. Pillow warns from 90 million pixels on, and this is its
# documentation's way to make the warning an error.
warnings.simplefilter("error", Image.DecompressionBombWarning)


class UnreadableImage(UserError):
    """A file that should be an image and cannot be read as one; the message names it."""


def open_image(path: Path) -> Image.Image:
    """Open a file and read its header; the pixels are read when they are asked for.

    Raises:
        UnreadableImage: no image, an enormous one, or a file that cannot be read.
    """
    try:
        return Image.open(path)
    except Exception as error:
        raise UnreadableImage(f"{path}: {_problem(error)}") from None


def decode(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image, (H, W, 3); grey ones are repeated and alpha is dropped.

    Raises:
        UnreadableImage: no image, an enormous one, or one that is damaged.
    """
    with open_image(path) as image:
        try:
            # Pillow warns where a palette with transparency goes to RGB at once.
            whole = image.convert("RGBA") if "transparency" in image.info else image
            return np.array(whole.convert("RGB"))
        except Exception as error:
            raise UnreadableImage(f"{path}: {_problem(error)}") from None


def _problem(error: Exception) -> str:
    """What is wrong in some words: decoders raise all kinds of errors on damaged files."""
    if isinstance(error, UnidentifiedImageError):
        return "no image"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "damaged image: " + (" ".join(str(error).split())[:100] or type(error).__name__)
