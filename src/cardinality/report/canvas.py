"""Where plots are drawn: one look, the same bytes everywhere, PNG and SVG with their data beside.

Matplotlib is imported where something is drawn, never on import. It is not asked for a window:
figures are `Figure` objects on agg's canvas, and every setting begins from matplotlib's own
defaults, so neither a matplotlibrc nor MPLBACKEND changes a plot.
"""

import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cardinality.common import text
from cardinality.common.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# One colour a series, told apart also by those who see no red or no green (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PAPER = "#777777"
POINTS: Any = {"textcoords": "offset points", "fontsize": 8}
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    # A title's dollar is a dollar: titles are what users write in YAML files.
    "text.parse_math": False,
    # The same figures give the same bytes: no random ids, fonts as text.
    "svg.hashsalt": "cardinality",
    "svg.fonttype": "none",
}


@contextmanager
def _known_backend() -> Iterator[None]:
    """Hide MPLBACKEND while matplotlib is first imported, since one unknown to it stops that."""
    named = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named


def save(
    draw: "Callable[[Figure], None]",
    size: tuple[float, float],
    path: Path,
    data: pd.DataFrame | None = None,
) -> list[Path]:
    """Draw a figure of ``size`` inches and write it as PNG and SVG, with its data as CSV.

    Returns:
        The files: ``path`` with each of the endings.
    """
    with _known_backend():
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    png, svg, table = (path.parent / f"{path.name}{end}" for end in (".png", ".svg", ".csv"))
    with ExitStack() as stack:
        stack.enter_context(mpl.rc_context())
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        # Letters that the font lacks are drawn as boxes; the data beside have them.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        draw(figure)
        with written_aside(png) as aside:
            figure.savefig(aside, format="png", dpi=150, metadata={"Software": None})
        with written_aside(svg) as aside:
            figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})
    if data is None:
        return [png, svg]
    write_csv(table, data)
    return [png, svg, table]


def write_csv(path: Path, data: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all; a text is none that a spreadsheet computes."""
    plain = data.rename(columns=text.csv).map(_without_formula)
    with written_aside(path) as aside:
        plain.to_csv(aside, index=False, lineterminator="\n", float_format="%.6g")


def _without_formula(value: object) -> object:
    return text.csv(value) if isinstance(value, str) else value


def cardinality_axis(axes: "Axes", ticks: list[int]) -> None:
    """Cardinality as a logarithmic axis with just these ticks."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("cardinality C")


def titled(figure: "Figure", text: str) -> None:
    """Write a figure's title, in as many lines of about one length as its width makes of it."""
    figure.suptitle(in_lines(text, 12 * figure.get_figwidth()))


def in_lines(text: str, letters: float) -> str:
    """A text in lines of about one length, none of more than so many letters."""
    lines = len(wrap(text, int(letters))) or 1
    return "\n".join(wrap(text, min(int(letters), len(text) // lines + 12)))


def say_empty(axes: "Axes") -> None:
    """Say that there is nothing to show, in place of an axis without any meaning."""
    axes.text(0.5, 0.5, "no runs yet", transform=axes.transAxes, ha="center", color=PAPER)
    if not _anything(axes):  # its own alone: panels may share an axis
        axes.tick_params(axis="y", left=False, labelleft=False)


def _anything(axes: "Axes") -> bool:
    """Whether a point of any line has a place."""
    return any(np.isfinite(np.asarray(line.get_ydata(), float)).any() for line in axes.lines)


def reach(values: list[float], ends: list[float]) -> tuple[float, float]:
    """The part of an axis to show: all values, and intervals as far as they stay readable.

    With two pairs an interval is ten times as wide as the difference is large; shown whole, it
    would leave the differences as one dot.

    Args:
        values: that must be seen.
        ends: of intervals, cut where they lie further from the values than these reach.
    """
    known = [value for value in [0.0, *values] if not math.isnan(value)]
    low, high = min(known), max(known)
    room = max(1.2 * (high - low), 1e-3)
    whole = [end for end in ends if not math.isnan(end)]
    low_end = max(min([low, *whole]), low - room)
    high_end = min(max([high, *whole]), high + room)
    margin = 0.05 * (high_end - low_end) or 0.5
    return low_end - margin, high_end + margin
