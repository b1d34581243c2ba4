"""Training and test error by epoch, of a table and of one run."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from cardinality.architecture.names import net_in_words
from cardinality.experiment.plan import Entry
from cardinality.report.lines import TableLine
from cardinality.report.pages.charts.drawing import SHOWN, depths_of, file_of, thinned
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import Figure, Numbers, Plot, Series, Value

# A long curve is drawn at so many of its epochs.
DRAWN = 60

# The two curves of a run, and the column that each is of.
PARTS: tuple[tuple[Literal["test", "train"], str], ...] = (
    ("test", "top1_error"),
    ("train", "train_error"),
)

Curve = list[dict[str, float]]
Curves = dict[str, dict[int, Curve]]


def by_epoch(
    gathered: Gathered, table: TableRead, lines: Sequence[TableLine], places: dict[str, int]
) -> Figure | None:
    """Training and test error by epoch: the mean over seeds with its band, and each run."""
    panels: list[Plot] = []
    values: list[tuple[Value, ...]] = []
    shown: list[int] = []
    for depth in depths_of(lines):
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
        Numbers(file_of(table, "curves"), headings, tuple(values), tuple(shown)),
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
    row = entry.row
    return net_in_words(row.setting, residual=row.residual, variant=entry.architecture.variant)


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
