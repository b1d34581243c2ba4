"""Plots of measured beside published figures: pure functions of the tables and the records."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cardinality.analysis.outcomes import Floats
from cardinality.architecture.names import net_in_words
from cardinality.architecture.settings import PAPER_BASE
from cardinality.data.images import ImageSet
from cardinality.experiment.plan import Plan
from cardinality.report.canvas import (
    COLOURS,
    PAPER,
    POINTS,
    cardinality_axis,
    reach,
    say_empty,
    titled,
)
from cardinality.report.forest import Dot
from cardinality.report.tables import ITSELF

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import Container
    from matplotlib.figure import Figure


def by_cardinality(plan: Plan, table: pd.DataFrame, seeds: pd.DataFrame, figure: "Figure") -> None:
    """Error against C at each depth, every seed a point, and Δ with intervals beside the paper's.

    Args:
        plan: a sweep.
        table: its lines (`cardinality.report.tables.trained_table`).
        seeds: its runs (`cardinality.report.tables.seeds_table`).
        figure: to draw on.
    """
    left, right = figure.subplots(1, 2)
    depths = sorted(set(table.depth))
    handles: list[Any] = []
    places: dict[int, tuple[Floats, str]] = {}
    for place, (colour, depth) in enumerate(zip(COLOURS, depths, strict=False)):
        lines = table[table.depth == depth]
        c = np.array([_cardinality(setting) for setting in lines.setting], dtype=float)
        # Depths stand side by side at each C, so that none hides another.
        c *= 2 ** (0.16 * (place - (len(depths) - 1) / 2))
        _errors(
            left,
            c,
            lines,
            seeds[seeds.depth == depth],
            colour,
            f"depth {depth}, {_span('n', lines.n)}",
        )
        handles += _differences(right, c, lines, colour, depth)
        places[depth] = c, colour
    for axes in (left, right):
        cardinality_axis(axes, sorted({entry.row.setting.cardinality for entry in plan.entries}))
    left.set_ylabel("top-1 error, %")
    left.set_title("Measured here: each seed, and the mean")
    right.axhline(0, color="black", linewidth=0.8)
    ends = [*table.top1_error_difference_low, *table.top1_error_difference_high]
    means = [*table.top1_error_difference, *table.get("paper_top1_error_difference", [])]
    right.set_ylim(*reach(means, ends))
    for depth, (c, colour) in places.items():
        _mark_cut(right, c, table[table.depth == depth], colour)
    right.set_ylabel("points; lower is better")
    right.set_title(f"Δ to {plan.ablation.reference}, paired by seed, 95 % interval")
    if seeds.empty:
        say_empty(left)
    else:
        left.legend(fontsize=8)
    columns = len(depths) if len(handles) > 3 else max(1, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    titled(figure, title(plan, table))


def _errors(
    axes: "Axes", x: Floats, lines: pd.DataFrame, seeds: pd.DataFrame, colour: str, name: str
) -> None:
    """Every seed as a small ring, means as a line through dots."""
    places = dict(zip(lines.setting, x, strict=True))
    at = [places[setting] for setting in seeds.setting]
    axes.plot(at, seeds.top1_error, "o", color=colour, markersize=4, alpha=0.55, fillstyle="none")
    axes.plot(x, lines.top1_error, "-", color=colour, linewidth=1.2)
    axes.plot(x, lines.top1_error, "_", color=colour, markersize=13, markeredgewidth=2)
    if len(seeds):  # else there is nothing that it would explain
        axes.plot([], [], "o-", color=colour, fillstyle="none", label=name)


def _differences(
    axes: "Axes", c: Floats, lines: pd.DataFrame, colour: str, depth: int
) -> "list[Artist | Container]":
    """Means of Δ with intervals, filled; over one pair hollow, without any.

    Returns:
        What the legend shows.
    """
    compared = (lines.reference != ITSELF).to_numpy()
    mean = lines.top1_error_difference.to_numpy()
    half = (lines.top1_error_difference_high - lines.top1_error_difference_low).to_numpy() / 2
    single = compared & (lines.pairs == 1).to_numpy()
    several = compared & (lines.pairs > 1).to_numpy()
    handles: list[Any] = []
    if single.any():
        style: Any = {"color": colour, "markerfacecolor": "white", "label": f"depth {depth}, n = 1"}
        handles += axes.plot(c[single], mean[single], "o", **style)
    if several.any():
        label = f"depth {depth}, {_span('n', lines.pairs[several])} pairs"
        style = {"color": colour, "fmt": "o", "capsize": 3, "label": label}
        handles.append(axes.errorbar(c[several], mean[several], half[several], **style))
    if "paper_depth" in lines and lines.paper_depth.notna().any():
        label = f"paper, {lines.paper_data.iloc[0]}, depth {lines.paper_depth.max():.0f}"
        style = {"color": colour, "alpha": 0.55, "markersize": 4.5, "label": label}
        # Beside ours, so that neither hides the other.
        beside, theirs = c * 2**0.09, lines.paper_top1_error_difference
        handles += axes.plot(beside, theirs, "s:", **style)
    return handles


def _mark_cut(axes: "Axes", c: Floats, lines: pd.DataFrame, colour: str) -> None:
    """An arrow where an interval goes on beyond the panel."""
    low, high = axes.get_ylim()
    style: Any = {"color": colour, "markersize": 6, "clip_on": False}
    axes.plot(c, np.where(lines.top1_error_difference_low < low, low, np.nan), "v", **style)
    axes.plot(c, np.where(lines.top1_error_difference_high > high, high, np.nan), "^", **style)


def _cardinality(setting: str) -> int:
    return int(setting.partition("x")[0])


def _span(word: str, counts: "pd.Series[int]") -> str:
    """``n = 5``, or ``n = 1 to 5``."""
    low, high = min(counts, default=0), max(counts, default=0)
    return f"{word} = {low}" if low == high else f"{word} = {low} to {high}"


def sweep_data(table: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    """What `by_cardinality` shows: a line a seed, a mean, a difference, one of the paper's."""
    keys = ["setting", "depth"]
    parts = [seeds[[*keys, "seed", "top1_error"]].rename(columns={"top1_error": "value"})]
    parts[0].insert(0, "what", "error of a seed")
    wanted = (("mean error", "top1_error"), ("difference", "top1_error_difference"))
    for what, name in (*wanted, ("paper's difference", "paper_top1_error_difference")):
        if name in table:
            part = table[keys].assign(what=what, value=table[name])
            if what == "difference":
                low, high = table[f"{name}_low"], table[f"{name}_high"]
                part = part.assign(low=low, high=high, pairs=table.pairs)
            parts.append(part)
    filled = [part for part in parts if not part.empty]
    columns = ["what", *keys, "seed", "value", "low", "high", "pairs"]
    return pd.concat(filled, ignore_index=True).reindex(columns=columns)


def by_parameters(plan: Plan, table: pd.DataFrame, seeds: pd.DataFrame, figure: "Figure") -> None:
    """Error against parameters as in Fig. 7: a line for each model, all from the reference.

    Args:
        plan: whose rows are of several sizes.
        table: its lines.
        seeds: its runs, each of them a point.
        figure: to draw on.
    """
    axes = figure.subplots()
    reference = str(plan.ablation.reference)
    first = table[table.setting == reference]
    models = table[table.setting != reference].model.unique()
    named: set[str] = set()
    for colour, model in zip(COLOURS, models, strict=False):
        lines = pd.concat([first, table[(table.model == model) & (table.setting != reference)]])
        lines = lines.sort_values("params")
        label = f"measured here, {model}, {_span('n', lines.n)}"
        _errors(axes, lines.params.to_numpy() / 1e6, lines, _of(lines, seeds), colour, label)
        for _, line in lines.iterrows():
            if not math.isnan(line.top1_error) and line.setting not in named:
                named.add(line.setting)
                at = (line.params / 1e6, line.top1_error)
                axes.annotate(line.setting, at, (7, 4), **POINTS)
    if "paper_depth" in table and plan.protocol.base == PAPER_BASE:
        # The paper's errors belong to nets of these sizes only where the nets are the same.
        theirs = table[table.paper_depth == table.depth]
        label = f"paper, {table.paper_data.iloc[0]}"
        axes.plot(theirs.params / 1e6, theirs.paper_top1_error, "s", color=PAPER, label=label)
    axes.set_xlabel("parameters, millions")
    axes.set_ylabel("top-1 error, %: each seed, and the mean")
    axes.margins(x=0.1)
    if seeds.empty:
        say_empty(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    titled(figure, title(plan, table))


def _of(lines: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    return seeds[seeds.setting.isin(lines.setting)]


def parameters_data(table: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    """What `by_parameters` shows."""
    means = table[["setting", "model", "params", "n", "top1_error"]].assign(what="mean error")
    if "paper_top1_error" in table:
        means["paper_top1_error"] = table.paper_top1_error
    params = dict(zip(table.setting, table.params, strict=True))
    each = seeds[["setting", "seed", "top1_error"]].assign(what="error of a seed")
    each["params"] = each.setting.map(params)
    return means if each.empty else pd.concat([means, each], ignore_index=True)


def differences(plan: Plan, table: pd.DataFrame) -> list[Dot]:
    """Every Δ of a table as lines of a forest plot, and what dropping the shortcuts costs.

    A line that the scale only counts has none.
    """
    named = {entry.row.against for entry in plan.entries}
    reference = f"the {plan.ablation.reference} row"
    trained = [line for _, line in table.iterrows() if line.runs]
    dots = [
        _dot(
            line,
            _name(line, table),
            f"Δ to {line.reference if line.reference in named else reference}",
            "top1_error_difference",
        )
        for line in trained
        if line.reference != ITSELF
    ]
    name = "top1_error_without_shortcuts"
    bare = [line for line in trained if not line.shortcuts]
    group = "What dropping the shortcuts costs: Δ to the same net with them"
    return dots + [
        _dot(line, _name(line, table), group, name, "without_shortcuts_pairs") for line in bare
    ]


def _dot(line: pd.Series, label: str, group: str, name: str, pairs: str = "pairs") -> Dot:
    ends = (line[name], line[f"{name}_low"], line[f"{name}_high"])
    return Dot(label, group, *ends, int(line[pairs]), line.get(f"paper_{name}", math.nan))


def widths(table: pd.DataFrame, figure: "Figure") -> None:
    """Table 2 as a plot: the width that each cardinality leaves, and what rounding it costs."""
    from matplotlib.ticker import ScalarFormatter

    left, right = figure.subplots(1, 2)
    c = list(table.cardinality)
    left.plot(c, table.exact_width, "--", color=PAPER, label="exact d of Eq. (4)")
    left.plot(c, table.width, "o", color=COLOURS[0], label="d")
    left.plot(c, table.group_conv_width, "s", color=COLOURS[1], label="width of group conv, C × d")
    left.set_yscale("log", base=2)
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.set_ylabel("channels")
    left.legend()
    right.bar([str(value) for value in c], 100 * table.deviation, color=COLOURS[0])
    right.set_xlabel("cardinality C")
    right.set_ylabel("Eq. (4), deviation from the reference, %")
    cardinality_axis(left, c)
    titled(figure, "Cardinality and width at preserved complexity")


def response_rows(table: pd.DataFrame) -> int:
    """How many rows `responses` draws: one a depth where settings are compared at several."""
    return int(table.depth.nunique()) if table.setting.nunique() > 1 else 1


def responses(table: pd.DataFrame, figure: "Figure", of: str = "") -> None:
    """How strongly each 3x3 layer responds, as ResNet's Fig. 7: in order, and sorted.

    A net is a line, broken where it has no shortcuts; its colour is that of its setting and depth.

    Args:
        table: net, setting, depth, shortcuts, layer (from 1, in order) and deviation.
        figure: to draw on.
        of: what the nets are, for the title.
    """
    from matplotlib.ticker import MaxNLocator

    rows = response_rows(table)
    panels = figure.subplots(rows, 2, sharey="row", squeeze=False)
    parts = [part for _, part in table.groupby("depth")] if rows > 1 else [table]
    for (left, right), part in zip(panels, parts, strict=True):
        kinds = list(dict.fromkeys(zip(part.setting, part.depth, strict=True)))
        for (net, setting, depth, shortcuts), lines in part.groupby(
            ["net", "setting", "depth", "shortcuts"], sort=False
        ):
            colour = COLOURS[kinds.index((setting, depth)) % len(COLOURS)]
            style: Any = {"linestyle": "-" if shortcuts else "--", "color": colour}
            left.plot(lines.layer, lines.deviation, label=net, **style)
            falling = lines.deviation.sort_values(ascending=False)
            right.plot(range(1, len(lines) + 1), falling, **style)
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylim(bottom=0)
        left.set_ylabel("deviation after batch norm")
        left.legend(fontsize=7)
    panels[-1][0].set_xlabel("3x3 layer, in order")
    panels[-1][1].set_xlabel("3x3 layer, sorted")
    titled(figure, f"Layer responses, as in ResNet's Fig. 7{of and f': {of}'}")


def contact_sheet(images: ImageSet, classes: Sequence[str], figure: "Figure") -> None:
    """The first samples of each class, a class a row, as one picture."""
    columns, side = 16, images.pixels.shape[1]
    step = side + 1
    sheet = np.full((len(classes) * step, columns * step, 3), 255, np.uint8)
    for label in range(len(classes)):
        for column, index in enumerate((images.labels == label).nonzero()[0][:columns]):
            y, x = label * step, column * step
            sheet[y : y + side, x : x + side] = images.pixels[index]
    axes = figure.subplots()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_yticks([label * step + side / 2 for label in range(len(classes))], classes)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title("Training images, by class")


def is_of_sizes(plan: Plan) -> bool:
    """Whether the rows are nets of several sizes at one depth, each of its own setting."""
    nets = [entry.architecture for entry in plan.entries]
    same = {(net.depth, net.residual, net.variant) for net in nets}
    distinct = len({net.setting for net in nets}) == len(nets)
    models = {entry.row.label for entry in plan.entries}
    return (
        plan.ablation.tolerance is None
        and len(same) == 1
        and distinct
        and len(nets) > 1
        and len(models) <= len(COLOURS)
    )


def is_sweep(plan: Plan) -> bool:
    """Whether the rows differ in cardinality alone, so that C can be an axis."""
    rows = plan.ablation.rows
    matched = plan.ablation.tolerance is not None
    plain = matched and all(
        row.residual and row.budget == 1 and not row.deeper and row.against is None for row in rows
    )
    return (
        plain
        and plan.ablation.depths is not None
        and len({r.setting.cardinality for r in rows}) == len(rows)
    )


def _name(line: pd.Series, table: pd.DataFrame) -> str:
    """A line's label where each has its own, else what its net is."""
    if table.model.all() and table.model.is_unique:
        return str(line.model)
    depth = f"{line.depth} layers" if table.depth.nunique() > 1 else ""
    net = net_in_words(line.setting, depth, line.shortcuts, line.get("variant", ""))
    return f"{line.model}, {net}" if line.model else net


def title(plan: Plan, table: pd.DataFrame) -> str:
    """A table's title with its scale and how many seeds it has."""
    n = sorted(set(table.n[table.runs > 0])) or [0]
    count = f"n = {n[0]}" if len(n) == 1 else f"n = {n[0]} to {n[-1]}"
    partial = "" if (table.n + table.diverged == table.runs).all() else ", partial"
    return f"{plan.ablation.title} ({plan.protocol_name}, {count}{partial})"
