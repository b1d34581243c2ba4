"""Every figure of a table, and what can be chosen in them."""

from collections.abc import Sequence

from cardinality.report.lines import TableLine
from cardinality.report.pages.charts.by_cardinality import by_cardinality
from cardinality.report.pages.charts.by_epoch import by_epoch
from cardinality.report.pages.charts.classes import class_differences
from cardinality.report.pages.charts.costs import costs
from cardinality.report.pages.charts.differences import differences
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import Choice, Figure


def choice_of(lines: Sequence[TableLine]) -> Choice:
    """What can be chosen among: every depth, every net in the table's order, every seed.

    Nets that the scale only counts are in no figure.
    """
    lines = [line for line in lines if line.asked]
    nets = dict.fromkeys(line.net for line in lines)
    seeds = {seed for line in lines for seed, _ in line.seeds}
    depths = dict.fromkeys(line.depth for line in lines)
    return Choice(
        tuple(depths), tuple((net, n) for n, net in enumerate(nets)), tuple(sorted(seeds))
    )


def figures_of(
    gathered: Gathered, table: TableRead, lines: tuple[TableLine, ...]
) -> tuple[Figure, ...]:
    """Every figure of a table that there is something to draw for: two nets or more."""
    if sum(line.n > 0 for line in lines) < 2:
        return ()
    places = dict(choice_of(lines).nets)
    trained = tuple(line for line in lines if line.asked)
    figures = [
        differences(table, trained, places),
        by_cardinality(table, trained, places),
        by_epoch(gathered, table, lines, places),
        costs(table, trained, places),
        class_differences(gathered, table, lines, places),
    ]
    return tuple(figure for figure in figures if figure is not None)
