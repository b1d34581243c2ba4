"""Forest plots: differences as points with their intervals, one below the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cardinality.report.canvas import COLOURS, PAPER, in_lines, reach, titled
from cardinality.report.wording import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ROW = 0.34  # inches
# Panels whose reaches differ by no more than so many times share their axis.
ALIKE = 6
OURS = COLOURS[0]


@dataclass(frozen=True)
class Dot:
    """One line of a forest plot; a number that is not known is not a number.

    Attributes:
        label: what is compared.
        group: the heading that it stands under.
        mean, low, high: the effect and its interval.
        pairs: that it is over; with one there is no interval, with none nothing.
        paper: the paper's own effect.
        note: stands at the right; by default the figure with its interval and pairs.
        colour: of the point.
        filled: whether it is; by default where there is more than one pair.
    """

    label: str
    group: str
    mean: float
    low: float
    high: float
    pairs: int
    paper: float = math.nan
    note: str | None = None
    colour: str = OURS
    filled: bool | None = None


def height(dots: Sequence[Dot]) -> float:
    """Inches that a figure of these lines needs, its headings, axis labels and legend included."""
    groups = len({dot.group for dot in dots})
    return 1.35 + ROW * len(dots) + 0.62 * groups


def data(dots: Sequence[Dot]) -> pd.DataFrame:
    """What a forest plot shows, for the CSV beside it."""
    return pd.DataFrame(
        {
            "group": [dot.group for dot in dots],
            "comparison": [dot.label for dot in dots],
            "pairs": [dot.pairs for dot in dots],
            "mean": [dot.mean for dot in dots],
            "low": [dot.low for dot in dots],
            "high": [dot.high for dot in dots],
            "paper": [dot.paper for dot in dots],
        }
    )


def forest(
    dots: Sequence[Dot],
    figure: "Figure",
    title: str,
    label: str,
    paper: str,
    ours: str = "measured here",
    handles: "Sequence[Line2D] | None" = None,
    interval: str = "95 % interval",
    margin: float | None = None,
) -> None:
    """Draw each group in a panel of its own, since effects of unlike questions are of unlike size.

    Where they are of like size the panels have one axis, so that they can be compared by eye.

    Args:
        dots: the lines, in order; those of a group together.
        figure: to draw on.
        title: of the whole.
        label: of the axes.
        paper: what the paper's points are called in the legend.
        ours: what ours are.
        handles: of the legend, where colours say something of their own.
        interval: what the intervals are, for the legend.
        margin: within which two things count as the same, drawn to both sides of nothing.
    """
    groups = list(dict.fromkeys(dot.group for dot in dots))
    members = [[dot for dot in dots if dot.group == group] for group in groups]
    panels = figure.subplots(
        len(groups),
        1,
        squeeze=False,
        height_ratios=[len(lines) + 0.6 for lines in members],
    )[:, 0]
    reaches = [_reach(lines, margin) for lines in members]
    spans = [high - low for low, high in reaches]
    if spans and max(spans) <= ALIKE * min(spans):
        reaches = [_reach(dots, margin)] * len(members)
    for axes, group, lines, ends in zip(panels, groups, members, reaches, strict=True):
        _panel(axes, lines, ends, margin)
        axes.set_title(in_lines(group, 10 * figure.get_figwidth()), loc="left")
    panels[-1].set_xlabel(label)
    titled(figure, title)
    shown = (
        _handles(dots, paper, f"{ours}, mean and {interval}", f"{ours}, one pair")
        if handles is None
        else list(handles)
    )
    if shown:
        figure.legend(handles=shown, loc="outside lower center", ncols=min(5, len(shown)))


def _reach(dots: Sequence[Dot], margin: float | None) -> tuple[float, float]:
    """From where to where the axis of these lines goes."""
    means = [value for dot in dots for value in (dot.mean, dot.paper)]
    means += [] if margin is None else [-margin, margin]
    return reach(means, [end for dot in dots for end in (dot.low, dot.high)])


def _panel(
    axes: "Axes", dots: Sequence[Dot], ends: tuple[float, float], margin: float | None
) -> None:
    for end in () if margin is None else (-margin, margin):
        axes.axvline(end, color=COLOURS[1], linewidth=1, linestyle="--")
    axes.set_xlim(*ends)
    if margin is None and all(math.isnan(v) for dot in dots for v in (dot.mean, dot.paper)):
        axes.set_xticks([])
    axes.set_ylim(len(dots) - 0.4, -0.6)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(dots)), [dot.label for dot in dots])
    axes.tick_params(axis="y", length=0, pad=8)
    axes.grid(visible=False, axis="y")
    for place, dot in enumerate(dots):
        if not math.isnan(dot.paper):
            axes.plot(dot.paper, place + 0.18, "s", color=PAPER, markersize=4.5)
        _dot(axes, dot, place, ends)
        axes.annotate(
            described(dot) if dot.note is None else dot.note,
            (1.03, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )


def _dot(axes: "Axes", dot: Dot, place: int, ends: tuple[float, float]) -> None:
    if math.isnan(dot.mean):
        return
    y = place - 0.1
    filled = dot.pairs > 1 if dot.filled is None else dot.filled
    if not math.isnan(dot.low):
        low, high = max(dot.low, ends[0]), min(dot.high, ends[1])
        axes.plot([low, high], [y, y], "-", color=dot.colour, linewidth=1.4)
        # An arrow where the interval goes on beyond the panel.
        for end, cut, marker in ((low, dot.low < ends[0], "<"), (high, dot.high > ends[1], ">")):
            shape: Any = marker if cut else "|"
            axes.plot(end, y, marker=shape, color=dot.colour, markersize=6, clip_on=False)
    face = dot.colour if filled else "white"
    axes.plot(dot.mean, y, "o", color=dot.colour, markerfacecolor=face, markersize=6)


def _handles(dots: Sequence[Dot], paper: str, several: str, one: str) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    def dot(face: str, **style: Any) -> "Line2D":
        return Line2D([], [], color=OURS, marker="o", markerfacecolor=face, **style)

    handles = [dot(OURS, label=several)] if any(each.pairs > 1 for each in dots) else []
    if any(each.pairs == 1 for each in dots):
        handles.append(dot("white", linestyle="", label=one))
    if not all(math.isnan(each.paper) for each in dots):
        handles.append(Line2D([], [], color=PAPER, marker="s", linestyle="", label=paper))
    return handles


def described(dot: Dot) -> str:
    """The figure, half of its interval and its pairs."""
    if math.isnan(dot.mean):
        return "not there yet"
    text = signed(dot.mean)
    if not math.isnan(dot.low):
        text += f" ± {(dot.high - dot.low) / 2:.1f}"
    return f"{text} ({dot.pairs})"
