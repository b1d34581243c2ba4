"""A mean over seeds with its t interval, and Student's test of its sign."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cardinality.analysis.outcomes import DIGITS, Floats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean of n values and how sure it is.

    Attributes:
        mean: of the values, in their unit.
        n: how many there are.
        deviation: of the values (n - 1 in the denominator); none with one value.
        low, high: the t interval of the mean; none with one value.
        confidence: the interval's.
    """

    mean: float
    n: int
    deviation: float | None
    low: float | None
    high: float | None
    confidence: float = CONFIDENCE


def estimate(values: Floats | Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean, deviation and t interval of independent values.

    Args:
        values: (n,), one a seed, at least one.
        confidence: of the interval, two-sided.

    Raises:
        ValueError: no values.
    """
    sample = np.asarray(values, dtype=np.float64)
    n = sample.size
    if n == 0:
        raise ValueError("no values; allowed: one and more")
    mean = float(sample.mean())
    if n == 1:
        return Estimate(mean, 1, None, None, None, confidence)
    deviation = float(sample.std(ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * deviation / math.sqrt(n)
    return Estimate(mean, n, deviation, mean - half, mean + half, confidence)


def without_spread(values: Floats) -> bool:
    """Whether all values are the same one, but for rounding."""
    return values.size > 0 and float(np.ptp(values)) < 10.0**-DIGITS


def one_sided(values: Floats) -> tuple[float, float]:
    """Student's test of the mean against zero, each way.

    Values without any spread tell of copies of one run rather than of certainty; they, and fewer
    than two values, give p = 1 both ways.

    Args:
        values: (n,), independent and roughly normal.

    Returns:
        p that the mean is less than zero, and p that it is greater.
    """
    if values.size < 2 or without_spread(values):
        return 1.0, 1.0
    less = float(stats.ttest_1samp(values, 0.0, alternative="less").pvalue)
    greater = float(stats.ttest_1samp(values, 0.0, alternative="greater").pvalue)
    return less, greater
