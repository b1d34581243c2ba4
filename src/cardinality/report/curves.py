"""Curves: training and test error by epoch, as in the paper's Fig. 5 and ResNet's Fig. 6."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import pandas as pd

from cardinality.architecture.names import net_in_words
from cardinality.architecture.settings import Architecture
from cardinality.experiment.plan import Entry, Plan
from cardinality.report.canvas import COLOURS, say_empty, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Epochs = Mapping[str, Sequence[Mapping[str, float]]]
COLUMNS = ["panel", "depth", "line", "n", "epoch", "train_error", "top1_error"]


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
    groups: dict[str, dict[Architecture, Entry]] = {}
    for entry in trained:
        title = f"depth {entry.architecture.depth}"
        if len(depths) > 1:
            title = "with shortcuts" if entry.row.residual else "without shortcuts"
        # A net that stands at two roles of one depth is one line, of the seeds that either has.
        lines = groups.setdefault(title, {})
        known = lines.get(entry.architecture, entry)
        lines[entry.architecture] = max(known, entry, key=lambda each: len(each.runs))
    return [
        panel
        for title, entries in groups.items()
        for panel in _divided(title, _shown([*entries.values()]))
    ]


def _divided(title: str, entries: list[Entry]) -> Iterator[Panel]:
    most = len(COLOURS)
    if len(entries) <= most:
        yield Panel(title, tuple(entries))
        return
    for setting in dict.fromkeys(str(entry.row.setting) for entry in entries):
        same = [entry for entry in entries if str(entry.row.setting) == setting]
        parts = [same[first : first + most] for first in range(0, len(same), most)]
        for number, part in enumerate(parts, 1):
            of = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            yield Panel(f"{title}, {setting}{of}", tuple(part))


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

    drawn = panels_of(plan)
    panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axes, panel in zip(panels, drawn, strict=True):
        for colour, line in zip(COLOURS, _lines(plan, panel, epochs), strict=False):
            name = f"{line.line.iloc[0]} (n = {line.n.iloc[0]})"
            axes.plot(line.epoch, line.train_error, "--", color=colour)
            axes.plot(line.epoch, line.top1_error, "-", color=colour, label=name)
        axes.set_title(panel.title)
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
    lines = [line for panel in panels_of(plan) for line in _lines(plan, panel, epochs)]
    return pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=COLUMNS)


def _lines(plan: Plan, panel: Panel, epochs: Epochs) -> Iterator[pd.DataFrame]:
    """Mean errors by epoch of each line of a panel that has a finished run."""
    depths = {entry.architecture.depth for entry in panel.entries}
    for entry in panel.entries:
        depth = entry.architecture.depth
        name = _line_name(plan, entry, len(depths) > 1)
        runs = [epochs[run.name] for run in entry.runs if run.name in epochs]
        rows = []
        for same in zip(*runs, strict=False):  # one that was cut short ends its mean
            means = [fmean(epoch[key] for epoch in same) for key in ("train_error", "top1_error")]
            of = (panel.title, depth, name, len(runs), int(same[0]["epoch"]))
            rows.append((*of, *means))
        if rows:
            yield pd.DataFrame(rows, columns=COLUMNS)


def _line_name(plan: Plan, entry: Entry, of_depths: bool) -> str:
    """A line's label where each row has its own, else what its net is.

    Args:
        plan, entry: where it stands.
        of_depths: whether its panel has nets of several depths.
    """
    labels = {row.label for row in plan.ablation.rows} - {None}
    if entry.row.label and len(labels) == len(plan.ablation.rows):
        return entry.row.label
    net = entry.architecture
    depth = f"{net.depth} layers" if of_depths else ""
    return net_in_words(entry.row.setting, depth, entry.row.residual, net.variant)


def _shown(entries: list[Entry]) -> list[Entry]:
    """Of the lines of one panel: in a sweep over cardinality the first and the last, else all."""
    if len({entry.row.setting.cardinality for entry in entries}) == len(entries) > 2:
        return [entries[0], entries[-1]]
    return entries
