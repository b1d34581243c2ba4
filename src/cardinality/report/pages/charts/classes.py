"""Differences class by class."""

from collections.abc import Sequence

from cardinality.analysis.contrasts import difference
from cardinality.analysis.images import ClassEffect, common_seeds
from cardinality.analysis.ledger import cell_of
from cardinality.common.errors import UserError
from cardinality.common.text import plural
from cardinality.report.bits import pictures
from cardinality.report.lines import Interval, TableLine
from cardinality.report.pages.charts.drawing import file_of, thinned
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import Bar, Figure, Forest, Numbers, Value
from cardinality.report.pages.wording import interval

# Classes shown one by one; where there are more, those whose differences are largest.
CLASSES = 20


def class_differences(
    gathered: Gathered, table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """Differences to the reference class by class, from which images each run got right."""
    try:
        known = pictures([table.plan], table.found.done, gathered.results)
    except UserError:  # of their labels; records without their bits are unsound
        return None
    if known.images is None:
        return None
    panels: list[Forest] = []
    values: list[tuple[Value, ...]] = []
    for line in lines:
        if line.reference is None or line.is_reference:
            continue
        contrast = difference(cell_of(line.entry), cell_of(line.reference))
        effects = known.classes(contrast, common_seeds(contrast, known.right))
        if not effects:
            continue
        net = f"{line.net}{', deeper' if line.entry.row.deeper else ''}"
        values += [
            (line.depth, net, each.name, each.images, each.over.mean, each.over.low,
             each.over.high, each.over.n)
            for each in effects
        ]  # fmt: skip
        to = f", to {line.against}" if table.plan.names_references else ""
        title = f"{net}, {line.depth} layers{to}"
        bars = tuple(_class_bar(each, line, places) for each in _largest(effects))
        panels.append(Forest(title, line.depth, "points", bars))
    if not panels:
        return None
    headings = ("depth", "net", "class", "images", "difference", "low", "high", "pairs")
    more = len(known.images.classes) > CLASSES
    which = f" Drawn are the {CLASSES} classes that differ most." if more else ""
    shown = thinned(len(values), 200) if more else None
    return Figure(
        "classes",
        "Differences by class",
        f"Top-1 error on each class's test images minus that of {_compared_with(table)}, in points,"
        " with its 95 % t"
        f" interval over seeds. Described, not tested: many intervals, none of them"
        f" corrected. Each panel has its own scale.{which}",
        tuple(panels),
        Numbers(file_of(table, "classes"), headings, tuple(values), shown),
    )


def _compared_with(table: TableRead) -> str:
    plan = table.plan
    return "the row that is named" if plan.names_references else str(plan.ablation.reference)


def _largest(effects: Sequence[ClassEffect]) -> Sequence[ClassEffect]:
    if len(effects) <= CLASSES:
        return effects
    chosen = sorted(effects, key=lambda each: -abs(each.over.mean))[:CLASSES]
    return [each for each in effects if each in chosen]


def _class_bar(effect: ClassEffect, line: TableLine, places: dict[str, int]) -> Bar:
    over = effect.over
    found = Interval(over.mean, over.low, over.high, over.n)
    says = f"{effect.name}, {plural(effect.images, 'image')}: {interval(found, 2)} points"
    return Bar(effect.name, line.net, places[line.net], f"{says}, {line.net}", found)
