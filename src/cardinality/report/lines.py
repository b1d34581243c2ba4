"""A table's lines in plain values: what Markdown, LaTeX, CSV, plots and pages all show.

Errors are in percent, differences in points; lower is better. What is not known is none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from cardinality.analysis.comparisons import Comparison
from cardinality.analysis.ledger import Line, analyse
from cardinality.analysis.outcomes import Figure
from cardinality.architecture.names import net_in_words
from cardinality.experiment.plan import Entry, Plan
from cardinality.report.published import Published
from cardinality.report.recorded import Recorded
from cardinality.results.records import Record


@dataclass(frozen=True)
class Interval:
    """A mean difference with its 95 % interval, over so many pairs of seeds."""

    mean: float | None
    low: float | None
    high: float | None
    pairs: int


@dataclass(frozen=True)
class MeanError:
    """An error over seeds: its mean, standard deviation, and difference to the reference's."""

    mean: float | None
    deviation: float | None
    difference: Interval | None


@dataclass(frozen=True)
class PaperLine:
    """The paper's figures for a line; differences to its own figures for the same references."""

    depth: int
    top1: float
    top5: float | None
    top1_difference: float | None
    top5_difference: float | None
    without: float | None


@dataclass(frozen=True)
class TableLine:
    """One line of a table: what its net costs, what was measured, what the paper has.

    Attributes:
        entry: the line of the plan.
        reference: the line that it is compared with, which may be itself; none without one.
        n, asked, failed, diverged: finished, planned, failed and diverged runs.
        seeds: top-1 error by seed.
        seconds: a run took, on average, where it had its device to itself.
        top1, top5, train: the last epoch's errors.
        without: the top-1 difference to the same net with shortcuts.
    """

    entry: Entry
    reference: Entry | None
    n: int
    asked: int
    failed: int
    diverged: int
    seeds: tuple[tuple[int, float], ...]
    seconds: float | None
    top1: MeanError
    top5: MeanError
    train: MeanError
    without: Interval | None
    paper: PaperLine | None

    @property
    def depth(self) -> int:
        """Of the net, in layers."""
        return self.entry.architecture.depth

    @property
    def setting(self) -> str:
        """Cardinality and width, such as 32x4d."""
        return str(self.entry.row.setting)

    @property
    def model(self) -> str:
        """What the row calls it, if anything."""
        return self.entry.row.label or ""

    @property
    def net(self) -> str:
        """The setting, and what else tells it from the other lines of its depth."""
        net = self.entry.architecture
        return net_in_words(self.setting, residual=net.residual, variant=net.variant)

    @property
    def is_reference(self) -> bool:
        """Whether it is the line that others are compared with."""
        return self.reference is self.entry

    @property
    def against(self) -> str:
        """What it is compared with, in words; empty where that is itself or nothing."""
        if self.reference is None or self.is_reference:
            return ""
        if self.entry.row.against is not None:
            return self.entry.row.against
        return f"{self.reference.row.setting} of depth {self.reference.architecture.depth}"


def lines_of(found: Recorded, paper: Published | None) -> tuple[TableLine, ...]:
    """Every line of a table, in its order.

    Differences are those of `cardinality.analysis`: to the line's reference (`Plan.reference`),
    by pairs of seeds, with their 95 % t interval.
    """
    compared = analyse(found.plan, found.done, found.diverged)
    return tuple(
        _line(found, entry, line, paper)
        for entry, line in zip(found.plan.entries, compared, strict=True)
    )


def _line(found: Recorded, entry: Entry, compared: Line, paper: Published | None) -> TableLine:
    records = {run.seed: found.done[run.name] for run in entry.runs if run.name in found.done}
    names, lost = {run.name for run in entry.runs}, found.diverged
    return TableLine(
        entry=entry,
        reference=found.plan.reference(entry),
        n=len(records),
        asked=len(entry.runs),
        failed=len(names & found.failed.keys() - lost),
        diverged=len(names & lost),
        seeds=tuple((seed, each.final.top1_error) for seed, each in records.items() if each.final),
        seconds=_seconds(records),
        top1=_mean_error("top1_error", records, compared),
        top5=_mean_error("top5_error", records, compared),
        train=_mean_error("train_error", records, compared),
        without=_interval(compared.to_shortcuts, "top1_error"),
        paper=None if paper is None else _paper(paper, found.plan, entry),
    )


def _mean_error(figure: Figure, records: Mapping[int, Record], compared: Line) -> MeanError:
    each = (getattr(record.final, figure) for record in records.values())
    values = [value for value in each if value is not None]
    return MeanError(
        fmean(values) if values else None,
        stdev(values) if len(values) > 1 else None,
        _interval(compared.to_reference, figure),
    )


def _interval(compared: Mapping[Figure, Comparison] | None, figure: Figure) -> Interval | None:
    """What a table shows of a comparison: it is over all seeds that both lines have.

    Verdicts take the stated seeds alone; a table's means are of every seed that was asked for, and
    its differences are to be of the same ones.
    """
    if compared is None:
        return None
    over = compared[figure].effect.extended or compared[figure].effect.over
    if over is None:
        return Interval(None, None, None, 0)
    return Interval(over.mean, over.low, over.high, over.n)


def _seconds(records: Mapping[int, Record]) -> float | None:
    """What a run took, of those that had their device to themselves all the while."""
    alone = [
        record.seconds
        for record in records.values()
        if all(record.alone(sitting) for sitting in record.sittings)
    ]
    return fmean(alone) if alone else None


def _paper(paper: Published, plan: Plan, entry: Entry) -> PaperLine | None:
    line = paper.line(entry)
    if line is None:
        return None
    reference = paper.line(plan.reference(entry))
    return PaperLine(
        depth=int(line.depth),
        top1=float(line.top1_error),
        top5=_known(line.top5_error),
        top1_difference=_less(line, reference, "top1_error"),
        top5_difference=_less(line, reference, "top5_error"),
        without=_less(line, paper.line(plan.with_shortcuts(entry)), "top1_error"),
    )


def _less(line: pd.Series, other: pd.Series | None, figure: str) -> float | None:
    return None if other is None else _known(line[figure] - other[figure])


def _known(value: float) -> float | None:
    """A figure of the paper's; what it does not state is not a number."""
    return None if math.isnan(value) else float(value)
