"""A forest of every line's difference to its reference."""

from collections.abc import Sequence

from cardinality.common.text import plural
from cardinality.report.lines import Interval, TableLine
from cardinality.report.pages.charts.drawing import file_of
from cardinality.report.pages.gathered import TableRead
from cardinality.report.pages.shapes import Bar, Figure, Forest, Numbers, Value
from cardinality.report.pages.wording import interval
from cardinality.report.wording import signed


def differences(
    table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """A forest of every line's difference to its reference, the paper's beside it."""
    bars: dict[int, list[Bar]] = {}
    values: list[tuple[Value, ...]] = []
    own = {line.model for line in lines} - {""}
    labelled = len(own) == len(lines)  # each line has a label of its own
    for line in lines:
        name = line.model if labelled else _name(line)
        named = line.against if table.plan.names_references else table.plan.ablation.reference
        theirs = None if line.paper is None else line.paper.top1_difference
        kinds = [(f"to {named}", line.top1.difference, theirs)]
        if line.without is not None:
            bare = None if line.paper is None else line.paper.without
            kinds.append(("to the same net with shortcuts", line.without, bare))
        for what, effect, paper in kinds:
            if effect is None or (effect.mean is None and paper is None):
                continue
            bars.setdefault(line.depth, []).append(_bar(line, name, what, effect, paper, places))
            ends = (effect.mean, effect.low, effect.high)
            values.append((line.depth, line.net, what, *ends, effect.pairs, paper))
    if not any(bar.effect.mean is not None for each in bars.values() for bar in each):
        return None
    headings = ("depth", "net", "compared", "difference", "low", "high", "pairs", "paper")
    return Figure(
        "differences",
        "Differences, paired by seed",
        "Top-1 error minus that of the compared net, in points, with its 95 % t interval over the"
        " seeds that both have; left of zero is better. Hollow diamonds are the paper's"
        " differences, which have no interval.",
        tuple(
            Forest(f"{depth} layers", depth, "points", tuple(each), keyed=True)
            for depth, each in bars.items()
        ),
        Numbers(file_of(table, "differences"), headings, tuple(values)),
    )


def _name(line: TableLine) -> str:
    return line.net if line.model in ("", "ResNet", "ResNeXt") else f"{line.net} {line.model}"


def _bar(
    line: TableLine,
    name: str,
    what: str,
    effect: Interval,
    paper: float | None,
    places: dict[str, int],
) -> Bar:
    says = f"{line.net} {what}, {line.depth} layers: {interval(effect, 2)} points"
    says += f", {plural(effect.pairs, 'pair')}"
    if paper is not None:
        says += f"; paper {signed(paper)}"
    label = name
    if "same net" in what:
        label = f"{name if name == line.model else line.setting}: shortcuts dropped"
    return Bar(label, line.net, places[line.net], says, effect, paper)
