"""A table's lines in plain values, ours and the paper's side by side."""

from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

from cardinality.analysis.comparisons import Comparison
from cardinality.analysis.ledger import Line
from cardinality.analysis.outcomes import Figure as Error
from cardinality.experiment.plan import Entry, Plan
from cardinality.experiment.run import Run, net_of
from cardinality.report.pages.gathered import TableRead
from cardinality.report.pages.shapes import Interval, Numbers, PaperLine, Spread, TableLine, Value
from cardinality.report.tables import Published, reference_of
from cardinality.results.records import Record

# What tells nets of one setting and depth apart, as a configuration has it.
OPTIONS = ("block", "shortcut", "deep_stem", "pooled_projection", "squeeze")


def lines_of(table: TableRead) -> tuple[TableLine, ...]:
    """Every line of a table, in its order."""
    return tuple(
        _line(table, entry, line)
        for entry, line in zip(table.plan.entries, table.lines, strict=True)
    )


def anchor_of(net: Mapping[str, Any]) -> str:
    """The anchor of the runs of a net, from their configuration's part about it."""
    plain = "" if net["residual"] else "-noshortcut"
    more = (key if value is True else value for key, value in net.items() if key in OPTIONS)
    kind = "".join(f"-{part}" for part in more)
    return f"cell-{net['setting']}-depth{net['depth']}{plain}{kind}"


def _line(table: TableRead, entry: Entry, compared: Line) -> TableLine:
    done, plan, lost = table.found.done, table.plan, table.found.diverged
    failed = table.found.failed.keys() - lost
    reference = plan.reference(entry)
    records = [(run, done[run.name]) for run in entry.runs if run.name in done]
    against = None if reference is None else reference.complexity
    counts = entry.complexity
    return TableLine(
        cell=anchor_of(net_of(entry.architecture)),
        role=entry.role,
        depth=entry.architecture.depth,
        setting=str(entry.row.setting),
        model=entry.row.label or "",
        shortcuts=entry.row.residual,
        variant=entry.architecture.variant,
        budget=entry.row.budget,
        params=counts.params,
        params_relative=None if against is None else counts.params / against.params,
        macs=counts.macs,
        macs_relative=None if against is None else counts.macs / against.macs,
        n=len(records),
        asked=len(entry.runs),
        failed=sum(run.name in failed for run in entry.runs),
        diverged=sum(run.name in lost for run in entry.runs),
        seeds=tuple((run.seed, record.final.top1_error) for run, record in records if record.final),
        seconds=_seconds(records),
        top1=_spread(records, "top1_error"),
        top5=_spread(records, "top5_error"),
        train=_spread(records, "train_error"),
        difference=_interval(compared.to_reference, "top1_error"),
        without=_interval(compared.to_shortcuts, "top1_error"),
        reference=reference is not None and reference.key == entry.key,
        against=_named(plan, entry),
        paper=None if table.paper is None else _paper(table, table.paper, entry),
    )


def _named(plan: Plan, entry: Entry) -> str:
    """What a line is compared with, in a table whose rows say it each for itself."""
    reference = plan.reference(entry)
    if not plan.names_references or reference is None or reference.key == entry.key:
        return ""
    return reference_of(entry, reference)


def _spread(records: list[tuple[Run, Record]], figure: Error) -> Spread:
    finals = (getattr(record.final, figure) for _, record in records if record.final is not None)
    values = [value for value in finals if value is not None]
    return Spread(
        fmean(values) if values else None,
        stdev(values) if len(values) > 1 else None,
    )


def _seconds(records: list[tuple[Run, Record]]) -> float | None:
    """What a run took, of those that had their device to themselves all the while."""
    alone = [
        record.seconds
        for _, record in records
        if all(record.alone(sitting) for sitting in record.sittings)
    ]
    return fmean(alone) if alone else None


def _interval(compared: Mapping[Error, Comparison] | None, figure: Error) -> Interval | None:
    if compared is None:
        return None
    found = compared[figure]
    return Interval(found.mean, found.low, found.high, found.pairs)


def _paper(table: TableRead, paper: Published, entry: Entry) -> PaperLine | None:
    line = paper.line(entry)
    if line is None:
        return None
    reference, bare = (
        paper.line(other)
        for other in (table.plan.reference(entry), table.plan.with_shortcuts(entry))
    )
    # What the paper does not have is not a number there, which is unequal to itself.
    top5 = float(line.top5_error) if line.top5_error == line.top5_error else None
    same = None if reference is None or reference.name == line.name else reference
    return PaperLine(
        int(line.depth),
        float(line.top1_error),
        None if same is None else float(line.top1_error - same.top1_error),
        top5,
        None if bare is None else float(line.top1_error - bare.top1_error),
    )


HEADINGS = (
    *("depth", "setting", "model", "shortcuts", "complexity", "params", "macs"),
    *("n", "asked", "failed", "diverged", "top1_error", "top1_error_deviation"),
    *("difference", "difference_low", "difference_high", "pairs"),
    *("top5_error", "train_error", "train_error_deviation", "seconds"),
    *("paper_depth", "paper_top1_error", "paper_difference"),
)


def numbers_of(name: str, lines: tuple[TableLine, ...]) -> Numbers:
    """The lines as a CSV file has them."""
    return Numbers(f"numbers/{name}.csv", HEADINGS, tuple(_values(line) for line in lines))


def _values(line: TableLine) -> tuple[Value, ...]:
    difference = line.difference or Interval(None, None, None, 0)
    paper = line.paper
    return (
        *(line.depth, line.setting, line.model, "yes" if line.shortcuts else "no"),
        *(line.budget, line.params, line.macs, line.n, line.asked, line.failed, line.diverged),
        *(line.top1.mean, line.top1.deviation),
        *(difference.mean, difference.low, difference.high, difference.pairs),
        *(line.top5.mean, line.train.mean, line.train.deviation, line.seconds),
        *((paper.depth, paper.top1, paper.top1_difference) if paper else (None, None, None)),
    )
