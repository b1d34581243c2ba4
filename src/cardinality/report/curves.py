"""Curves: training and test error by epoch, as in the paper's Fig. 5 and ResNet's Fig. 6."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cardinality.experiment.plan import Entry, Plan
from cardinality.report.canvas import COLOURS, say_empty, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Epochs = Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True)
class Panel:
    """Lines that are drawn in one panel of curves, under one title."""

    title: str
    entries: tuple[Entry, ...]


def panels_of(plan: Plan) -> list[Panel]:
    """Which curves are drawn together: those of one depth, as in the paper's Fig. 5.

    Where rows state their layers and these differ, it is depths that are compared: nets without
    shortcuts stand in one panel and those with them in another, as in ResNet's Fig. 6. Where there
    are more lines than colours, each setting has its own panels.
    """
    trained = sorted((e for e in plan.entries if e.runs), key=lambda e: e.architecture.depth)
    depths = {entry.architecture.depth for entry in trained if entry.row.layers is not None}
    groups: dict[str, list[Entry]] = {}
    for entry in trained:
        title = f"depth {entry.architecture.depth}"
        if len(depths) > 1:
            title = "with shortcuts" if entry.row.residual else "without shortcuts"
        groups.setdefault(title, []).append(entry)
    return [
        panel for title, entries in groups.items() for panel in _divided(title, _shown(entries))
    ]


def _divided(title: str, entries: list[Entry]) -> Iterator[Panel]:
    most = len(COLOURS)
    if len(entries) <= most:
        yield Panel(title, tuple(entries))
        return
    for setting in dict.fromkeys(str(entry.row.setting) for entry in entries):
        same = [entry for entry in entries if str(entry.row.setting) == setting]
        for first in range(0, len(same), most):
            yield Panel(f"{title}, {setting}", tuple(same[first : first + most]))


def size(plan: Plan) -> tuple[float, float]:
    """Inches that `draw` needs."""
    return max(9.0, 4.2 * len(panels_of(plan))), 3.6


def draw(plan: Plan, epochs: Epochs, figure: "Figure") -> None:
    """Training and test error by epoch, mean over the seeds.

    Args:
        plan: `panels_of` says which of its lines are drawn.
        epochs: of finished runs, by the run's name.
        figure: to draw on.
    """
    from matplotlib.ticker import MaxNLocator

    means = data(plan, epochs)
    titles = [panel.title for panel in panels_of(plan)]
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for axes, title in zip(panels, titles, strict=True):
        lines = means[means.panel == title]
        for colour, (label, line) in zip(COLOURS, lines.groupby("line", sort=False), strict=False):
            name = f"{label} (n = {line.n.iloc[0]})"
            axes.plot(line.epoch, line.train_error, "--", color=colour)
            axes.plot(line.epoch, line.top1_error, "-", color=colour, label=name)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(fontsize=8)
        else:
            say_empty(axes)
            axes.tick_params(axis="x", bottom=False, labelbottom=False)
            axes.set_xlabel("")
    first = next((axes for axes in panels if axes.lines), panels[0])
    first.tick_params(labelleft=bool(first.lines))
    first.set_ylabel("top-1 error, %")
    titled(figure, f"Training (dashed) and test error by epoch ({plan.protocol_name})")


def data(plan: Plan, epochs: Epochs) -> pd.DataFrame:
    """Mean errors by epoch of the lines that `draw` shows."""
    rows = []
    for panel in panels_of(plan):
        for entry in panel.entries:
            runs = [epochs[run.name] for run in entry.runs if run.name in epochs]
            for same in zip(*runs, strict=True):
                means = {
                    key: sum(epoch[key] for epoch in same) / len(runs)
                    for key in ("train_error", "top1_error")
                }
                of = (panel.title, entry.architecture.depth, _line_name(plan, entry))
                rows.append((*of, len(runs), int(same[0]["epoch"]), *means.values()))
    columns = ["panel", "depth", "line", "n", "epoch", "train_error", "top1_error"]
    return pd.DataFrame(rows, columns=columns)


def _line_name(plan: Plan, entry: Entry) -> str:
    """A line's label where each row has its own, else what its net is."""
    labels = {row.label for row in plan.ablation.rows} - {None}
    if entry.row.label and len(labels) == len(plan.ablation.rows):
        return entry.row.label
    kind = f", {entry.architecture.variant}" if entry.architecture.variant else ""
    return f"{entry.row.setting}{kind}{'' if entry.row.residual else ', no shortcuts'}"


def _shown(entries: list[Entry]) -> list[Entry]:
    """Of the lines of one panel: in a sweep over cardinality the first and the last, else all."""
    if len({entry.row.setting.cardinality for entry in entries}) == len(entries) > 2:
        return [entries[0], entries[-1]]
    return entries
