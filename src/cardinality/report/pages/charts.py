"""The figures of a table in plain values: what is drawn, what is said of it, and its numbers."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import numpy as np

from cardinality.analysis.contrasts import difference
from cardinality.analysis.images import Bits, ClassEffect, by_class, common_seeds
from cardinality.analysis.ledger import cell_of
from cardinality.analysis.outcomes import Cell
from cardinality.architecture.settings import Setting
from cardinality.common.errors import UserError
from cardinality.experiment.plan import Entry
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import (
    Bar,
    Choice,
    Figure,
    Forest,
    Interval,
    Numbers,
    Plot,
    Series,
    TableLine,
    Value,
)
from cardinality.report.pages.wording import interval
from cardinality.report.wording import number, plural, signed
from cardinality.results.images import TestImages

# A long curve is drawn, and shown in numbers, at so many of its epochs; the CSV file has all.
DRAWN, SHOWN = 60, 30
# Classes shown one by one; where there are more, those whose differences are largest.
CLASSES = 20

# The two curves of a run, and the column that each is of.
PARTS: tuple[tuple[Literal["test", "train"], str], ...] = (
    ("test", "top1_error"),
    ("train", "train_error"),
)

Curve = list[dict[str, float]]
Curves = dict[str, dict[int, Curve]]


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
        _differences(table, trained, places),
        _by_cardinality(table, trained, places),
        _curves(gathered, table, lines, places),
        _costs(table, trained, places),
        _classes(gathered, table, lines, places),
    ]
    return tuple(figure for figure in figures if figure is not None)


def thinned(count: int, most: int) -> tuple[int, ...]:
    """The numbers of at most so many of ``count`` things, evenly, the first and last included."""
    if count <= most:
        return tuple(range(count))
    return tuple(sorted({round(n * (count - 1) / (most - 1)) for n in range(most)}))


def _file(table: TableRead, what: str) -> str:
    return f"numbers/{table.plan.ablation_name}-{what}.csv"


def _depths(lines: Sequence[TableLine]) -> list[int]:
    return list(dict.fromkeys(line.depth for line in lines))


# --- differences -----------------------------------------------------------------------------


def _differences(
    table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """A forest of every line's difference to its reference, the paper's beside it."""
    bars: dict[int, list[Bar]] = {}
    values: list[tuple[Value, ...]] = []
    own = {line.model for line in lines} - {""}
    labelled = len(own) == len(lines)  # each line has a label of its own
    for line in lines:
        name = line.model if labelled else _name(line)
        against = f"to {line.against or table.plan.ablation.reference}"
        theirs = None if line.paper is None else line.paper.top1_difference
        kinds = [(against, line.difference, theirs)]
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
        Numbers(_file(table, "differences"), headings, tuple(values)),
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


# --- error against cardinality ---------------------------------------------------------------


def _by_cardinality(
    table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """Every seed's error against C, and the mean of each setting."""
    if len({Setting.parse(line.setting).cardinality for line in lines}) < 2:
        return None
    panels, values = [], []
    for depth in _depths(lines):
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
        Numbers(_file(table, "cardinality"), headings, tuple(values)),
    )


def _by_seed(line: TableLine, places: dict[str, int]) -> list[Series]:
    c = float(Setting.parse(line.setting).cardinality)
    place, net = places[line.net], line.net
    seeds = [
        Series(net, net, place, "seeds", seed, (c,), (error,),
               says=(f"{net}, {line.depth} layers, seed {seed}: {number(error, 2)} %",))
        for seed, error in line.seeds
    ]  # fmt: skip
    return [*seeds, _mean_point(line, place, c)]


def _mean_point(line: TableLine, place: int, x: float, at: str = "") -> Series:
    mean, deviation = line.top1.mean or 0.0, line.top1.deviation
    says = f"{line.net}, {line.depth} layers: mean {number(mean, 2)} %"
    says += f", deviation {number(deviation, 2)}" if deviation is not None else ""
    says += f", {plural(line.n, 'seed')}{at}"
    return Series(line.net, line.net, place, "mean", None, (x,), (mean,), says=(says,))


def _mean_line(lines: Sequence[TableLine]) -> list[Series]:
    """A line through the means, where each cardinality has one of them."""
    points = sorted(
        (float(Setting.parse(line.setting).cardinality), line.top1.mean or 0.0) for line in lines
    )
    x = tuple(point[0] for point in points)
    if len(set(x)) < len(x) or len(x) < 2:
        return []
    return [Series("means", "", 0, "mean", None, x, tuple(point[1] for point in points))]


# --- curves ----------------------------------------------------------------------------------


def _curves(
    gathered: Gathered, table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """Training and test error by epoch: the mean over seeds with its band, and each run."""
    panels: list[Plot] = []
    values: list[tuple[Value, ...]] = []
    shown: list[int] = []
    for depth in _depths(lines):
        runs = _runs_of(gathered, table, depth)
        runs = {net: by_seed for net, by_seed in runs.items() if by_seed}
        if not runs:
            continue
        series = [
            one for net, by_seed in runs.items() for one in _net_curves(net, places[net], by_seed)
        ]
        panels.append(
            Plot(f"{depth} layers", depth, "curves", "epoch", "error, %", "linear", tuple(series))
        )
        epochs = max(len(curve) for by_seed in runs.values() for curve in by_seed.values())
        shown += [len(values) + n * len(runs) + k for n in thinned(epochs, SHOWN)
                  for k in range(len(runs))]  # fmt: skip
        values += [_epoch_line(depth, net, epoch, by_seed)
                   for epoch in range(epochs) for net, by_seed in runs.items()]  # fmt: skip
    headings = ("depth", "net", "epoch", "n", "test_error", "train_error")
    return Figure(
        "curves",
        "Test and training error by epoch",
        "Means over seeds; bands go from the lowest seed to the highest. Solid: top-1 error on the"
        " test images. Dashed: on the training images, the running average over the epoch under"
        " augmentation. With some of the seeds chosen, each of their runs is drawn by itself.",
        tuple(panels),
        Numbers(_file(table, "curves"), headings, tuple(values), tuple(shown)),
    )


def _runs_of(gathered: Gathered, table: TableRead, depth: int) -> Curves:
    """The epochs of the finished runs of a depth, by net and seed."""
    done, found = table.found.done, Curves()
    for entry in table.plan.entries:
        if entry.architecture.depth == depth:
            by_seed = found.setdefault(_net(entry), {})
            for run in entry.runs:
                if run.name in done:
                    by_seed[run.seed] = gathered.results.epochs(done[run.name])
    return found


def _net(entry: Entry) -> str:
    kind = entry.architecture.variant
    named = f"{entry.row.setting}, {kind}" if kind else str(entry.row.setting)
    return named if entry.row.residual else f"{named}, no shortcuts"


def _epoch_line(depth: int, net: str, epoch: int, by_seed: dict[int, Curve]) -> tuple[Value, ...]:
    there = [curve[epoch] for curve in by_seed.values() if epoch < len(curve)]
    test, train = (
        fmean(row[key] for row in there) if there else None for key in ("top1_error", "train_error")
    )
    return depth, net, epoch + 1, len(there), test, train


def _net_curves(net: str, place: int, by_seed: dict[int, Curve]) -> list[Series]:
    series = []
    count = min(len(curve) for curve in by_seed.values())
    chosen = thinned(count, DRAWN)
    x = tuple(float(n + 1) for n in chosen)
    for part, key in PARTS:
        at = [[curve[n][key] for curve in by_seed.values()] for n in chosen]
        series.append(
            Series(f"{net}, {part}", net, place, part, None, x, tuple(map(fmean, at)),
                   tuple(map(min, at)), tuple(map(max, at)))
        )  # fmt: skip
        series += [
            Series(f"{net}, seed {seed}, {part}", net, place, part, seed, x,
                   tuple(curve[n][key] for n in chosen))
            for seed, curve in by_seed.items()
        ]  # fmt: skip
    return series


# --- costs -----------------------------------------------------------------------------------


def _costs(table: TableRead, lines: Sequence[TableLine], places: dict[str, int]) -> Figure | None:
    """Mean error against what a net costs, three ways."""
    kinds = (
        ("MACs, millions", lambda line: line.macs / 1e6),
        ("parameters, millions", lambda line: line.params / 1e6),
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
                series.append(_mean_point(line, places[line.net], x, at))
        if series:
            panels.append(
                Plot(label, 0, "points", label, "top-1 error, %", "linear", tuple(series))
            )
    headings = ("depth", "net", "macs", "params", "seconds", "top1_error", "n")
    values = tuple(
        (line.depth, line.net, line.macs, line.params, line.seconds, line.top1.mean, line.n)
        for line in measured
    )
    return Figure(
        "costs",
        "Error against cost",
        "Mean top-1 error against multiply-adds and parameters of the whole net, and against the"
        " seconds that a run took where it had its device to itself.",
        tuple(panels),
        Numbers(_file(table, "costs"), headings, values),
    )


# --- classes ---------------------------------------------------------------------------------


def _classes(
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
        Numbers(_file(table, "classes"), headings, tuple(values), shown),
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


# --- one run ---------------------------------------------------------------------------------


def run_curves(title: str, rows: Curve) -> Plot | None:
    """The two curves of one run."""
    if not rows:
        return None
    chosen = thinned(len(rows), SHOWN)
    x = tuple(rows[n]["epoch"] for n in chosen)
    series = tuple(
        Series(f"{part} error", "", place, part, None, x, tuple(rows[n][key] for n in chosen))
        for place, (part, key) in enumerate(PARTS)
        if all(math.isfinite(rows[n].get(key, math.nan)) for n in chosen)
    )
    return Plot(title, 0, "curves", "epoch", "error, %", "linear", series) if series else None
