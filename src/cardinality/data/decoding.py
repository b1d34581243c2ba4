"""From an image file to its pixels."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cardinality.common import files
from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.data.listing import ENDINGS as ENDINGS  # images by their names

LARGEST = 2**30  # bytes of one file
# The longer side in shorter ones. The shorter is brought to a protocol's size, whatever the longer
# then comes to: a line of pixels would fill the memory.
THINNEST = 100

# Pillow's modes by what becomes of them; docs/data.md says it to users. The first group goes by
# way of another mode, where Pillow has no direct way or one that forgets the palette's alpha.
BY_WAY_OF = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
CONVERTED = {"1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", *BY_WAY_OF}
# 16-bit grey: the upper byte is kept, as Pillow does with 16-bit colour. By itself it would cut
# everything above 255 off, and leave white.
SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
REFUSED = {"I": "32-bit integers", "F": "floats", "LAB": "colours of CIE Lab"}

# What is odd about a file and does not keep it from being read is no user's business.
warnings.filterwarnings("ignore", module=r"PIL\b")
# A small file can claim to be enormous. Pillow warns from 90 million pixels on, and this is its
# documentation's way to make the warning an error.
warnings.simplefilter("error", Image.DecompressionBombWarning)


class UnreadableImage(UserError):
    """A file that should be an image and cannot be read as one; the message names it."""


def open_image(path: Path) -> Image.Image:
    """Open a file and read its header; the pixels are read when they are asked for.

    Raises:
        UnreadableImage: no image, an enormous or a very thin one, one whose pixels have no place
            among 0 to 255, or a file that cannot be read.
    """
    try:
        files.look(path, LARGEST)  # a pipe would be waited for
        image = Image.open(path)
    except UserError as error:
        raise UnreadableImage(str(error)) from None
    except Exception as error:
        raise UnreadableImage(f"{path}: {_problem(error)}") from None
    wrong = _unfit(image)
    if wrong is not None:
        image.close()
        raise UnreadableImage(f"{path}: {wrong}")
    return image


def _unfit(image: Image.Image) -> str | None:
    """What of an image's header makes it of no use, if anything."""
    if image.mode not in CONVERTED | SIXTEEN_BIT:
        what = REFUSED.get(image.mode, "pixels of a kind that is not known")
        return f"has {what} (mode {image.mode}); allowed: 8 bits a channel, or 16-bit grey"
    width, height = image.size
    if min(width, height) < 1 or max(width, height) > THINNEST * min(width, height):
        return f"{width:,} x {height:,} pixels; allowed: sides of up to {THINNEST} to 1"
    return None


def decode(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image, (H, W, 3); grey ones are repeated and alpha is dropped.

    Raises:
        UnreadableImage: no image, an enormous one, or one that is damaged.
    """
    with open_image(path) as image:
        try:
            return np.array(_in_colour(image))
        except Exception as error:
            raise UnreadableImage(f"{path}: {_problem(error)}") from None


def _in_colour(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT:
        # The array is of the machine's own order of bytes, whatever the file's is.
        upper = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(upper).convert("RGB")
    # Pillow warns where a palette with transparency goes to RGB at once.
    way = "RGBA" if "transparency" in image.info else BY_WAY_OF.get(image.mode)
    return (image if way is None else image.convert(way)).convert("RGB")


def _problem(error: Exception) -> str:
    """What is wrong in some words: decoders raise all kinds of errors on damaged files."""
    if isinstance(error, UnidentifiedImageError):
        return "no image"
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "damaged image: " + (line(error, 100) or type(error).__name__)
