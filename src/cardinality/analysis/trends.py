"""Page's trend test over ordered cells, with seeds as blocks, and the slope beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations

import numpy as np
from scipy import stats

from cardinality.analysis.comparisons import Effect, effect
from cardinality.analysis.contrasts import slope
from cardinality.analysis.outcomes import DIGITS, Cell, Figure, Floats, Outcomes, blocks


@dataclass(frozen=True)
class Page:
    """Page's test each way.

    Attributes:
        statistic: L, the sum over blocks of column number times rank; a large one is a fall.
        falls, rises: exact one-sided p that the errors fall, or rise, from column to column.
        ties: whether a block has equal errors, which makes p conservative.
    """

    statistic: float
    falls: float
    rises: float
    ties: bool


@cache
def page_scores(columns: int) -> tuple[Floats, int]:
    """L of each order of ranks, and the smallest of them."""
    order = np.arange(1, columns + 1)
    scores = np.array(list(permutations(order))) @ order
    return scores.astype(np.float64), int(scores.min())


def page_null(columns: int) -> Floats:
    """The probabilities of L in one block where every order of the ranks is equally likely."""
    scores, smallest = page_scores(columns)
    counts = np.bincount((scores - smallest).astype(np.int64))
    return counts / counts.sum()


def page_sums(one: Floats, blocks: int) -> Floats:
    """The probabilities of a sum over independent blocks, by squaring."""
    total, power = np.ones(1), one
    while blocks:
        if blocks % 2:
            total = np.convolve(total, power)
        blocks //= 2
        power = np.convolve(power, power) if blocks else power
    return total


def page(errors: Floats) -> Page:
    """Page's trend test (1963), exact, on minus the error.

    Equal errors share the mean of their ranks, and a run that diverged (infinite) ranks last. For
    a fractional L the next smaller whole one is taken, and the distribution without ties, which is
    the wider, as in scipy: with ties p is conservative. scipy's own takes seconds for some hundred
    blocks, and more depth of calls than there is for a thousand.

    Args:
        errors: (blocks, columns), at least two blocks and three columns, in the order in which the
            errors are said to fall.
    """
    ranks = stats.rankdata(-np.round(errors, DIGITS), axis=1)
    number, columns = ranks.shape
    null = page_sums(page_null(columns), number)
    _, smallest = page_scores(columns)

    def p(scores: Floats) -> tuple[float, float]:
        """L, and how likely one at least as large is by chance."""
        statistic = float((ranks @ scores).sum())
        tail = float(null[math.floor(statistic) - number * smallest :].sum())
        return statistic, min(1.0, tail)  # sums of exact terms may pass one by rounding

    (statistic, falls), (_, rises) = p(np.arange(1.0, columns + 1)), p(np.arange(columns, 0.0, -1))
    ties = any(np.unique(block).size < columns for block in ranks)
    return Page(statistic, falls, rises, ties)


@dataclass(frozen=True)
class Trend:
    """Whether the error falls over ordered cells, and how steeply.

    Attributes:
        cells: in the order in which the error is said to fall.
        figure: which error.
        seeds: the blocks; those with a diverged run are among them.
        test: Page's; none with fewer than two blocks.
        slope: each seed's, in points a doubling of C; blocks with a diverged run are left out.
    """

    cells: tuple[Cell, ...]
    figure: Figure
    seeds: tuple[int, ...]
    test: Page | None
    slope: Effect


def trend(cells: Sequence[Cell], outcomes: Outcomes, figure: Figure) -> Trend:
    """Page's test and the slope over the seeds that count and that all cells have.

    Blocks that are all the same tell of copies of one run rather than of certainty, and give p = 1
    both ways, as they do in Student's test (`one_sided`).

    Args:
        cells: at least three, in the order in which the error is said to fall.
        outcomes: of a table.
        figure: which error.
    """
    counted = blocks(outcomes, figure, cells)
    test = page(counted.errors) if len(counted.seeds) > 1 else None
    if test is not None and len(np.unique(np.round(counted.errors, DIGITS), axis=0)) == 1:
        test = replace(test, falls=1.0, rises=1.0)
    steepness = effect(slope(cells), outcomes, figure)
    return Trend(tuple(cells), figure, counted.seeds, test, steepness)
