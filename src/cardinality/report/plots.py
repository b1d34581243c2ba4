"""Plots of measured beside published figures: pure functions of the tables and the records."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from cardinality.architecture.settings import PAPER_BASE
from cardinality.common.files import written_aside
from cardinality.data.images import ImageSet
from cardinality.experiment.plan import Entry, Plan
from cardinality.report.markdown import difference

# One colour a series, told apart also by those who see no red or no green (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PAPER = "#777777"
POINTS: Any = {"textcoords": "offset points", "fontsize": 8}
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    # The same figures give the same bytes: no random ids, fonts as text.
    "svg.hashsalt": "cardinality",
    "svg.fonttype": "none",
}


def save(draw: Callable[[Figure], None], size: tuple[float, float], path: Path) -> list[Path]:
    """Draw a figure of ``size`` inches and write it as PNG and SVG.

    Returns:
        The files: ``path`` with each of the two endings.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size)
        draw(figure)
        png, svg = path.with_suffix(".png"), path.with_suffix(".svg")
        with written_aside(png) as aside:
            figure.savefig(aside, format="png", dpi=150, metadata={"Software": None})
        with written_aside(svg) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})
    return [png, svg]


def by_cardinality(plan: Plan, table: pd.DataFrame, figure: Figure) -> None:
    """Error against C at each depth, and its differences to the reference beside the paper's."""
    left, right = figure.subplots(1, 2)
    for colour, (depth, lines) in zip(COLOURS, table.groupby("depth", sort=True), strict=False):
        c = [entry.row.setting.cardinality for entry in plan.entries][: len(lines)]
        left.errorbar(
            c,
            lines.top1_error,
            lines.top1_error_deviation,
            color=colour,
            marker="o",
            capsize=3,
            label=f"depth {depth}",
        )
        right.plot(c, lines.top1_error_difference, "o-", color=colour, label=f"ours, depth {depth}")
        if "paper_depth" in lines and lines.paper_depth.notna().any():
            right.plot(
                c,
                lines.paper_top1_error_difference,
                "s--",
                color=colour,
                alpha=0.6,
                label=f"paper, {lines.paper_data.iloc[0]}, depth {lines.paper_depth.max():.0f}",
            )
    for axes in (left, right):
        _cardinality_axis(axes, sorted({entry.row.setting.cardinality for entry in plan.entries}))
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    left.set_ylabel("top-1 error, % (mean ± deviation)")
    left.set_title("Measured here")
    right.axhline(0, color="black", linewidth=0.8)
    right.set_ylabel(f"difference to {plan.ablation.reference}, points")
    right.set_title("Difference to the reference; lower is better")
    figure.suptitle(_title(plan, table))


def by_parameters(plan: Plan, table: pd.DataFrame, figure: Figure) -> None:
    """Error against parameters as in Fig. 7: a line for each model, all from the reference."""
    axes = figure.subplots()
    reference = str(plan.ablation.reference)
    first = table[table.setting == reference]
    models = table[table.setting != reference].model.unique()
    for colour, model in zip(COLOURS, models, strict=False):
        lines = pd.concat([first, table[(table.model == model) & (table.setting != reference)]])
        lines = lines.sort_values("params")
        params = lines.params / 1e6
        axes.errorbar(
            params,
            lines.top1_error,
            lines.top1_error_deviation,
            color=colour,
            marker="o",
            capsize=3,
            label=f"measured here, {model}",
        )
        for x, (_, line) in zip(params, lines.iterrows(), strict=True):
            if not math.isnan(line.top1_error):
                axes.annotate(line.setting, (x, line.top1_error), (4, 4), **POINTS)
    if "paper_depth" in table and plan.protocol.base == PAPER_BASE:
        # The paper's errors belong to nets of these sizes only where the nets are the same.
        theirs = table[table.paper_depth == table.depth]
        label = f"paper, {table.paper_data.iloc[0]}"
        axes.plot(theirs.params / 1e6, theirs.paper_top1_error, "s", color=PAPER, label=label)
    axes.set_xlabel("parameters, millions")
    axes.set_ylabel("top-1 error, % (mean ± deviation)")
    axes.legend()
    axes.set_title(_title(plan, table))


def by_row(plan: Plan, table: pd.DataFrame, figure: Figure) -> None:
    """The difference of every row to its reference, ours beside the paper's."""
    axes = figure.subplots()
    names = [_name(line, table) for _, line in table.iterrows()]
    y = list(range(len(names)))
    ours = table.top1_error_difference
    axes.barh([v - 0.2 for v in y], ours.fillna(0), 0.36, color=COLOURS[0], label="measured here")
    series = [(-0.2, ours)]
    if "paper_top1_error_difference" in table:
        theirs = table.paper_top1_error_difference
        label = f"paper, {table.paper_data.iloc[0]}"
        axes.barh([v + 0.2 for v in y], theirs.fillna(0), 0.36, color=PAPER, label=label)
        series.append((0.2, theirs))
    for offset, values in series:
        for place, value in zip(y, values, strict=True):
            text = "missing" if math.isnan(value) else difference(value)
            at = 0 if math.isnan(value) else value
            side = "left" if at >= 0 else "right"
            gap = (3 if at >= 0 else -3, 0)
            axes.annotate(
                text,
                (at, place + offset),
                gap,
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8,
            )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(y, names)
    axes.invert_yaxis()
    axes.use_sticky_edges = False
    axes.margins(x=0.15)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        f"top-1 error, difference to the {plan.ablation.reference} row, points; lower is better"
    )
    axes.legend()
    figure.suptitle(_title(plan, table))


def curves(plan: Plan, epochs: Mapping[str, Sequence[Mapping[str, float]]], figure: Figure) -> None:
    """Training and test error by epoch as in the paper's Fig. 5, mean over the seeds.

    Args:
        plan: which lines are drawn, at each depth, `_shown` says.
        epochs: of finished runs, by the run's name.
        figure: to draw on.
    """
    depths = sorted({entry.architecture.depth for entry in plan.entries})
    panels = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    for axes, depth in zip(panels, depths, strict=True):
        at_depth = [entry for entry in plan.entries if entry.architecture.depth == depth]
        for colour, entry in zip(COLOURS, _shown(at_depth), strict=False):
            runs = [epochs[run.name] for run in entry.runs if run.name in epochs]
            if not runs:
                continue
            number = [epoch["epoch"] for epoch in runs[0]]
            plain = "" if entry.row.residual else ", no shortcuts"
            label = f"{entry.row.setting}{plain} (n = {len(runs)})"
            for key, style, name in (("train_error", "--", None), ("top1_error", "-", label)):
                mean = [sum(e[key] for e in same) / len(runs) for same in zip(*runs, strict=True)]
                axes.plot(number, mean, style, color=colour, label=name)
        axes.set_title(f"depth {depth}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend()
    panels[0].set_ylabel("top-1 error, %")
    figure.suptitle(f"Training (dashed) and test error, as in Fig. 5 ({plan.protocol_name})")


def widths(table: pd.DataFrame, figure: Figure) -> None:
    """Table 2 as a plot: the width that each cardinality leaves, and what rounding it costs."""
    left, right = figure.subplots(1, 2)
    c = list(table.cardinality)
    left.plot(c, table.exact_width, "--", color=PAPER, label="exact d of Eq. (4)")
    left.plot(c, table.width, "o", color=COLOURS[0], label="d")
    left.plot(c, table.group_conv_width, "s", color=COLOURS[1], label="width of group conv, C x d")
    left.set_yscale("log", base=2)
    left.yaxis.set_major_formatter(ScalarFormatter())
    left.set_ylabel("channels")
    left.legend()
    right.bar([str(value) for value in c], 100 * table.deviation, color=COLOURS[0])
    right.set_xlabel("cardinality C")
    right.set_ylabel("Eq. (4), deviation from the reference, %")
    _cardinality_axis(left, c)
    figure.suptitle("Cardinality and width at preserved complexity")


def contact_sheet(images: ImageSet, classes: Sequence[str], figure: Figure) -> None:
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


def is_sweep(plan: Plan) -> bool:
    """Whether the rows differ in cardinality alone, so that C can be an axis."""
    rows = plan.ablation.rows
    matched = plan.ablation.tolerance is not None
    plain = matched and all(row.residual and row.budget == 1 and not row.deeper for row in rows)
    return (
        plain
        and plan.ablation.depths is not None
        and len({r.setting.cardinality for r in rows}) == len(rows)
    )


def _shown(entries: Sequence[Entry]) -> list[Entry]:
    """Of the lines of one depth: in a sweep the first and the last, else as many as have colours.

    Where there are more, the first and the last of each model.
    """
    if len({entry.row.setting.cardinality for entry in entries}) == len(entries) > 2:
        return [entries[0], entries[-1]]
    if len(entries) <= len(COLOURS):
        return list(entries)
    models: dict[str | None, list[Entry]] = {}
    for entry in entries:
        models.setdefault(entry.row.label, []).append(entry)
    ends = [end for lines in models.values() for end in (lines[0], lines[-1])]
    return list({id(entry): entry for entry in ends}.values())[: len(COLOURS)]


def _cardinality_axis(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("cardinality C")


def _name(line: pd.Series, table: pd.DataFrame) -> str:
    parts = [line.model, line.setting] if line.model else [line.setting]
    if table.depth.nunique() > 1:
        parts.append(f"depth {line.depth}")
    if not line.shortcuts:
        parts.append("no shortcuts")
    return ", ".join(parts)


def _title(plan: Plan, table: pd.DataFrame) -> str:
    n = sorted(set(table.n))
    count = f"n = {n[0]}" if len(n) == 1 else f"n = {n[0]} to {n[-1]}"
    partial = "" if (table.n == table.runs).all() else ", partial"
    return f"{plan.ablation.title} ({plan.protocol_name}, {count}{partial})"
