"""How many seeds, and how much time, each comparison of a table needs to find an effect."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap

from cardinality.analysis.claims import Claims, claims_of
from cardinality.analysis.contrasts import difference
from cardinality.analysis.ledger import cell_of, stated_seeds
from cardinality.analysis.outcomes import Cell
from cardinality.analysis.planning import Needed, Runs, Why, paired_spread, seeds_to_detect
from cardinality.analysis.power import POWER, t_seeds
from cardinality.architecture.names import net_in_words
from cardinality.common.text import markdown
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.report import reference
from cardinality.report.decision import siblings
from cardinality.report.judged import borrowed, runs_of
from cardinality.report.markdown import columns_of, to_markdown
from cardinality.report.verdict_words import REASONS
from cardinality.report.wording import DASH, number
from cardinality.results.folder import Results

# Seconds for some runs, and what that is known from.
Time = Callable[[Sequence[Run]], str]


@dataclass(frozen=True)
class Demand:
    """What one comparison needs.

    Attributes:
        label: of the claim, of a link of it, or of the two cells.
        needed: how many seeds, and by whose deviation.
        runs: those that are missing for so many.
    """

    label: str
    needed: Needed
    runs: tuple[Run, ...]


def demands(plan: Plan, points: float, results: Results, others: Sequence[Results]) -> list[Demand]:
    """What each claim about a table needs, and then each difference that no claim is about.

    Args:
        plan: of the table; its own numerics are those of the machine that would compute.
        points: to be found.
        results: of its protocol, whose deviations are taken first.
        others: of other protocols, whose deviations are borrowed where these have too few seeds.
    """
    planned = {plan.ablation_name, *(other.ablation_name for other in siblings(plan))}
    claims = claims_of(plan, planned=planned)
    sample = reference.runs(plan)
    runs = [runs_of([plan], results), *([sample] if sample else []), *borrowed(others)]
    own = {claim.name for claim in claims.claims if claim.table == plan.ablation_name}
    named = list(_claimed(claims, points, runs, own))
    known = {frozenset(needed.cells) for _, needed in named}
    named += _unclaimed(plan, points, runs, claims, known)
    return [
        Demand(label, needed, tuple(_missing(plan, needed, results))) for label, needed in named
    ]


def _claimed(
    claims: Claims, points: float, runs: Sequence[Runs], own: set[str]
) -> Iterator[tuple[str, Needed]]:
    for needed in seeds_to_detect(claims, points, runs):
        if needed.claim in own:
            yield needed.claim, needed
            for link in needed.links:
                yield f"· {' before '.join(starmap(net_in_words, link.cells[:2]))}", link


def _unclaimed(
    plan: Plan, points: float, runs: Sequence[Runs], claims: Claims, known: set[frozenset[Cell]]
) -> Iterator[tuple[str, Needed]]:
    """The table's other differences, as one family."""
    compared = {
        frozenset(cells): cells
        for entry in plan.entries
        for other in (plan.reference(entry), plan.with_shortcuts(entry))
        if other is not None and other.key != entry.key and entry.runs and other.runs
        for cells in ((cell_of(entry), cell_of(other)),)
    }
    open_ = [cells for pair, cells in compared.items() if pair not in known]
    for cells in open_:
        level = claims.level / len(open_)
        spread = paired_spread(runs, difference(*cells), plan.ablation_name, "top1_error")
        seeds = None
        if spread is not None:
            seeds = t_seeds(points, spread.upper, level, claims.fewest_pairs)
        why: Why | None = "no deviation" if spread is None else "more than 1000"
        why = None if seeds is not None else why
        label = " − ".join(starmap(net_in_words, cells))
        yield label, Needed(label, cells, points, spread, level, POWER, seeds, why)


def _missing(plan: Plan, needed: Needed, results: Results) -> Iterator[Run]:
    """Of so many seeds of the cells the runs that have not ended with these numerics."""
    for entry in plan.entries:
        if entry.runs and cell_of(entry) in needed.cells and needed.seeds is not None:
            for seed in range(needed.seeds):
                run = replace(entry.runs[0], seed=seed)
                if results.status(run.name) not in ("done", "diverged"):
                    yield run


def page(plan: Plan, points: float, found: Sequence[Demand], time: Time) -> str:
    """All of it as a table, with what it was planned with."""
    if not found:
        return "Nothing is compared: of no difference of this table both nets are trained here."
    lines = [_line(plan, demand, time) for demand in found]
    notes = [
        f"Seeds for a power of {100 * POWER:.0f} % to find a difference of {points:g} (points; of a"
        " trend: from its first setting to its last), one-sided at the level of Holm's first step,"
        " planned with the upper 80 % bound of the deviation. Claims come first, their links below"
        " them.",
        _whose(plan, found),
        "Time is for the runs that are missing of so many seeds; comparisons share runs, so it does"
        " not add up. More seeds than the protocol states change no verdict: to count, they must be"
        " stated first.",
    ]
    return "\n\n".join([to_markdown(columns_of(lines)), "\n".join(f"- {each}" for each in notes)])


def _line(plan: Plan, demand: Demand, time: Time) -> Mapping[str, str]:
    needed, known = demand.needed, demand.needed.spread
    roles = {cell.role for cell in needed.cells}
    of_these = [entry.role for entry in plan.entries if entry.role in roles]
    stated = sorted({len(stated_seeds(plan.protocol, role)) for role in of_these})
    return {
        "comparison": demand.label,
        "level": f"{100 * needed.level:.2g} %",
        "deviation": DASH if known is None else number(known.upper, 2),
        "whose": DASH if known is None else known.whose,
        "stated": " or ".join(map(str, stated)),
        "seeds": str(needed.seeds) if needed.seeds is not None else REASONS[needed.why],
        "runs missing": str(len(demand.runs)) if needed.seeds is not None else DASH,
        "time": time(demand.runs) if demand.runs else DASH,
    }


def _whose(plan: Plan, found: Sequence[Demand]) -> str:
    """Whose deviations were planned with."""
    whose = {demand.needed.spread.whose for demand in found if demand.needed.spread is not None}
    if not whose:
        return (
            "**No deviation is known**: no records of two seeds of these nets are there, of this"
            " protocol or of another. Two seeds of the table give one."
        )
    own = f"this protocol's own records ({markdown(plan.protocol_name)})"
    sample = reference.name(plan)
    others = sorted(whose - {plan.protocol_name, sample})
    names = [own] if plan.protocol_name in whose else []
    if sample in whose:
        names.append(f"{markdown(sample)}, the same nets and data with other seeds")
    names += [f"{markdown(name)}, borrowed: its nets or its data are others" for name in others]
    return f"Deviations are of {'; '.join(names)}."
