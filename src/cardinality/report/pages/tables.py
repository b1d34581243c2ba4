"""A table's lines as a CSV file has them."""

from collections.abc import Sequence

from cardinality.report.lines import Interval, TableLine
from cardinality.report.pages.shapes import Numbers, Value

HEADINGS = (
    *("depth", "setting", "model", "shortcuts", "complexity", "params", "macs"),
    *("n", "asked", "failed", "diverged", "top1_error", "top1_error_deviation"),
    *("difference", "difference_low", "difference_high", "pairs"),
    *("top5_error", "train_error", "train_error_deviation", "seconds"),
    *("paper_depth", "paper_top1_error", "paper_difference"),
)


def numbers_of(name: str, lines: Sequence[TableLine]) -> Numbers:
    """The lines as a CSV file has them."""
    return Numbers(f"numbers/{name}.csv", HEADINGS, tuple(_values(line) for line in lines))


def _values(line: TableLine) -> tuple[Value, ...]:
    difference = line.top1.difference or Interval(None, None, None, 0)
    row, cost, paper = line.entry.row, line.entry.complexity, line.paper
    return (
        *(line.depth, line.setting, line.model, "yes" if row.residual else "no"),
        *(row.budget, cost.params, cost.macs, line.n, line.asked, line.failed, line.diverged),
        *(line.top1.mean, line.top1.deviation),
        *(difference.mean, difference.low, difference.high, difference.pairs),
        *(line.top5.mean, line.train.mean, line.train.deviation, line.seconds),
        *((paper.depth, paper.top1, paper.top1_difference) if paper else (None, None, None)),
    )
