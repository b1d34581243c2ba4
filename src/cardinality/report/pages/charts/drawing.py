"""What figures have in common."""

from collections.abc import Sequence

from cardinality.common.text import plural
from cardinality.report.lines import TableLine
from cardinality.report.pages.gathered import TableRead
from cardinality.report.pages.shapes import Series
from cardinality.report.wording import number

# A long curve is shown in numbers at so many of its epochs; the CSV file has all.
SHOWN = 30


def thinned(count: int, most: int) -> tuple[int, ...]:
    """The numbers of at most so many of ``count`` things, evenly, the first and last included."""
    if count <= most:
        return tuple(range(count))
    return tuple(sorted({round(n * (count - 1) / (most - 1)) for n in range(most)}))


def file_of(table: TableRead, what: str) -> str:
    """The CSV file of a figure's numbers."""
    return f"numbers/{table.plan.ablation_name}-{what}.csv"


def depths_of(lines: Sequence[TableLine]) -> list[int]:
    """Every depth once, in the table's order."""
    return list(dict.fromkeys(line.depth for line in lines))


def mean_point(line: TableLine, place: int, x: float, at: str = "") -> Series:
    """A line's mean error at x, and what is said of it; ``at`` adds to that."""
    mean, deviation = line.top1.mean or 0.0, line.top1.deviation
    says = f"{line.net}, {line.depth} layers: mean {number(mean, 2)} %"
    says += f", deviation {number(deviation, 2)}" if deviation is not None else ""
    says += f", {plural(line.n, 'seed')}{at}"
    return Series(line.net, line.net, place, "mean", None, (x,), (mean,), says=(says,))
