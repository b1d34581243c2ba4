"""Error against cardinality, seed by seed."""

from collections.abc import Sequence

from cardinality.architecture.settings import Setting
from cardinality.report.lines import TableLine
from cardinality.report.pages.charts.drawing import depths_of, file_of, mean_point
from cardinality.report.pages.gathered import TableRead
from cardinality.report.pages.shapes import Figure, Numbers, Plot, Series
from cardinality.report.wording import number


def by_cardinality(
    table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """Every seed's error against C, and the mean of each setting."""
    if len({Setting.parse(line.setting).cardinality for line in lines}) < 2:
        return None
    panels, values = [], []
    for depth in depths_of(lines):
        series: list[Series] = []
        here = [line for line in lines if line.depth == depth and line.seeds]
        for line in here:
            series += _by_seed(line, places)
            c = Setting.parse(line.setting).cardinality
            values += [(depth, line.net, c, seed, error) for seed, error in line.seeds]
        if series:
            title = f"{depth} layers"
            panels.append(
                Plot(title, depth, "points", "cardinality C", "top-1 error, %", "log2",
                     (*_mean_line(here), *series))
            )  # fmt: skip
    headings = ("depth", "net", "cardinality", "seed", "top1_error")
    return Figure(
        "cardinality",
        "Error against cardinality",
        "One mark a seed, the large one their mean; where each cardinality has one net, a line"
        " joins the means. Lower is better.",
        tuple(panels),
        Numbers(file_of(table, "cardinality"), headings, tuple(values)),
    )


def _by_seed(line: TableLine, places: dict[str, int]) -> list[Series]:
    c = float(Setting.parse(line.setting).cardinality)
    place, net = places[line.net], line.net
    seeds = [
        Series(net, net, place, "seeds", seed, (c,), (error,),
               says=(f"{net}, {line.depth} layers, seed {seed}: {number(error, 2)} %",))
        for seed, error in line.seeds
    ]  # fmt: skip
    return [*seeds, mean_point(line, place, c)]


def _mean_line(lines: Sequence[TableLine]) -> list[Series]:
    """A line through the means, where each cardinality has one of them."""
    points = sorted(
        (float(Setting.parse(line.setting).cardinality), line.top1.mean or 0.0) for line in lines
    )
    x = tuple(point[0] for point in points)
    if len(set(x)) < len(x) or len(x) < 2:
        return []
    return [Series("means", "", 0, "mean", None, x, tuple(point[1] for point in points))]
