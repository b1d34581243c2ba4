"""How many seeds would decide: for paired t tests and for Page's trend.

The deviation is an estimate, too, and seeds that were planned with one that is too small by chance
do not suffice; so its upper 80 % bound is planned with.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cardinality.analysis.estimates import Estimate, without_spread
from cardinality.analysis.outcomes import DIGITS, Floats
from cardinality.analysis.trends import page_null, page_scores, page_sums

POWER = 0.8
BOUND = 0.8
# A protocol states no more seeds than that.
MOST = 1000
DRAWS = 100_000


@dataclass(frozen=True)
class Spread:
    """A deviation over seeds to plan with.

    Attributes:
        deviation: as estimated, in points.
        degrees: of freedom it was estimated with.
        upper: its upper 80 % bound, which is planned with.
        whose: whose runs it is from.
    """

    deviation: float
    degrees: int
    upper: float
    whose: str


def spread(deviation: float, degrees: int, whose: str) -> Spread:
    """A deviation with its one-sided upper bound, from the chi-squared distribution.

    Raises:
        ValueError: no degree of freedom.
    """
    if degrees < 1:
        raise ValueError(f"{degrees} degrees of freedom; allowed: 1 and more")
    factor = math.sqrt(degrees / float(stats.chi2.ppf(1 - BOUND, degrees)))
    return Spread(deviation, degrees, factor * deviation, whose)


def spread_of(over: Estimate | None, whose: str) -> Spread | None:
    """The deviation of an effect over seeds; none with fewer than two, or without spread."""
    if over is None or over.deviation is None or over.deviation < 10.0**-DIGITS:
        return None
    return spread(over.deviation, over.n - 1, whose)


def residual_spread(errors: Floats, whose: str) -> Spread | None:
    """The deviation within blocks: what is left of errors without their seed's and cell's mean.

    None with fewer than two seeds, or where nothing is left.

    Args:
        errors: (S, cells), without a diverged run.
        whose: whose runs they are.
    """
    seeds, cells = errors.shape
    degrees = (seeds - 1) * (cells - 1)
    if degrees < 1:
        return None
    rows, columns = errors.mean(axis=1, keepdims=True), errors.mean(axis=0, keepdims=True)
    residual = errors - rows - columns + errors.mean()
    if without_spread(residual.ravel()):
        return None
    return spread(math.sqrt(float((residual**2).sum()) / degrees), degrees, whose)


def t_power(effect: float, deviation: float, pairs: int, level: float) -> float:
    """The power of a one-sided paired t test, from the noncentral t distribution.

    Args:
        effect: the true mean difference, positive the way that is tested.
        deviation: of the pairs' differences, positive.
        pairs: two or more.
        level: one-sided.
    """
    threshold = stats.t.isf(level, pairs - 1)
    return float(stats.nct.sf(threshold, pairs - 1, effect / deviation * math.sqrt(pairs)))


def t_seeds(
    effect: float, deviation: float, level: float, fewest: int, power: float = POWER
) -> int | None:
    """The fewest seeds with which a paired t test has the power; none up to 1,000.

    Args:
        effect: to be found, positive the way that is tested.
        deviation: of the pairs' differences, positive.
        level: one-sided, after correction.
        fewest: below which nothing is judged.
        power: wanted.
    """
    if effect <= 0:
        return None
    return _least(lambda pairs: t_power(effect, deviation, pairs, level) >= power, fewest)


def _least(suffices: Callable[[int], bool], fewest: int) -> int | None:
    """The least number from `fewest` to `MOST` that suffices, where more are never worse."""
    low, high = fewest - 1, fewest
    while not suffices(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def page_alternative(means: Sequence[float], deviation: float, seed: int = 0) -> Floats:
    """`trends.page_null` where errors are normal about means: 100,000 draws with a fixed seed.

    Args:
        means: of the cells, in the order in which the error is said to fall.
        deviation: within a block.
        seed: of the draws.
    """
    columns = len(means)
    draws = np.random.default_rng(seed).normal(means, deviation, (DRAWS, columns))
    # Ranks of minus the error, from 1.
    ranks = (-draws).argsort(axis=1).argsort(axis=1) + 1
    _, smallest = page_scores(columns)
    scores = ranks @ np.arange(1, columns + 1) - smallest
    return np.bincount(scores, minlength=page_null(columns).size) / DRAWS


def page_power(alternative: Floats, columns: int, blocks: int, level: float) -> float:
    """The power of Page's exact test with so many blocks.

    Args:
        alternative: the probabilities of one block's L (`page_alternative`).
        columns: three or more.
        blocks: two or more.
        level: one-sided.
    """
    null = page_sums(page_null(columns), blocks)
    tail = np.cumsum(null[::-1])[::-1]
    rejected = tail <= level
    return float(page_sums(alternative, blocks)[rejected].sum())


def page_seeds(
    means: Sequence[float], deviation: float, level: float, fewest: int, power: float = POWER
) -> int | None:
    """The fewest seeds with which Page's test has the power; none up to 1,000.

    Being discrete, the test may lose a little power with one seed more; the first number that
    reaches the power is meant.

    Args:
        means: the cells' errors that are to be found, in the order in which they fall.
        deviation: within a block, positive.
        level: one-sided, after correction.
        fewest: below which nothing is judged.
        power: wanted.
    """
    alternative = page_alternative(means, deviation)
    columns = len(means)
    expected = np.arange(alternative.size) @ (alternative - page_null(columns))
    if expected <= 0:  # on average not the way that is tested
        return None
    enough = _least(lambda blocks: page_power(alternative, columns, blocks, level) >= power, fewest)
    while (
        enough and enough > fewest and page_power(alternative, columns, enough - 1, level) >= power
    ):
        enough -= 1
    return enough
