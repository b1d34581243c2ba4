"""From claims and outcomes to verdicts: supported, contradicted, undecided or not run.

The rules in words are those of paper_tables/claims.yaml.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal

from cardinality.analysis import contrasts
from cardinality.analysis.claims import (
    ChainTest,
    Claim,
    Claims,
    DifferenceTest,
    Family,
    InteractionTest,
    Link,
    StatedCell,
    TrendTest,
    WithinTest,
)
from cardinality.analysis.comparisons import Effect, effect
from cardinality.analysis.contrasts import Contrast, of_blocks, of_figures
from cardinality.analysis.estimates import one_sided
from cardinality.analysis.families import holm
from cardinality.analysis.outcomes import Cell, Figure, Outcomes, blocks
from cardinality.analysis.trends import trend

Decision = Literal["supported", "contradicted", "undecided", "not run"]
State = Literal["final", "interim", "as given"]
Unit = Literal["points", "points a doubling of C"]
Published = Mapping[Cell, float]


@dataclass(frozen=True)
class Evidence:
    """What the runs say of one claim, or of one link of a chain, by itself.

    Attributes:
        effect: in `unit`, with its interval, its seeds and what is left out of it.
        unit: of the effect.
        seeds: the pairs or blocks that were judged; of a chain, of the link with the fewest.
        p: one-sided, the paper's way; none with too few pairs.
        p_against: one-sided, the other way.
        ties: whether equal errors make a trend's p conservative.
        paper: the same effect in the paper's figures, where it has them all.
    """

    effect: Effect
    unit: Unit
    seeds: tuple[int, ...]
    p: float | None
    p_against: float | None
    ties: bool
    paper: float | None

    @property
    def pairs(self) -> int:
        """How many pairs, or blocks, were judged."""
        return len(self.seeds)


@dataclass(frozen=True)
class LinkEvidence:
    """One link of a chain: the first cell's error minus the second's."""

    first: Cell
    second: Cell
    evidence: Evidence


@dataclass(frozen=True)
class Verdict:
    """What is said of one claim.

    Attributes:
        claim: its name; `text`, `source`, `table`, `family`, `figure` and `rule` (the test's name)
            are the claim's.
        decision: by the corrected p values.
        state: ``interim`` while a stated run of its cells has not ended; ``as given`` where no
            protocol states seeds.
        unfinished: how many stated runs of its cells have not ended.
        waiting: how many claims of its family are interim, of one that is final and undecided:
            Holm's correction counts them with p = 1, so once they are final it may be decided.
        after_the_fact: whether the runs were there before the rules.
        evidence: effect, interval, pairs, and p values before correction; of a chain, of its
            weakest link, but for p values and pairs, which are the chain's, and for the paper's
            effect, which is that of the link that is weakest in its figures.
        links: of a chain.
        p, p_against: after correction, the paper's way and the other; none with too few pairs.
        level: that they are held to.
        family_size: how many claims they were corrected for.
    """

    claim: str
    table: str
    family: Family
    text: str
    source: str
    figure: Figure
    rule: str
    decision: Decision
    state: State
    unfinished: int
    waiting: int
    after_the_fact: bool
    evidence: Evidence
    links: tuple[LinkEvidence, ...]
    p: float | None
    p_against: float | None
    level: float
    family_size: int

    @property
    def final(self) -> bool:
        """Whether every run that the protocol states for it has ended."""
        return self.state == "final"


def contrast_of(claim: Claim) -> Contrast | None:
    """The claim's effect as weights of its cells; none for a chain, which has one a link."""
    match claim.test:
        case TrendTest():
            return contrasts.slope(_cells(claim.test.cells))
        case DifferenceTest() | InteractionTest():
            return _of_paired(claim.test)
        case ChainTest() | WithinTest():
            return None


def _of_paired(test: DifferenceTest | InteractionTest) -> Contrast:
    if isinstance(test, DifferenceTest):
        return contrast_of_link(test)
    return contrasts.interaction(_cells(test.first), _cells(test.second))


def contrast_of_link(link: Link) -> Contrast:
    """A link's effect: its first cell minus its second."""
    return contrasts.difference(link.first.cell, link.second.cell)


def links_of(claim: Claim) -> tuple[tuple[Cell, Cell], ...]:
    """The two cells of each link of a chain; of cells that lie near each other, each two, both
    ways; of another claim nothing.
    """
    match claim.test:
        case ChainTest():
            return tuple((link.first.cell, link.second.cell) for link in claim.test.links)
        case WithinTest():
            return tuple(permutations(_cells(claim.test.cells), 2))
        case _:
            return ()


def beyond(test: WithinTest, first: Cell, second: Cell) -> Contrast:
    """By how much the first cell's error lies above the second's, but for the share allowed."""
    weights = dict(contrasts.difference(first, second))
    if test.share is not None:
        for cell, sign in ((test.share.first.cell, -1.0), (test.share.second.cell, 1.0)):
            weights[cell] = weights.get(cell, 0.0) + sign * test.share.of
    return weights


def _cells(stated: Sequence[StatedCell]) -> tuple[Cell, ...]:
    return tuple(each.cell for each in stated)


def weigh(
    claim: Claim, outcomes: Outcomes, fewest: int, paper: Published
) -> tuple[Evidence, tuple[LinkEvidence, ...]]:
    """What the runs say of a claim before any correction, and of a chain's links.

    Args:
        claim: to be judged.
        outcomes: of its table.
        fewest: pairs without which there is no p.
        paper: the paper's errors by cell, as far as it has them.
    """
    match claim.test:
        case TrendTest():
            return _trend(claim, claim.test, outcomes, fewest, paper), ()
        case ChainTest():
            links = tuple(
                LinkEvidence(
                    link.first.cell,
                    link.second.cell,
                    _paired(contrast_of_link(link), claim.figure, outcomes, fewest, paper),
                )
                for link in claim.test.links
            )
            return _chained(links), links
        case WithinTest():
            links = tuple(
                LinkEvidence(*pair, _near(claim.test, *pair, claim.figure, outcomes, fewest, paper))
                for pair in links_of(claim)
            )
            return _chained(links), links
        case DifferenceTest() | InteractionTest():
            contrast = _of_paired(claim.test)
            less = claim.test.alternative == "less"
            return _paired(contrast, claim.figure, outcomes, fewest, paper, less), ()


def _paired(
    contrast: Contrast,
    figure: Figure,
    outcomes: Outcomes,
    fewest: int,
    paper: Published,
    less: bool = True,
) -> Evidence:
    """Student's paired t test of a contrast; ``less`` is whether the paper has it negative."""
    found = effect(contrast, outcomes, figure)
    p: float | None = None
    against: float | None = None
    if len(found.seeds) >= fewest:
        values = of_blocks(contrast, blocks(outcomes, figure, tuple(contrast)).whole)
        below, above = one_sided(values)
        p, against = (below, above) if less else (above, below)
    published = _published(contrast, figure, paper)
    return Evidence(found, "points", found.seeds, p, against, False, published)


def _near(
    test: WithinTest,
    first: Cell,
    second: Cell,
    figure: Figure,
    outcomes: Outcomes,
    fewest: int,
    paper: Published,
) -> Evidence:
    """Whether one cell lies above another by less than the margin: one of Schuirmann's two tests.

    What is shown is the difference itself; p is that of the difference less the margin.
    """
    limit = beyond(test, first, second)
    whole = blocks(outcomes, figure, tuple(limit)).whole
    shown = _paired(contrasts.difference(first, second), figure, outcomes, fewest, paper)
    p: float | None = None
    against: float | None = None
    if len(whole.seeds) >= fewest:
        p, against = one_sided(of_blocks(limit, whole) - (test.margin or 0.0))
    return replace(shown, seeds=whole.seeds, p=p, p_against=against)


def _trend(
    claim: Claim, test: TrendTest, outcomes: Outcomes, fewest: int, paper: Published
) -> Evidence:
    cells = _cells(test.cells)
    found = trend(cells, outcomes, claim.figure)
    judged = found.test if len(found.seeds) >= fewest else None
    published = _published(contrasts.slope(cells), claim.figure, paper)
    return Evidence(
        found.slope,
        "points a doubling of C",
        found.seeds,
        None if judged is None else judged.falls,
        None if judged is None else judged.rises,
        judged is not None and judged.ties,
        published,
    )


def _published(contrast: Contrast, figure: Figure, paper: Published) -> float | None:
    """The paper's effect; its tables have test errors alone."""
    return of_figures(contrast, paper) if figure == "top1_error" else None


def _chained(links: tuple[LinkEvidence, ...]) -> Evidence:
    """A chain from its links.

    It holds only if all of them do, and each is tested at the full level: were one of them false,
    that one alone would have to err (intersection-union). It is contradicted if any is, and there
    are as many chances for that as links, so that p is multiplied by their number (Bonferroni).
    """
    weakest = max(links, key=lambda link: _strength(link.evidence)).evidence
    way = [_or_one(link.evidence.p) for link in links]
    other = [_or_one(link.evidence.p_against) for link in links]
    judged = any(link.evidence.p is not None for link in links)
    fewest = min(links, key=lambda link: link.evidence.pairs).evidence
    # Negative is the claimed way, so that the largest is the weakest.
    known = [link.evidence.paper for link in links if link.evidence.paper is not None]
    return Evidence(
        weakest.effect,
        weakest.unit,
        fewest.seeds,
        max(way) if judged else None,
        min(1.0, len(links) * min(other)) if judged else None,
        False,
        max(known) if len(known) == len(links) else None,
    )


def _strength(evidence: Evidence) -> tuple[bool, float, float]:
    """What orders links from strong to weak: too few pairs, then p, then the effect."""
    mean = 0.0 if evidence.effect.over is None else evidence.effect.over.mean
    return evidence.p is None, _or_one(evidence.p), mean


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p


@dataclass(frozen=True)
class _Weighed:
    """A claim with what its runs say of it, before correction."""

    claim: Claim
    evidence: Evidence
    links: tuple[LinkEvidence, ...]
    unfinished: int
    state: State


def judge(
    claims: Claims,
    outcomes: Mapping[str, Outcomes],
    paper: Mapping[str, Published] | None = None,
    after_the_fact: bool = False,
) -> tuple[Verdict, ...]:
    """Judge every claim, in the order of the claims.

    Args:
        claims: with their rules; a family's size is the number of its members here.
        outcomes: of each table at one scale; a table that is not there has not been run.
        paper: the paper's errors by table and cell.
        after_the_fact: whether the runs were there before the rules.
    """
    nothing = Outcomes({}, {}, {})
    families: dict[tuple[str, ...], list[_Weighed]] = {}
    for claim in claims.claims:
        own = outcomes.get(claim.table, nothing)
        published = (paper or {}).get(claim.table, {})
        weighed = _weighed(claim, own, claims.fewest_pairs, published)
        families.setdefault(claim.correction, []).append(weighed)
    verdicts = {
        verdict.claim: verdict
        for members in families.values()
        for verdict in _correct(members, claims.level, after_the_fact)
    }
    return tuple(verdicts[claim.name] for claim in claims.claims)


def _weighed(claim: Claim, outcomes: Outcomes, fewest: int, paper: Published) -> _Weighed:
    evidence, links = weigh(claim, outcomes, fewest, paper)
    parts: list[tuple[Cell, ...]] = [claim.cells]
    if isinstance(claim.test, ChainTest):
        parts = [(link.first, link.second) for link in links]
    unfinished = {run for cells in parts for run in outcomes.unfinished(claim.figure, cells)}
    asked = all(outcomes.counting(cells) for cells in parts)
    state: State = "final" if asked and not unfinished else "interim"
    if outcomes.stated is None:
        state = "as given"
    return _Weighed(claim, evidence, links, len(unfinished), state)


def _correct(members: Sequence[_Weighed], level: float, after_the_fact: bool) -> Iterator[Verdict]:
    """The verdicts of one family.

    For a final verdict the interim ones count as not run: their p may still grow, and with it,
    by Holm's order, the corrected p of the others.
    """
    corrected = {
        settled: tuple(zip(*_both_ways(members, settled), strict=True)) for settled in (True, False)
    }
    interim = sum(member.state == "interim" for member in members)
    for place, member in enumerate(members):
        p, against = corrected[member.state == "final"][place]
        evidence, claim = member.evidence, member.claim
        decision = _decide(member, p, against, level)
        open_still = member.state == "final" and decision == "undecided"
        yield Verdict(
            claim=claim.name,
            table=claim.table,
            family=claim.family,
            text=claim.claim,
            source=claim.source,
            figure=claim.figure,
            rule=claim.test.name,
            decision=decision,
            state=member.state,
            unfinished=member.unfinished,
            waiting=interim if open_still else 0,
            after_the_fact=after_the_fact,
            evidence=evidence,
            links=member.links,
            p=None if evidence.p is None else p,
            p_against=None if evidence.p_against is None else against,
            level=level,
            family_size=len(members),
        )


def _both_ways(
    members: Sequence[_Weighed], settled: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Corrected p of each member, the paper's way and the other."""

    def counted(member: _Weighed, p: float | None) -> float:
        return 1.0 if settled and member.state == "interim" else _or_one(p)

    return (
        holm([counted(member, member.evidence.p) for member in members]),
        holm([counted(member, member.evidence.p_against) for member in members]),
    )


def _decide(member: _Weighed, p: float, against: float, level: float) -> Decision:
    parts = [link.evidence for link in member.links] or [member.evidence]
    if not any(part.seeds or part.effect.diverged for part in parts):
        return "not run"
    # Too few pairs count with p = 1, so that they are undecided.
    if p <= level:
        return "supported"
    return "contradicted" if against <= level else "undecided"
