"""Error against what a net costs."""

from collections.abc import Sequence

from cardinality.report.lines import TableLine
from cardinality.report.pages.charts.drawing import file_of, mean_point
from cardinality.report.pages.gathered import TableRead
from cardinality.report.pages.shapes import Figure, Numbers, Plot
from cardinality.report.wording import number


def costs(table: TableRead, lines: Sequence[TableLine], places: dict[str, int]) -> Figure | None:
    """Mean error against what a net costs, three ways."""
    kinds = (
        ("MACs, millions", lambda line: line.entry.complexity.macs / 1e6),
        ("parameters, millions", lambda line: line.entry.complexity.params / 1e6),
        ("seconds a run", lambda line: line.seconds),
    )
    measured = [line for line in lines if line.n]
    panels = []
    for label, cost in kinds:
        series = []
        for line in measured:
            x = cost(line)
            if x is not None:
                at = f"; {number(x, 2)} {label}"
                series.append(mean_point(line, places[line.net], x, at))
        if series:
            panels.append(
                Plot(label, 0, "points", label, "top-1 error, %", "linear", tuple(series))
            )
    headings = ("depth", "net", "macs", "params", "seconds", "top1_error", "n")
    values = tuple(
        (line.depth, line.net, cost.macs, cost.params, line.seconds, line.top1.mean, line.n)
        for line, cost in ((line, line.entry.complexity) for line in measured)
    )
    return Figure(
        "costs",
        "Error against cost",
        "Mean top-1 error against multiply-adds and parameters of the whole net, and against the"
        " seconds that a run took where it had its device to itself.",
        tuple(panels),
        Numbers(file_of(table, "costs"), headings, values),
    )
