"""Page's trend test over ordered cells, with seeds as blocks, and the slope beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from cardinality.analysis.comparisons import Effect, effect
from cardinality.analysis.contrasts import slope
from cardinality.analysis.outcomes import DIGITS, Cell, Figure, Floats, Outcomes, blocks

# Blocks up to which p is exact, which takes a second then and grows with the square of them.
EXACT = 100


@dataclass(frozen=True)
class Page:
    """Page's test each way.

    Attributes:
        statistic: L, the sum over blocks of column number times rank; a large one is a fall.
        falls, rises: one-sided p that the errors fall, or rise, from column to column.
        ties: whether a block has equal errors, which makes p conservative.
    """

    statistic: float
    falls: float
    rises: float
    ties: bool


def page(errors: Floats) -> Page:
    """Page's trend test (1963) on minus the error: exact, or normal beyond `EXACT` blocks.

    Equal errors share the mean of their ranks, and a run that diverged (infinite) ranks last.
    scipy takes the next smaller whole L for a fractional one, and the distribution without ties,
    which is the wider: with ties p is conservative.

    Args:
        errors: (blocks, columns), at least two blocks and three columns, in the order in which the
            errors are said to fall.
    """
    ranks = stats.rankdata(-np.round(errors, DIGITS), axis=1)
    columns = ranks.shape[1]
    method: Literal["exact", "asymptotic"] = "exact" if len(ranks) <= EXACT else "asymptotic"
    falls = stats.page_trend_test(ranks, ranked=True, method=method)
    backwards = np.arange(columns, 0, -1)
    rises = stats.page_trend_test(ranks, ranked=True, predicted_ranks=backwards, method=method)
    ties = any(np.unique(block).size < columns for block in ranks)
    # Sums of exact terms may pass one by rounding.
    p, against = (min(1.0, float(result.pvalue)) for result in (falls, rises))
    return Page(float(falls.statistic), p, against, ties)


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

    Args:
        cells: at least three, in the order in which the error is said to fall.
        outcomes: of a table.
        figure: which error.
    """
    counted = blocks(outcomes, figure, cells)
    test = page(counted.errors) if len(counted.seeds) > 1 else None
    steepness = effect(slope(cells), outcomes, figure)
    return Trend(tuple(cells), figure, counted.seeds, test, steepness)
