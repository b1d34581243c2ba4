"""Patches of photographs: from which of ten photographs is this? Real textures and no download.

scikit-image ships photographs with free licences. Each is one class. It is cut into blocks of 64
pixels a side, and every block is for training, for tuning or for testing, so that no pixel is on
two sides. An image is a square of 16 to 32 pixels at a random place in a random block, brought to
the side that is wanted, half of them mirrored, with its mean and contrast drawn anew, so that
brightness alone does not tell, under noise. How the task was chosen is in docs/log.md.

Everything is drawn by one seeded generator and computed with +, -, x, / and square roots on
float64, and in whole numbers where the order of a sum would matter, so that every machine gets the
same bytes.
"""

import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cardinality.common.errors import UserError
from cardinality.data.images import Images, ImageSet

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Bumped when the same parameters would give other images, so that no old cache is read.
VERSION = 1
# The classes, in the order of the labels, with the start of their files' SHA-256. PNG alone: of a
# JPEG two decoders may make other pixels.
PHOTOGRAPHS = {
    "astronaut": "88431cd9653ccd53",
    "brick": "7966caf324f6ba84",
    "camera": "b0793d2adda0fa6a",
    "chelsea": "596aa1e7cb875eb7",
    "coffee": "cc02f8ca188b167c",
    "coins": "f8d773fc9cfa6f4d",
    "grass": "b6b6022426b38936",
    "gravel": "c48615b451bf1e60",
    "ihc": "f8dd1aa387ddd1f4",
    "motorcycle_left": "db18e9c415761740",
}
CLASSES = tuple(PHOTOGRAPHS)
BLOCK = 64
# Of a photograph's blocks, what part trains and what part is tuned on; the rest is tested on.
TRAINING, TUNING = 0.5, 0.25
# Smallest and largest side of the square that is cut, in pixels of the photograph.
SQUARE = (16.0, 32.0)
# What mean and deviation of a patch are drawn from, and the noise's deviation; of 0 to 255.
MEAN, DEVIATION, NOISE = (90.0, 165.0), (30.0, 60.0), 4.0
# Added to a patch's own deviation, so that a plain one is not blown up to noise.
PLAIN = 8.0
# Pixels are summed as whole numbers of this fraction.
FRACTION = 1 << 16
# Images are made so many at a time, which bounds the memory; each part has draws of its own.
CHUNK = 1000


@dataclass(frozen=True)
class Blocks:
    """Blocks of photographs.

    Attributes:
        pixels: (N, 64, 64) grey values in 0 to 255.
        labels: (N,), rising: which photograph each is of.
        numbers: (N,), which block of all it is.
    """

    pixels: Floats
    labels: Integers
    numbers: Integers


def photograph(name: str) -> Floats:
    """A photograph's grey values, (height, width) in 0 to 255.

    Raises:
        UserError: scikit-image's file is another one than that by which this task was chosen.
    """
    from PIL import Image

    content = (resources.files("skimage") / "data" / f"{name}.png").read_bytes()
    if hashlib.sha256(content).hexdigest()[:16] != PHOTOGRAPHS[name]:
        raise UserError(
            f"scikit-image: data/{name}.png has changed, and patches of it would be other ones;"
            " allowed: the version in constraints.txt"
        )
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(np.float64)
    # Luma of ITU-R BT.601, as Pillow's own, which rounds.
    return (299 * pixels[..., 0] + 587 * pixels[..., 1] + 114 * pixels[..., 2]) / 1000


def split_blocks(evaluate_on: Literal["test", "held-out"]) -> tuple[Blocks, Blocks]:
    """The blocks to train on, and those to evaluate on: of testing, or of tuning."""
    parts: tuple[list[Blocks], ...] = ([], [], [])
    first = 0
    for label, name in enumerate(CLASSES):
        blocks = _cut(photograph(name))
        n = len(blocks)
        order = np.random.default_rng([VERSION, label]).permutation(n)
        ends = [int(n * TRAINING), int(n * (TRAINING + TUNING))]
        for part, chosen in zip(parts, np.split(order, ends), strict=True):
            labels = np.full(len(chosen), label, dtype=np.int64)
            part.append(Blocks(blocks[chosen], labels, first + chosen))
        first += n
    train, tuning, test = (
        Blocks(
            np.concatenate([blocks.pixels for blocks in part]),
            np.concatenate([blocks.labels for blocks in part]),
            np.concatenate([blocks.numbers for blocks in part]),
        )
        for part in parts
    )
    return train, tuning if evaluate_on == "held-out" else test


def _cut(pixels: Floats) -> Floats:
    """The whole blocks of a photograph, (N, 64, 64); what is left at its edges is not used."""
    rows, columns = (length // BLOCK for length in pixels.shape)
    whole = pixels[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return whole.swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)


def draw(rng: np.random.Generator, blocks: Blocks, n: int, side: int) -> ImageSet:
    """Make ``n`` images of ``side`` pixels from random blocks, each class as likely."""
    chosen = _choose(rng, blocks.labels, n)
    size = rng.uniform(*SQUARE, n)
    place = rng.uniform(0, 1, (2, n)) * (BLOCK - size)
    mirrored = rng.uniform(0, 1, n) < 0.5
    middles = (np.arange(side) + 0.5) / side
    across = np.where(mirrored[:, None], 1 - middles, middles)
    y = place[0][:, None] + middles * size[:, None] - 0.5
    x = place[1][:, None] + across * size[:, None] - 0.5
    patches = bilinear(blocks.pixels, chosen, y, x)
    mean, deviation = moments(patches)
    contrast = rng.uniform(*DEVIATION, n) / (deviation + PLAIN)
    level = rng.uniform(*MEAN, n)
    patches = (patches - _each(mean)) * _each(contrast) + _each(level)
    # A sum of two uniforms between -1 and 1 has a variance of 2/3.
    noise = rng.uniform(-1, 1, patches.shape) + rng.uniform(-1, 1, patches.shape)
    patches = patches + noise * (NOISE * np.sqrt(1.5))
    grey = np.clip(patches + 0.5, 0, 255).astype(np.uint8)
    pixels = np.repeat(grey[..., None], 3, axis=3)  # as the nets take images: with three channels
    return ImageSet(pixels, blocks.labels[chosen], blocks.numbers[chosen])


def _choose(rng: np.random.Generator, labels: Integers, n: int) -> Integers:
    """Random blocks, (n,): a class, each as likely, then one of its blocks."""
    wanted = rng.integers(0, len(CLASSES), n)
    first = np.searchsorted(labels, wanted)
    count = np.searchsorted(labels, wanted, side="right") - first
    return first + rng.integers(0, count)


def bilinear(pixels: Floats, chosen: Integers, y: Floats, x: Floats) -> Floats:
    """Sample (N, h, w) images, of each of the n ``chosen`` a grid of lines (n, H) by (n, W).

    Coordinates are in pixels, from 0 at the middle of the first; beyond the edge is the edge.
    """
    top, down = _line(y, pixels.shape[1])
    left, right = _line(x, pixels.shape[2])
    i, top, left = chosen[:, None, None], top[:, :, None], left[:, None, :]
    down, right = down[:, :, None], right[:, None, :]
    above = pixels[i, top, left] * (1 - right) + pixels[i, top, left + 1] * right
    below = pixels[i, top + 1, left] * (1 - right) + pixels[i, top + 1, left + 1] * right
    return above * (1 - down) + below * down


def _line(at: Floats, length: int) -> tuple[Integers, Floats]:
    """The pixel before each coordinate, and how far it is from there to the next."""
    at = np.clip(at, 0, length - 1)
    before = np.minimum(at.astype(np.int64), length - 2)
    return before, at - before


def moments(patches: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each of (n, H, W) patches.

    Summed in whole numbers of 1/65536, since the order in which a library sums is the machine's.
    """
    whole = np.rint(patches * FRACTION).astype(np.int64).reshape(len(patches), -1)
    count = whole.shape[1]
    mean = whole.sum(axis=1) / count
    off = whole - np.rint(mean).astype(np.int64)[:, None]
    # 256 pixels of at most 2^24 each: their squares' sum stays below 2^63.
    square = (off * off).sum(axis=1) / count
    return mean / FRACTION, np.sqrt(square) / FRACTION


def _each(values: Floats) -> Floats:
    return values[:, None, None]


def generate(side: int, train: int, test: int, evaluate_on: Literal["test", "held-out"]) -> Images:
    """Generate the data set.

    Args:
        side: of the images, in pixels.
        train, test: how many images of each.
        evaluate_on: ``test``, or ``held-out`` to tune on blocks that are never tested on.

    Returns:
        Training and test images; no block is in both. The number of its block is an image's source.

    Raises:
        UserError: a photograph is not the one that it should be.
    """
    evaluated = {"test": 1, "held-out": 2}[evaluate_on]
    sets = []
    for which, blocks, count in zip(
        (0, evaluated), split_blocks(evaluate_on), (train, test), strict=True
    ):
        parts = [
            draw(
                np.random.default_rng([VERSION, which, start]),
                blocks,
                min(CHUNK, count - start),
                side,
            )
            for start in range(0, count, CHUNK)
        ]
        columns = zip(*((part.pixels, part.labels, part.sources) for part in parts), strict=True)
        sets.append(ImageSet(*map(np.concatenate, columns)))
    return Images(train=sets[0], test=sets[1], classes=CLASSES)
