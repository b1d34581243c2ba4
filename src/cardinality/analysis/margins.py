"""Whether two sets of results are the same: within a margin that was stated first.

That no difference was found is no sign that there is none; "agrees" is said only where an interval
lies inside the margin.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from cardinality.analysis.estimates import (
    CONFIDENCE,
    Estimate,
    estimate,
    one_sided,
    without_spread,
)
from cardinality.analysis.families import holm
from cardinality.analysis.outcomes import DIGITS, Cell, Figure, Floats, Outcomes

LEVEL = 0.05
# Of the warning that a machine may be unsound: rarer than the level of a claim.
STRICT = 0.01
Sameness = Literal["identical", "agrees", "differs", "undecided"]
Likeness = Literal["agrees", "no sign of a difference", "differs"]


@dataclass(frozen=True)
class CellSameness:
    """One cell of two sets of results, paired by seed.

    Attributes:
        cell: which.
        over: the second set's error minus the first's, with its 90 % interval, which lies inside
            the margin just where two one-sided tests at 5 % reject.
        seeds: that both sets have.
        p_agrees: of two one-sided tests; none with too few pairs.
        p_differs: two-sided, after Holm's correction over the cells; none with too few pairs.
        decision: ``differs`` where a seed diverged in one set alone, which no margin holds;
            ``identical`` where every pair is equal.
    """

    cell: Cell
    over: Estimate
    seeds: tuple[int, ...]
    p_agrees: float | None
    p_differs: float | None
    decision: Sameness


@dataclass(frozen=True)
class ResultsSameness:
    """Two sets of results.

    Attributes:
        figure: which error.
        margin: stated, in points.
        cells: those of which both have a seed with an error.
        only_first, only_second: cells that could not be compared.
        apart: the seeds of a cell that ended with an error in one set and diverged in the other.
        lost: those that diverged in both.
        decision: ``differs`` where a cell does or a seed is apart; ``identical`` or ``agrees``
            where every cell is or does; ``undecided`` otherwise.
    """

    figure: Figure
    margin: float
    cells: tuple[CellSameness, ...]
    only_first: tuple[Cell, ...]
    only_second: tuple[Cell, ...]
    apart: Mapping[Cell, tuple[int, ...]]
    lost: Mapping[Cell, tuple[int, ...]]
    decision: Sameness


def same_within(values: Floats, margin: float) -> float:
    """Two one-sided t tests (Schuirmann 1987): p that the mean lies inside the margin, each way.

    Args:
        values: (n,) differences.
        margin: positive, stated before.
    """
    below, _ = one_sided(values - margin)
    _, above = one_sided(values + margin)
    return max(below, above)


def compare_results(
    first: Outcomes, second: Outcomes, figure: Figure, margin: float, fewest: int = 3
) -> ResultsSameness:
    """Ask of every cell whether two machines, or two commits, give the same error.

    Args:
        first, second: the same cells and seeds, computed twice.
        figure: which error.
        margin: positive, in points.
        fewest: pairs without which nothing is judged, but for what is identical.

    Raises:
        ValueError: a margin that is not positive.
    """
    if not margin > 0:
        raise ValueError(f"margin {margin}: allowed are positive ones")
    one, two = first.errors.get(figure, {}), second.errors.get(figure, {})
    apart, lost = _diverged(one, two, first.diverged, second.diverged)
    shared = {cell: sorted({*one[cell]} & {*two.get(cell, {})}) for cell in one}
    both = [cell for cell, seeds in shared.items() if seeds]
    values = [
        np.array([two[cell][seed] - one[cell][seed] for seed in shared[cell]]) for cell in both
    ]
    differs = holm([_two_sided(each, fewest) for each in values])
    cells = tuple(
        _sameness(cell, tuple(shared[cell]), each, p, margin, fewest, cell in apart)
        for cell, each, p in zip(both, values, differs, strict=True)
    )
    return ResultsSameness(
        figure,
        margin,
        cells,
        tuple(cell for cell in one if cell not in both and cell not in apart),
        tuple(cell for cell in two if cell not in both and cell not in apart),
        apart,
        lost,
        "differs" if apart else _altogether([cell.decision for cell in cells]),
    )


def _diverged(
    one: Mapping[Cell, Mapping[int, float]],
    two: Mapping[Cell, Mapping[int, float]],
    lost_one: Mapping[Cell, Collection[int]],
    lost_two: Mapping[Cell, Collection[int]],
) -> tuple[dict[Cell, tuple[int, ...]], dict[Cell, tuple[int, ...]]]:
    """The seeds of each cell that diverged in one set alone, and those that did in both."""
    apart, both = {}, {}
    for cell in dict.fromkeys([*lost_one, *lost_two]):
        gone = {*lost_one.get(cell, ())}, {*lost_two.get(cell, ())}
        ended = {*one.get(cell, {})}, {*two.get(cell, {})}
        if alone := (gone[0] & ended[1]) | (gone[1] & ended[0]):
            apart[cell] = tuple(sorted(alone))
        if shared := gone[0] & gone[1]:
            both[cell] = tuple(sorted(shared))
    return apart, both


def _two_sided(values: Floats, fewest: int) -> float:
    return min(1.0, 2 * min(one_sided(values))) if values.size >= fewest else 1.0


def _sameness(
    cell: Cell,
    seeds: tuple[int, ...],
    values: Floats,
    p_differs: float,
    margin: float,
    fewest: int,
    apart: bool,
) -> CellSameness:
    over = estimate(values, confidence=1 - 2 * LEVEL)
    if apart:
        return CellSameness(cell, over, seeds, None, None, "differs")
    if float(np.abs(values).max()) < 10.0**-DIGITS:
        return CellSameness(cell, over, seeds, None, None, "identical")
    if values.size < fewest:
        return CellSameness(cell, over, seeds, None, None, "undecided")
    p_agrees = same_within(values, margin)
    decision: Sameness = "differs" if p_differs <= LEVEL else "undecided"
    if p_agrees <= LEVEL:
        decision = "agrees"
    return CellSameness(cell, over, seeds, p_agrees, p_differs, decision)


def _altogether(decisions: Sequence[Sameness]) -> Sameness:
    """Each cell is held to the full level: all must agree, so that no correction is needed."""
    if not decisions or "undecided" in decisions:
        return "differs" if "differs" in decisions else "undecided"
    order: tuple[Sameness, ...] = ("differs", "agrees", "identical")
    return next(each for each in order if each in decisions)


@dataclass(frozen=True)
class Unpaired:
    """A difference of two means over unlike seeds, with Welch's interval.

    Attributes:
        mean: the first mean minus the second, in points.
        low, high: the interval; none where neither sample has a spread.
        p: two-sided, before correction.
        confidence: the interval's.
    """

    mean: float
    low: float | None
    high: float | None
    p: float
    confidence: float = CONFIDENCE


@dataclass(frozen=True)
class AgainstReference:
    """One cell of a few runs beside the same cell of a reference sample.

    Attributes:
        cell: which.
        ours, reference: mean and interval of each over its seeds.
        difference: ours minus the reference.
        p: two-sided, after Holm's correction over the cells.
        margin: stated; none where nobody has.
        decision: ``agrees`` where the interval lies inside the margin; else ``differs`` where the
            corrected p is below 0.01; else ``no sign of a difference``.
    """

    cell: Cell
    ours: Estimate
    reference: Estimate
    difference: Unpaired
    p: float
    margin: float | None
    decision: Likeness


def welch(first: Floats, second: Floats) -> Unpaired:
    """Compare two samples whose seeds are others, without assuming equal deviations.

    With a single run in the first sample there is no deviation of its own, so that the second's
    stands for both.

    Args:
        first: (n,), one or more.
        second: (m,), two or more.
    """
    mean = float(first.mean() - second.mean())
    flat = without_spread(first) and without_spread(second)
    if flat:
        return Unpaired(mean, None, None, 1.0)
    if first.size == 1:
        error = float(second.std(ddof=1)) * math.sqrt(1 + 1 / second.size)
        degrees = second.size - 1
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * error
        p = 2 * float(stats.t.sf(abs(mean) / error, degrees))
        return Unpaired(mean, mean - half, mean + half, p)
    result = stats.ttest_ind(first, second, equal_var=False)
    interval = result.confidence_interval(CONFIDENCE)
    return Unpaired(mean, float(interval.low), float(interval.high), float(result.pvalue))


def against_reference(
    ours: Outcomes, reference: Outcomes, figure: Figure, margin: float | None
) -> tuple[AgainstReference, ...]:
    """Compare a few runs with a reference sample, cell by cell; their seeds are others.

    Cells without a run here, or with fewer than two in the reference, are left out.

    Args:
        ours: every seed that is there.
        reference: the sample.
        figure: which error.
        margin: in points, as the protocol states it; none where it states none.
    """
    few, many = ours.errors.get(figure, {}), reference.errors.get(figure, {})
    samples = {
        cell: (np.array([*few[cell].values()]), np.array([*many[cell].values()]))
        for cell in few
        if few[cell] and len(many.get(cell, {})) > 1
    }
    differences = [welch(first, second) for first, second in samples.values()]
    corrected = holm([difference.p for difference in differences])
    lines = []
    for (cell, (first, second)), difference, p in zip(
        samples.items(), differences, corrected, strict=True
    ):
        decision = _likeness(difference, p, margin)
        both = estimate(first), estimate(second)
        lines.append(AgainstReference(cell, *both, difference, p, margin, decision))
    return tuple(lines)


def _likeness(difference: Unpaired, p: float, margin: float | None) -> Likeness:
    if margin is not None and difference.low is not None and difference.high is not None:
        inside = -margin < difference.low and difference.high < margin
        if inside:
            return "agrees"
    return "differs" if p < STRICT else "no sign of a difference"
