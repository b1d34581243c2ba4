"""Differences class by class."""

from collections.abc import Sequence

import numpy as np

from cardinality.analysis.contrasts import difference
from cardinality.analysis.images import Bits, ClassEffect, by_class, common_seeds
from cardinality.analysis.ledger import cell_of
from cardinality.analysis.outcomes import Cell
from cardinality.common.errors import UserError
from cardinality.common.text import plural
from cardinality.report.pages.charts.drawing import file_of, thinned
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import Bar, Figure, Forest, Interval, Numbers, TableLine, Value
from cardinality.report.pages.wording import interval
from cardinality.results.images import TestImages

# Classes shown one by one; where there are more, those whose differences are largest.
CLASSES = 20


def class_differences(
    gathered: Gathered, table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """Differences to the reference class by class, from which images each run got right."""
    images = _test_images(gathered, table)
    if images is None:
        return None
    panels: list[Forest] = []
    values: list[tuple[Value, ...]] = []
    for line, entry in zip(lines, table.plan.entries, strict=True):
        reference = table.plan.reference(entry)
        if reference is None or reference.key == entry.key:
            continue
        effects = _class_effects(gathered, table, cell_of(entry), cell_of(reference), images)
        if not effects:
            continue
        net = f"{line.net}{', deeper' if entry.row.deeper else ''}"
        values += [
            (line.depth, net, each.name, each.images, each.over.mean, each.over.low,
             each.over.high, each.over.n)
            for each in effects
        ]  # fmt: skip
        title = f"{net}, {line.depth} layers{f', to {line.against}' if line.against else ''}"
        bars = tuple(_class_bar(each, line, places) for each in _largest(effects))
        panels.append(Forest(title, line.depth, "points", bars))
    if not panels:
        return None
    headings = ("depth", "net", "class", "images", "difference", "low", "high", "pairs")
    more = len(images.classes) > CLASSES
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


def _test_images(gathered: Gathered, table: TableRead) -> TestImages | None:
    """The labels of the images that the shown runs were evaluated on, if they are there."""
    sums = {record.data_checksum for record in table.found.done.values()}
    if len(sums) != 1:
        return None
    path = gathered.results.images(sums.pop())
    try:
        return TestImages.read(path) if path.is_file() else None
    except UserError:
        return None


def _class_effects(
    gathered: Gathered, table: TableRead, first: Cell, second: Cell, images: TestImages
) -> tuple[ClassEffect, ...]:
    right = {cell: _right(gathered, table, cell, len(images.labels)) for cell in (first, second)}
    contrast = difference(first, second)
    seeds = common_seeds(contrast, right)
    if not seeds:
        return ()
    return by_class(contrast, right, seeds, np.array(images.labels), images.classes)


def _right(gathered: Gathered, table: TableRead, cell: Cell, images: int) -> dict[int, Bits]:
    found = {}
    for entry in table.plan.entries:
        for run in entry.runs if cell_of(entry) == cell else ():
            record = table.found.done.get(run.name)
            correct = None if record is None else gathered.results.correct(record)
            if correct is not None and correct.right.size == images:
                found[run.seed] = correct.right
    return found
