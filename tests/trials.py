"""What a sample of many seeds says of a test with few: its power, measured.

A planned power rests on normal errors and an effect that was assumed; here both are the sample's.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cardinality.analysis.outcomes import Floats
from cardinality.analysis.power import page_power
from cardinality.analysis.trends import page

CONFIDENCE = 0.95
DRAWS = 1000


@dataclass(frozen=True)
class Trials:
    """Disjoint small grids, cut from one large sample in the order of its seeds.

    Attributes:
        ps: one-sided p of Page's test in each.
        level: that they are held to.
    """

    ps: tuple[float, ...]
    level: float

    @property
    def decided(self) -> int:
        """In how many the errors are said to fall."""
        return sum(p <= self.level for p in self.ps)

    @property
    def least(self) -> float:
        """The lower bound of the share that decide (Clopper and Pearson's, one-sided, 95 %)."""
        found = stats.binomtest(self.decided, len(self.ps), alternative="greater")
        return float(found.proportion_ci(CONFIDENCE).low)


def trials(errors: Floats, seeds: int, level: float) -> Trials:
    """Judge every disjoint grid of so many seeds; what is left over at the end is not used.

    Args:
        errors: (sample, columns), a row a seed, columns as the errors are said to fall.
        seeds: of one grid, two or more.
        level: one-sided.
    """
    whole = len(errors) // seeds
    parts = np.split(errors[: whole * seeds], whole) if whole else []
    return Trials(tuple(page(part).falls for part in parts), level)


@dataclass(frozen=True)
class Power:
    """The power of Page's test with few seeds, by the sample.

    Attributes:
        estimate: the share of grids of so many of its seeds, drawn with replacement, that decide.
        least: its lower bound, one-sided, 95 %: a percentile over samples drawn from the sample.
    """

    estimate: float
    least: float


def measured_power(errors: Floats, seeds: int, level: float, seed: int = 0) -> Power:
    """How often grids of so many seeds decide that the errors fall.

    Args:
        errors: (sample, columns), without equal errors in a row.
        seeds: of one grid, two or more.
        level: one-sided.
        seed: of the draws.
    """
    columns = errors.shape[1]
    ranks = stats.rankdata(-errors, axis=1)
    order = np.arange(1, columns + 1)
    smallest = int(order @ order[::-1])
    scores = np.rint(ranks @ order).astype(np.int64) - smallest
    largest = int(order @ order) - smallest

    def power(chosen: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
        found = np.bincount(chosen, minlength=largest + 1) / chosen.size
        return page_power(found, columns, seeds, level)

    rng = np.random.default_rng(seed)
    draws = [power(rng.choice(scores, scores.size)) for _ in range(DRAWS)]
    return Power(power(scores), float(np.quantile(draws, 1 - CONFIDENCE)))
