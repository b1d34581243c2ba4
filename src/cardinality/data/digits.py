"""Handwritten digits among clutter: the embedded data set, real strokes and no download.

scikit-learn ships 1,797 digits of 8 x 8 pixels, written by people (Alpaydin and Kaynak's optical
digits). As they are, a small net reads them almost without error. Here each is put on a colour
image at a random size, rotation, shear, place and colour, over a textured background, among
pieces of other digits, under noise. How hard that is was tuned with 1x64d on held-out digits
(docs/log.md).

Everything is drawn by one seeded generator and computed in float64 with +, -, x and / alone (the
rotation is by a rational parametrisation, the noise is a sum of uniforms), so that every machine
gets the same bytes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cardinality.data.images import Images, ImageSet

Floats = NDArray[np.float64]

# Bumped when the same parameters would give other images, so that no old cache is read.
VERSION = 1
SOURCE_SIDE = 8
CLASSES = tuple("0123456789")
# The split of the source digits: what nets are tested on, and what is held out of training to
# tune on. The rest trains, and the held-out digits train too when the test digits are evaluated.
TEST_SOURCES, HELD_OUT_SOURCES = 597, 300
# How many pieces of other digits lie behind the one that counts.
CLUTTER = 2
# Images are made so many at a time, which bounds the memory; each has draws of its own.
CHUNK = 1000


@dataclass(frozen=True)
class Sources:
    """Source digits: ``glyphs`` (N, 8, 8) in [0, 1], their ``labels`` (N,) and ``numbers`` (N,)."""

    glyphs: Floats
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]


def split_sources(evaluate_on: Literal["test", "held-out"]) -> tuple[Sources, Sources]:
    """The source digits to train on and those to evaluate on; they are disjoint."""
    from sklearn.datasets import load_digits  # takes most of a second, and only this needs it

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    test, held_out, rest = np.split(order, [TEST_SOURCES, TEST_SOURCES + HELD_OUT_SOURCES])
    if evaluate_on == "test":
        train, evaluated = np.concatenate([held_out, rest]), test
    else:
        train, evaluated = rest, held_out

    def take(chosen: NDArray[np.int64]) -> Sources:
        labels = bunch.target[chosen].astype(np.int64)
        return Sources(bunch.images[chosen] / 16.0, labels, chosen)

    return take(train), take(evaluated)


def bilinear(images: Floats, y: Floats, x: Floats) -> Floats:
    """Sample (N, h, w) images at (N, H, W) pixel coordinates; outside of the image is 0."""
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    y = np.clip(y, -1, height) + 1
    x = np.clip(x, -1, width) + 1
    top = np.minimum(y.astype(np.int64), height)
    left = np.minimum(x.astype(np.int64), width)
    down, right = y - top, x - left
    i = np.arange(n)[:, None, None]
    above = padded[i, top, left] * (1 - right) + padded[i, top, left + 1] * right
    below = padded[i, top + 1, left] * (1 - right) + padded[i, top + 1, left + 1] * right
    return above * (1 - down) + below * down


def stamp(
    rng: np.random.Generator, glyphs: Floats, side: int, sizes: tuple[float, float]
) -> Floats:
    """Place each glyph at random on an empty image.

    Args:
        rng: where size, rotation, shear and place are drawn from.
        glyphs: (N, 8, 8).
        side: of the images, in pixels.
        sizes: smallest and largest side of a glyph, as parts of the image's side.

    Returns:
        How far each pixel is covered, (N, side, side) in [0, 1].
    """
    n = len(glyphs)
    size = rng.uniform(*sizes, n) * side
    half = rng.uniform(-0.13, 0.13, n)  # tangent of half the angle: up to 15 degrees either way
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    shear = rng.uniform(-0.2, 0.2, n)
    room = (side - size) / 2
    centre = side / 2 + rng.uniform(-1, 1, (2, n)) * room

    pixel = np.arange(side) + 0.5
    dy = pixel[None, :, None] - centre[0][:, None, None]
    dx = pixel[None, None, :] - centre[1][:, None, None]
    scale, cos, sin, shear = ((v[:, None, None]) for v in (SOURCE_SIDE / size, cos, sin, shear))
    v = scale * (sin * dx + cos * dy)
    u = scale * (cos * dx - sin * dy) + shear * v
    middle = (SOURCE_SIDE - 1) / 2
    cover = bilinear(glyphs, v + middle, u + middle)
    # Enlarged strokes are blurred; this gives them an edge.
    return np.clip((cover - 0.35) * 2.5, 0, 1)


def texture(rng: np.random.Generator, n: int, side: int) -> Floats:
    """A smooth random colour background, (N, side, side, 3) in [0, 1]."""
    coarse = 5
    knots = rng.uniform(0, 1, (n, 1, 1, 3)) * 0.6 + rng.uniform(0, 1, (n, coarse, coarse, 3)) * 0.4
    place = np.linspace(0, coarse - 1, side)
    y = np.broadcast_to(place[None, :, None], (n, side, side))
    x = np.broadcast_to(place[None, None, :], (n, side, side))
    return np.stack([bilinear(knots[..., c], y, x) for c in range(3)], axis=-1)


def stroke_colours(rng: np.random.Generator, background: Floats, contrast: float) -> Floats:
    """A random colour for each image, (N, 3): the background's mean, moved by ``contrast``.

    The move has a random direction with the largest channel scaled to 1, away from the nearer end
    of the scale in each channel so that it cannot be clipped away.
    """
    mean = background.mean(axis=(1, 2))
    direction = rng.uniform(0.2, 1, mean.shape)
    direction /= direction.max(axis=1, keepdims=True)
    return np.clip(mean + contrast * direction * np.where(mean > 0.5, -1, 1), 0, 1)


def paint(canvas: Floats, cover: Floats, colours: Floats) -> Floats:
    """Lay a colour over (N, side, side, 3) images where ``cover`` (N, side, side) says."""
    return canvas + cover[..., None] * (colours[:, None, None, :] - canvas)


def fragments(rng: np.random.Generator, glyphs: Floats) -> Floats:
    """A random 5 x 5 piece of each glyph; the rest is empty."""
    first = rng.integers(0, SOURCE_SIDE - 4, (2, len(glyphs), 1))
    inside = (np.arange(SOURCE_SIDE) >= first) & (np.arange(SOURCE_SIDE) < first + 5)
    return glyphs * inside[0][:, :, None] * inside[1][:, None, :]


def draw(rng: np.random.Generator, sources: Sources, n: int, side: int) -> ImageSet:
    """Make ``n`` images of ``side`` pixels from random source digits."""
    chosen = rng.integers(0, len(sources.labels), n)
    canvas = texture(rng, n, side)
    background = canvas
    for _ in range(CLUTTER):
        others = sources.glyphs[rng.integers(0, len(sources.labels), n)]
        cover = stamp(rng, fragments(rng, others), side, (0.5, 0.9))
        canvas = paint(canvas, cover, stroke_colours(rng, background, 0.35))
    cover = stamp(rng, sources.glyphs[chosen], side, (0.78, 1.0))
    canvas = paint(canvas, cover, stroke_colours(rng, background, 0.75))
    noise = rng.uniform(-1, 1, canvas.shape) + rng.uniform(-1, 1, canvas.shape)
    pixels = np.clip((canvas + 0.06 * noise) * 255 + 0.5, 0, 255).astype(np.uint8)
    return ImageSet(pixels, sources.labels[chosen], sources.numbers[chosen])


def generate(side: int, train: int, test: int, evaluate_on: Literal["test", "held-out"]) -> Images:
    """Generate the data set.

    Args:
        side: of the images, in pixels.
        train, test: how many images of each.
        evaluate_on: ``test``, or ``held-out`` to tune on digits that are no test digits.

    Returns:
        Training and test images; no source digit is in both, not as clutter either.
    """
    sources = split_sources(evaluate_on)
    sets = []
    for which, (source, count) in enumerate(zip(sources, (train, test), strict=True)):
        parts = [
            draw(
                np.random.default_rng([VERSION, which, start]),
                source,
                min(CHUNK, count - start),
                side,
            )
            for start in range(0, count, CHUNK)
        ]
        columns = zip(*((part.pixels, part.labels, part.sources) for part in parts), strict=True)
        sets.append(ImageSet(*map(np.concatenate, columns)))
    return Images(train=sets[0], test=sets[1], classes=CLASSES)
