"""A comparison of two cells as an object: every difference that is shown comes from one."""

from dataclasses import dataclass

from cardinality.analysis.contrasts import Contrast, difference, of_blocks
from cardinality.analysis.estimates import Estimate, estimate
from cardinality.analysis.outcomes import Cell, Figure, Outcomes, blocks

RULE = "mean difference paired by seed, with its 95 % t interval over the pairs"


@dataclass(frozen=True)
class Effect:
    """A weighted sum of cells' errors over the seeds that all of them have.

    Attributes:
        over: mean, deviation and interval over the seeds that count; none without any.
        seeds: those seeds, one pair (or block) each.
        diverged: seeds that count and are left out because a run of theirs diverged.
        unfinished: how many runs that count have not ended yet.
        extended: the same over all seeds, where there are more than count.
    """

    over: Estimate | None
    seeds: tuple[int, ...]
    diverged: tuple[int, ...]
    unfinished: int
    extended: Estimate | None


def effect(contrast: Contrast, outcomes: Outcomes, figure: Figure) -> Effect:
    """The effect by seed, its mean and interval."""
    cells = tuple(contrast)
    counted = blocks(outcomes, figure, cells)
    more = blocks(outcomes, figure, cells, extended=True)
    beyond = len(more.whole.seeds) > len(counted.whole.seeds)
    return Effect(
        estimate(of_blocks(contrast, counted.whole)) if counted.whole.seeds else None,
        counted.whole.seeds,
        counted.broken,
        len(outcomes.unfinished(figure, cells)),
        estimate(of_blocks(contrast, more.whole)) if beyond else None,
    )


@dataclass(frozen=True)
class Comparison:
    """The difference of two cells, first minus second; negative where the first is better.

    Attributes:
        first, second: the cells.
        figure: which error; the difference is in points.
        effect: the mean difference with its interval, its seeds, and what is missing from it.
        rule: how it was computed.
    """

    first: Cell
    second: Cell
    figure: Figure
    effect: Effect
    rule: str = RULE

    @property
    def pairs(self) -> int:
        """How many seeds both cells have."""
        return len(self.effect.seeds)

    @property
    def mean(self) -> float | None:
        """The mean difference; none without a pair."""
        return None if self.effect.over is None else self.effect.over.mean

    @property
    def low(self) -> float | None:
        """The interval's lower end; none with fewer than two pairs."""
        return None if self.effect.over is None else self.effect.over.low

    @property
    def high(self) -> float | None:
        """The interval's upper end; none with fewer than two pairs."""
        return None if self.effect.over is None else self.effect.over.high


def compare(first: Cell, second: Cell, outcomes: Outcomes, figure: Figure) -> Comparison:
    """Compare two cells over the seeds that both have; means of unlike seeds are never subtracted.

    Raises:
        ValueError: a cell is compared with itself.
    """
    if first == second:
        raise ValueError(f"{first} is compared with itself")
    return Comparison(first, second, figure, effect(difference(first, second), outcomes, figure))
