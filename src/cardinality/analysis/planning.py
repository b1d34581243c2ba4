"""How many seeds each claim needs for 80 % power at its corrected level.

What is to be found is stated (so many points), or is the paper's own effect; never the effect just
seen, by which any undecided claim would need about as many seeds as it has.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cardinality.analysis.claims import (
    ChainTest,
    Claim,
    Claims,
    InteractionTest,
    TrendTest,
    WithinTest,
)
from cardinality.analysis.comparisons import effect
from cardinality.analysis.contrasts import Contrast, of_figures
from cardinality.analysis.outcomes import Cell, Figure, Outcomes, blocks
from cardinality.analysis.power import (
    POWER,
    Spread,
    page_seeds,
    residual_spread,
    spread_of,
    t_seeds,
)
from cardinality.analysis.verdicts import Published, beyond, contrast_of, contrast_of_link, links_of
from cardinality.architecture.settings import Setting

Why = Literal["no effect stated", "no effect that way", "no deviation", "more than 1000"]


@dataclass(frozen=True)
class Runs:
    """Runs that a deviation may be taken from.

    Attributes:
        whose: in words, such as ``cifar10-small``.
        outcomes: by table.
    """

    whose: str
    outcomes: Mapping[str, Outcomes]


@dataclass(frozen=True)
class Needed:
    """How many seeds a claim, or a link of a chain, needs.

    Attributes:
        claim: its name.
        cells: that have to be trained with so many seeds.
        effect: to be found, in points, positive the way that is claimed; of a trend, how far the
            error falls from its first cell to its last.
        spread: the deviation that was planned with, and whose it is.
        level: one-sided, after correction.
        power: wanted.
        seeds: the fewest; none where there is no number.
        why: there is none.
        links: of a chain, whose number of seeds is its largest.
    """

    claim: str
    cells: tuple[Cell, ...]
    effect: float | None
    spread: Spread | None
    level: float
    power: float
    seeds: int | None
    why: Why | None
    links: tuple["Needed", ...] = ()


def seeds_to_detect(claims: Claims, points: float, runs: Sequence[Runs]) -> tuple[Needed, ...]:
    """How many seeds each claim needs to find an effect of so many points.

    For a trend the error falls by that much from the first cell to the last, evenly with log2 C;
    of a chain every link has that effect.

    Args:
        claims: with their rules.
        points: to be found, positive.
        runs: to take deviations from; the first that has two seeds of the cells gives it.
    """
    return tuple(_needed(claim, claims, points, {}, runs) for claim in claims.claims)


def seeds_for_paper(
    claims: Claims, paper: Mapping[str, Published], runs: Sequence[Runs]
) -> tuple[Needed, ...]:
    """How many seeds each claim needs to find the effect that the paper's figures have.

    Args:
        claims: with their rules.
        paper: its errors by table and cell.
        runs: as for `seeds_to_detect`.
    """
    return tuple(
        _needed(claim, claims, None, paper.get(claim.table, {}), runs) for claim in claims.claims
    )


def corrected_level(claim: Claim, claims: Claims) -> float:
    """The level of Holm's first step in the claim's family, the strictest that it may meet."""
    size = sum(other.correction == claim.correction for other in claims.claims)
    return claims.level / size


@dataclass(frozen=True)
class _Question:
    """What a claim is planned with: either points, or the paper's errors by cell."""

    claim: Claim
    level: float
    fewest: int
    points: float | None
    paper: Published
    runs: Sequence[Runs]


def _needed(
    claim: Claim, claims: Claims, points: float | None, paper: Published, runs: Sequence[Runs]
) -> Needed:
    published = paper if claim.figure == "top1_error" else {}
    level = corrected_level(claim, claims)
    question = _Question(claim, level, claims.fewest_pairs, points, published, runs)
    match claim.test:
        case TrendTest():
            return _trend(question)
        case ChainTest():
            # Each link may miss a part of the fifth that all of them together may.
            power = 1 - (1 - POWER) / len(claim.test.links)
            links = (
                _paired(question, contrast_of_link(link), -1, power) for link in claim.test.links
            )
            return _chain(question, tuple(links))
        case WithinTest():
            power = 1 - (1 - POWER) / len(links_of(claim))
            # What is to be found is that two cells do not differ at all: the whole margin.
            near = replace(question, points=claim.test.margin)
            limits = (beyond(claim.test, *pair) for pair in links_of(claim))
            return _chain(question, tuple(_paired(near, each, -1, power) for each in limits))
        case InteractionTest(alternative="greater"):
            sign = 1
        case _:
            sign = -1
    return _paired(question, contrast_of(claim) or {}, sign, POWER)


def _paired(question: _Question, contrast: Contrast, sign: int, power: float) -> Needed:
    """For a paired t test of a contrast that the claim says to have this sign."""
    sought = question.points
    if sought is None:
        theirs = of_figures(contrast, question.paper)
        sought = None if theirs is None else sign * theirs
    known = paired_spread(question.runs, contrast, question.claim.table, question.claim.figure)
    seeds: int | None = None
    if sought is not None and known is not None:
        seeds = t_seeds(sought, known.upper, question.level, question.fewest, power)
    why = _why(sought, known, seeds)
    name, cells = question.claim.name, tuple(contrast)
    return Needed(name, cells, sought, known, question.level, power, seeds, why)


def paired_spread(
    runs: Sequence[Runs], contrast: Contrast, table: str, figure: Figure
) -> Spread | None:
    """The deviation of a contrast over seeds, of the first runs that have two of its cells."""
    for each in runs:
        outcomes = each.outcomes.get(table)
        if outcomes is not None:
            found = effect(contrast, outcomes, figure)
            known = spread_of(found.extended or found.over, each.whose)
            if known is not None:
                return known
    return None


def _trend(question: _Question) -> Needed:
    claim, cells = question.claim, question.claim.cells
    means: tuple[float, ...] | None = None
    if question.points is not None:
        means = _falling(cells, question.points)
    elif {*cells} <= question.paper.keys():
        means = tuple(question.paper[cell] for cell in cells)
    known = _residual_spread(question)
    seeds: int | None = None
    if means is not None and known is not None:
        seeds = page_seeds(means, known.upper, question.level, question.fewest)
    sought = None if means is None else means[0] - means[-1]
    why = _why(sought, known, seeds)
    return Needed(claim.name, cells, sought, known, question.level, POWER, seeds, why)


def _residual_spread(question: _Question) -> Spread | None:
    claim = question.claim
    for each in question.runs:
        outcomes = each.outcomes.get(claim.table)
        if outcomes is not None:
            lined = blocks(outcomes, claim.figure, claim.cells, extended=True)
            known = residual_spread(lined.whole.errors, each.whose)
            if known is not None:
                return known
    return None


def _falling(cells: Sequence[Cell], points: float) -> tuple[float, ...]:
    """Errors that fall by so many points from the first cell to the last, evenly with log2 C."""
    paths = [math.log2(Setting.parse(cell.setting).cardinality) for cell in cells]
    return tuple(-points * (each - paths[0]) / (paths[-1] - paths[0]) for each in paths)


def _chain(question: _Question, links: tuple[Needed, ...]) -> Needed:
    """A chain needs as many seeds as that of its links which needs most."""
    most = max(links, key=lambda link: (link.seeds is None, link.seeds or 0))
    claim = question.claim
    return replace(most, cells=claim.cells, power=POWER, links=links)


def _why(sought: float | None, known: Spread | None, seeds: int | None) -> Why | None:
    if seeds is not None:
        return None
    if sought is None:
        return "no effect stated"
    if sought <= 0:
        return "no effect that way"
    return "no deviation" if known is None else "more than 1000"
