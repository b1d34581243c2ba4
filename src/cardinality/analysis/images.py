"""What each test image adds: another draw of images, agreement of two runs, differences by class.

Seeds are the unit of the verdicts: they say what another training would give on the same test
images. The intervals here say, too, what another draw of test images would do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cardinality.analysis.contrasts import Contrast
from cardinality.analysis.estimates import CONFIDENCE, Estimate, estimate
from cardinality.analysis.outcomes import Cell, Floats

Bits = NDArray[np.bool_]
Numbers = NDArray[np.int64]
# Of each cell and seed: which test images the last epoch got right, (images,).
Right = Mapping[Cell, Mapping[int, Bits]]


@dataclass(frozen=True)
class Interval:
    """A t interval with what it was made from.

    Attributes:
        low, high: its ends, in points.
        error: the standard error.
        degrees: of freedom; of both together Satterthwaite's, or those of the longer of the others.
    """

    low: float
    high: float
    error: float
    degrees: float


@dataclass(frozen=True)
class ImageEffect:
    """An effect with its interval over seeds, over test images, and over both.

    Attributes:
        mean: in points.
        seeds, images: how many there are.
        units: images, or sources where images share one.
        over_seeds: these images and other seeds; none with one seed.
        over_images: these seeds and other images; none with one unit.
        over_both: other seeds and other images; none where one of the two is.
        confidence: of each by itself.
    """

    mean: float
    seeds: int
    images: int
    units: int
    over_seeds: Interval | None
    over_images: Interval | None
    over_both: Interval | None
    confidence: float = CONFIDENCE


def common_seeds(contrast: Contrast, right: Right) -> tuple[int, ...]:
    """The seeds of which every cell has its images."""
    return tuple(sorted(set.intersection(*({*right.get(cell, {})} for cell in contrast))))


def wrongness(contrast: Contrast, right: Right, seeds: Sequence[int]) -> Floats:
    """The effect of each seed on each image, (S, N) in points; its mean is the effect.

    Args:
        contrast: whose weighted sum of wrongness (100 or 0) is taken.
        right: the bits of each cell and seed.
        seeds: S of them, that every cell has.

    Raises:
        ValueError: bits of unlike numbers of images.
    """
    lengths = {right[cell][seed].size for cell in contrast for seed in seeds}
    if len(lengths) != 1:
        raise ValueError(f"bits of {sorted(lengths)} images; allowed: all of the same images")
    effects = np.zeros((len(seeds), lengths.pop()))
    for cell, weight in contrast.items():
        wrong = ~np.stack([right[cell][seed] for seed in seeds])
        effects += 100 * weight * wrong
    return effects


def image_effect(
    contrast: Contrast,
    right: Right,
    sources: Numbers | None = None,
    counting: Sequence[int] | None = None,
) -> ImageEffect | None:
    """An effect with its intervals over seeds, test images, and both; none without a seed.

    Args:
        contrast: of the comparison.
        right: the bits of each cell and seed.
        sources: (images,) the source of each, where several share one.
        counting: the seeds that may be taken; by default all that every cell has.
    """
    seeds = common_seeds(contrast, right)
    if counting is not None:
        seeds = tuple(seed for seed in seeds if seed in counting)
    return crossed(wrongness(contrast, right, seeds), sources) if seeds else None


def crossed(
    effects: Floats, sources: Numbers | None = None, confidence: float = CONFIDENCE
) -> ImageEffect:
    """Intervals of a mean over seeds crossed with images, both drawn at random.

    With mean squares of seeds, images and residual, the variance of the mean is
    (MS_s + MS_i - MS_res) / (S N), with Satterthwaite's degrees of freedom. Sampling noise can make
    that interval shorter than one over seeds or over images alone, as can their many degrees of
    freedom where a few seeds happen to lie close; the longest of the three is taken.

    Args:
        effects: (S, N) in points (`wrongness`).
        sources: (N,) the source of each image, where several share one: then sources are drawn.
        confidence: of each interval.
    """
    units = effects if sources is None else _by_source(effects, sources)
    mean = float(effects.mean())
    count, drawn = units.shape
    square_s, square_i, square_res = _mean_squares(units)
    size = count * drawn
    free_s, free_i = count - 1, drawn - 1

    def interval(variance: float, degrees: float) -> Interval:
        error = math.sqrt(max(variance, 0.0) / size)
        # Without any variance there are no degrees of freedom to speak of.
        half = float(stats.t.ppf((1 + confidence) / 2, degrees)) * error if error else 0.0
        return Interval(mean - half, mean + half, error, degrees)

    over_seeds = interval(square_s, free_s) if free_s else None
    # S times the variance of the columns' means, which are independent for given seeds.
    over_images = interval(square_i, free_i) if free_i else None
    both = None
    if over_seeds is not None and over_images is not None:
        candidates = [over_seeds, over_images]
        together = square_s + square_i - square_res
        # Below one alone it is noise in MS_res, whose degrees of freedom may be next to none.
        if together >= max(square_s, square_i) and together > 0:
            terms = ((square_s, free_s), (square_i, free_i), (square_res, free_s * free_i))
            spread = sum(square**2 / free for square, free in terms)
            candidates.append(interval(together, together**2 / spread))
        both = max(candidates, key=lambda each: each.high - each.low)
    return ImageEffect(
        mean, count, effects.shape[1], drawn, over_seeds, over_images, both, confidence
    )


def _mean_squares(units: Floats) -> tuple[float, float, float]:
    """Mean squares of rows, columns and residual of a table (S, N) with one value a cell."""
    count, drawn = units.shape
    rows = units.mean(axis=1) - units.mean()
    columns = units.mean(axis=0) - units.mean()
    residual = units - units.mean() - rows[:, None] - columns[None, :]
    return (
        drawn * float(rows @ rows) / max(1, count - 1),
        count * float(columns @ columns) / max(1, drawn - 1),
        float((residual**2).sum()) / max(1, (count - 1) * (drawn - 1)),
    )


def _by_source(effects: Floats, sources: Numbers) -> Floats:
    """One value a source, (S, G), whose mean is that of the images.

    Sources are of unlike sizes, and the mean is a ratio of two sums; so each source's sum of
    deviations from the mean stands for it (the usual linearisation of a ratio).
    """
    _, places = np.unique(sources, return_inverse=True)
    groups = int(places.max()) + 1
    mean = effects.mean()
    sums = np.stack([np.bincount(places, row - mean, groups) for row in effects])
    return mean + sums * groups / effects.shape[1]


@dataclass(frozen=True)
class Agreement:
    """How two runs agree on which images they get right.

    Attributes:
        images: how many.
        both_right, only_first, only_second, both_wrong: how many of each.
        agree: the part of the images on which they agree.
        expected: the part that runs of these errors would agree on by chance.
        kappa: (agree - expected) / (1 - expected): 0 by chance, 1 always; none where chance
            alone would make them agree on every image.
    """

    images: int
    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    agree: float
    expected: float
    kappa: float | None


def agreement(first: Bits, second: Bits) -> Agreement:
    """Compare two runs image by image.

    Args:
        first, second: (images,) whether each is right.

    Raises:
        ValueError: bits of unlike numbers of images, or of none.
    """
    if first.shape != second.shape or not first.size:
        raise ValueError(f"{first.size} and {second.size} images; allowed: the same ones")
    images = first.size
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    agree = (both + neither) / images
    one, two = float(first.mean()), float(second.mean())
    expected = one * two + (1 - one) * (1 - two)
    kappa = None if expected == 1 else (agree - expected) / (1 - expected)
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    return Agreement(images, both, only_first, only_second, neither, agree, expected, kappa)


@dataclass(frozen=True)
class ClassEffect:
    """An effect on the test images of one class; descriptive, corrected for nothing.

    Attributes:
        name: of the class.
        images: how many it has.
        over: mean and interval over seeds, in points.
    """

    name: str
    images: int
    over: Estimate


def by_class(
    contrast: Contrast,
    right: Right,
    seeds: Sequence[int],
    labels: Numbers,
    names: Sequence[str],
) -> tuple[ClassEffect, ...]:
    """The effect on each class's images over the seeds; classes without images are left out.

    Args:
        contrast, right, seeds: as for `wrongness`.
        labels: (images,) the class of each, from 0.
        names: of the classes.
    """
    effects = wrongness(contrast, right, seeds)
    found = []
    for number, name in enumerate(names):
        members = labels == number
        if members.any():
            over = estimate(effects[:, members].mean(axis=1))
            found.append(ClassEffect(name, int(members.sum()), over))
    return tuple(found)
