"""From plans and records to comparisons and verdicts: the door for tables and commands."""

import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cardinality.analysis.claims import Claims
from cardinality.analysis.comparisons import Comparison, compare
from cardinality.analysis.outcomes import Cell, Figure, Outcomes
from cardinality.analysis.planning import Needed, Runs, seeds_for_paper
from cardinality.analysis.verdicts import Published, Verdict, judge
from cardinality.experiment.configuration import Protocol
from cardinality.experiment.plan import Entry, Plan

# Of the last epoch.
FIGURES: tuple[Figure, ...] = ("top1_error", "top5_error", "train_error")


class Final(typing.Protocol):
    """The figures of a run's last epoch, in percent."""

    @property
    def top1_error(self) -> float: ...
    @property
    def top5_error(self) -> float | None: ...
    @property
    def train_error(self) -> float: ...


class Recorded(typing.Protocol):
    """What is asked of a record (`cardinality.results.records.Record`)."""

    @property
    def final(self) -> Final | None: ...
    @property
    def configuration(self) -> Mapping[str, Any]: ...


# Records of finished runs by the run's name.
Done = Mapping[str, Recorded]


def cell_of(entry: Entry) -> Cell:
    """The cell of a line of a plan."""
    return Cell(*entry.key)


def stated_seeds(protocol: Protocol, role: str) -> frozenset[int]:
    """The seeds that a protocol states for a depth's role, however many a plan asks for."""
    return frozenset(range(protocol.count(role)))


def early(errors: Sequence[float]) -> float:
    """A run's early error, from its test errors by epoch: the mean of the first quarter's."""
    first = errors[: -(-len(errors) // 4)]
    return sum(first) / len(first)


def outcomes_of(
    plan: Plan,
    done: Done,
    diverged: Collection[str] = (),
    earlier: Mapping[str, float] | None = None,
) -> Outcomes:
    """How the runs of a plan came out.

    Args:
        plan: of a table at a scale; its seeds may be fewer or more than the stated ones.
        done: the records.
        diverged: the names of runs that diverged.
        earlier: the early error of runs by name, where it was asked for.
    """
    known = earlier or {}
    figures: tuple[Figure, ...] = (*FIGURES, "early_error")
    errors: dict[Figure, dict[Cell, dict[int, float]]] = {figure: {} for figure in figures}
    ended: dict[Cell, set[int]] = {}
    for entry in plan.entries:
        cell = cell_of(entry)
        for run in entry.runs:
            record = done.get(run.name)
            if run.name in diverged:
                ended.setdefault(cell, set()).add(run.seed)
            elif record is not None and record.final is not None:
                for figure in figures:
                    last = figure != "early_error"
                    value = getattr(record.final, figure) if last else known.get(run.name)
                    if value is not None:
                        errors[figure].setdefault(cell, {})[run.seed] = value
    stated = {cell_of(entry): stated_seeds(plan.protocol, entry.role) for entry in plan.entries}
    return Outcomes(errors, ended, stated)


@dataclass(frozen=True)
class Line:
    """The comparisons of one line of a table.

    Attributes:
        cell: the line's.
        to_reference: with the line that the ablation compares it with, by figure; none for that
            line itself, or where the table lacks it.
        to_shortcuts: of a line without shortcuts, with the same net that has them.
    """

    cell: Cell
    to_reference: Mapping[Figure, Comparison] | None
    to_shortcuts: Mapping[Figure, Comparison] | None


def analyse(plan: Plan, done: Done, diverged: Collection[str] = ()) -> tuple[Line, ...]:
    """The comparisons of every line of a plan, in its order."""
    outcomes = outcomes_of(plan, done, diverged)

    def compared(entry: Entry, other: Entry | None) -> Mapping[Figure, Comparison] | None:
        if other is None or other.key == entry.key:
            return None
        cells = cell_of(entry), cell_of(other)
        return {figure: compare(*cells, outcomes, figure) for figure in FIGURES}

    return tuple(
        Line(
            cell_of(entry),
            compared(entry, plan.reference(entry)),
            compared(entry, plan.with_shortcuts(entry)),
        )
        for entry in plan.entries
    )


def paper_figures(lines: Iterable[Mapping[str, object]]) -> dict[Cell, float]:
    """The paper's top-1 errors by cell.

    Args:
        lines: of one of paper_tables/*.csv, of one data set: setting, role, residual, top1_error,
            and variant where the table has nets that are not the ResNeXt paper's.
    """
    return {
        Cell(
            str(line["setting"]),
            str(line["role"]),
            str(line["residual"]).lower() == "true",
            str(line.get("variant", "")),
        ): float(str(line["top1_error"]))
        for line in lines
    }


@dataclass(frozen=True)
class Ledger:
    """Every claim at one scale.

    Attributes:
        protocol: its name.
        verdicts: in the order of the claims.
        needed: for each undecided claim, the seeds for the effect that the paper's figures have.
    """

    protocol: str
    verdicts: tuple[Verdict, ...]
    needed: tuple[Needed, ...]


def ledger(
    claims: Claims,
    plans: Sequence[Plan],
    done: Done,
    diverged: Collection[str] = (),
    paper: Mapping[str, Published] | None = None,
    borrowed: Sequence[Runs] = (),
    earlier: Mapping[str, float] | None = None,
) -> Ledger:
    """Judge every claim at one scale.

    Args:
        claims: with their rules, as many as the protocol asks (`Claims.asked`).
        plans: of the tables, all of one protocol; tables without a plan are not run.
        done: the records.
        diverged: the names of runs that diverged.
        paper: the paper's errors by table and cell.
        borrowed: runs whose deviations are planned with where these have too few.
        earlier: the early error of runs by name, where a claim asks for it.

    Raises:
        ValueError: plans of several protocols, or none.
    """
    names = sorted({plan.protocol_name for plan in plans})
    if len(names) != 1:
        raise ValueError(f"plans of {', '.join(names) or 'no protocol'}; allowed: of one")
    outcomes = {plan.ablation_name: outcomes_of(plan, done, diverged, earlier) for plan in plans}
    verdicts = judge(claims, outcomes, paper, _after_the_fact(claims, plans, done))
    undecided = {verdict.claim for verdict in verdicts if verdict.decision == "undecided"}
    runs = (Runs(names[0], outcomes), *borrowed)
    needed = seeds_for_paper(claims, paper or {}, runs)
    return Ledger(names[0], verdicts, tuple(each for each in needed if each.claim in undecided))


def _after_the_fact(claims: Claims, plans: Sequence[Plan], done: Done) -> bool:
    """Whether a run that is judged is of a revision from before the rules."""
    judged = (done[run.name] for plan in plans for run in plan.runs() if run.name in done)
    return any(record.configuration["revision"] < claims.from_revision for record in judged)
