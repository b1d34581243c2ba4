"""From plots in plain values to marks on a plane, which a template writes as SVG.

Colours, line styles and sizes of text are the style sheet's, so that they follow light and dark;
here is geometry alone. A drawing is as wide as a phone, and pages set several side by side.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cardinality.report.lines import Interval
from cardinality.report.pages.shapes import Bar, Forest, Plot, Series
from cardinality.report.wording import number

WIDTH, HEIGHT = 360.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 12.0, 24.0, 38.0
ROW, LONGEST = 21.0, 34
# As many colours and marks as the style sheet has; further nets begin again with other marks.
COLOURS = 8
MARKS = ("circle", "square", "up", "diamond", "down", "cross")


@dataclass(frozen=True)
class Text:
    """A text, with where it is anchored: start, middle or end."""

    x: str
    y: str
    anchor: str
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Mark:
    """Something that a reader may choose, point at, and be told of.

    Attributes:
        path: of it, as SVG has paths.
        kind: classes for the style sheet.
        key, seed, part: what choosing goes by; empty for all.
        says: what is said of it, if anything.
        values: of a curve, at the drawing's stops.
    """

    path: str
    kind: str
    key: str = ""
    seed: str = ""
    part: str = ""
    says: str = ""
    label: str = ""
    values: str = ""


@dataclass(frozen=True)
class Drawing:
    """What the template writes.

    Attributes:
        title, depth: of the plot.
        summary: what a reader who does not see it is told first.
        width, height: of the plane.
        grid: faint lines; ``axis`` the lines that are not.
        stops: of curves, the x and the name of each place that has values.
    """

    title: str
    depth: int
    summary: str
    width: str
    height: str
    grid: str
    axis: str
    texts: tuple[Text, ...]
    marks: tuple[Mark, ...]
    stops: str = ""
    stop_names: str = ""


def draw(panel: Plot | Forest, small: bool = False) -> Drawing:
    """Draw a plot or a forest."""
    return _forest(panel) if isinstance(panel, Forest) else _plot(panel, small)


def _place(value: float) -> str:
    """A coordinate: to a tenth, which is finer than a screen shows."""
    return f"{value:.1f}".removesuffix(".0")


# --- axes ------------------------------------------------------------------------------------


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from a range, at most so many."""
    if high <= low:
        return [low]
    raw = (high - low) / most
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= raw)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick_text(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return number(value + 0.0, digits)


def _range(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = (high - low) * margin or max(abs(high) * 0.05, 0.5)
    return low - pad, high + pad


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    def scaled(value: float) -> float:
        return start + (value - low) / (high - low) * (end - start)

    return scaled


# --- plots -----------------------------------------------------------------------------------


def _plot(plot: Plot, small: bool) -> Drawing:
    height = 130.0 if small else HEIGHT
    xs = [_log(x, plot) for series in plot.series for x in series.x]
    ys = [
        y for series in plot.series for y in (*series.y, *(series.low or ()), *(series.high or ()))
    ]
    x_low, x_high = _range(xs) if plot.kind == "points" else (min(xs), max(max(xs), min(xs) + 1))
    y_low, y_high = _range(ys)
    x_at = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    y_at = _scale(y_low, y_high, height - BOTTOM, TOP)

    def at(x: float, y: float) -> tuple[float, float]:
        return x_at(_log(x, plot)), y_at(y)

    x_ticks = _x_ticks(plot, x_low, x_high)
    y_ticks = ticks(y_low, y_high, 4 if small else 6)
    step = y_ticks[1] - y_ticks[0] if len(y_ticks) > 1 else 1.0
    grid = "".join(f"M{_place(LEFT)} {_place(y_at(y))}H{_place(WIDTH - RIGHT)}" for y in y_ticks)
    texts = [
        Text(_place(LEFT - 5), _place(y_at(y) + 3.5), "end", _tick_text(y, step)) for y in y_ticks
    ]
    texts += [
        Text(_place(x_at(x)), _place(height - BOTTOM + 14), "middle", text) for x, text in x_ticks
    ]
    texts.append(
        Text(_place((LEFT + WIDTH) / 2), _place(height - 6), "middle", plot.x_label, "label")
    )
    texts.append(Text(_place(4), _place(12), "start", plot.y_label, "label"))
    return Drawing(
        plot.title, plot.depth, _plot_summary(plot), _place(WIDTH), _place(height), grid,
        f"M{_place(LEFT)} {_place(height - BOTTOM)}H{_place(WIDTH - RIGHT)}",
        tuple(texts), tuple(mark for series in plot.series for mark in _marks(plot, series, at)),
        *_stops(plot, x_at),
    )  # fmt: skip


def _log(x: float, plot: Plot) -> float:
    return math.log2(x) if plot.x_scale == "log2" else x


def _x_ticks(plot: Plot, low: float, high: float) -> list[tuple[float, str]]:
    if plot.x_scale == "log2":
        values = sorted({x for series in plot.series for x in series.x})
        return [(math.log2(value), f"{value:g}") for value in values]
    found = ticks(low, high, 5)
    if plot.kind == "curves":  # an epoch is whole
        found = [value for value in found if abs(value - round(value)) < 1e-9]
    step = found[1] - found[0] if len(found) > 1 else 1.0
    return [(value, _tick_text(value, step)) for value in found]


def _plot_summary(plot: Plot) -> str:
    nets = list(
        dict.fromkeys(
            series.key or series.label for series in plot.series if series.label != "means"
        )
    )
    ys = [y for series in plot.series for y in series.y]
    return (
        f"{plot.title}: {plot.y_label} against {plot.x_label}, from {number(min(ys))} to"
        f" {number(max(ys))}, of {', '.join(nets)}."
    )


def _stops(plot: Plot, x_at: Callable[[float], float]) -> tuple[str, str]:
    """Where a curve's values may be read, and what each place is called."""
    if plot.kind != "curves":
        return "", ""
    xs = max((series.x for series in plot.series), key=len)
    return " ".join(_place(x_at(x)) for x in xs), " ".join(f"{x:g}" for x in xs)


At = Callable[[float, float], tuple[float, float]]


def _marks(plot: Plot, series: Series, at: At) -> list[Mark]:
    colour = f"c{series.place % COLOURS}"
    if plot.kind == "points" and series.label != "means":
        return _points(series, at, colour)
    kind = f"line {series.part} {colour}" if series.key or plot.kind == "curves" else "join"
    marks = []
    if series.low is not None and series.high is not None:
        band = [*zip(series.x, series.high, strict=True)]
        band += [*zip(series.x, series.low, strict=True)][::-1]
        outline = _line([at(x, y) for x, y in band]) + "Z"
        marks.append(Mark(outline, f"band {colour}", series.key, "", series.part))
    seed = "" if series.seed is None else str(series.seed)
    line = _line([at(x, y) for x, y in zip(series.x, series.y, strict=True)])
    values = " ".join(f"{y:.2f}" for y in series.y) if plot.kind == "curves" else ""
    one = " one" if seed else ""
    marks.append(Mark(line, kind + one, series.key, seed, series.part, "", series.label, values))
    return marks


def _points(series: Series, at: At, colour: str) -> list[Mark]:
    size = 5.0 if series.part == "mean" else 2.6
    seed = "" if series.seed is None else str(series.seed)
    return [
        Mark(_shape(*at(x, y), size, series.place), f"point {series.part} {colour}", series.key,
             seed, series.part, says)
        for x, y, says in zip(series.x, series.y, series.says, strict=True)
    ]  # fmt: skip


def _line(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_place(x)} {_place(y)}" for x, y in points)


def _shape(x: float, y: float, r: float, place: int) -> str:
    """A mark that is told from others without colour."""
    match MARKS[place % len(MARKS)]:
        case "circle":
            r1, r2 = _place(r), _place(2 * r)
            return f"M{_place(x - r)} {_place(y)}a{r1} {r1} 0 1 0 {r2} 0a{r1} {r1} 0 1 0 -{r2} 0Z"
        case "square":
            s = _place(1.8 * r)
            return f"M{_place(x - 0.9 * r)} {_place(y - 0.9 * r)}h{s}v{s}h-{s}Z"
        case "up":
            return _closed((x, y - 1.2 * r), (x + 1.1 * r, y + 0.8 * r), (x - 1.1 * r, y + 0.8 * r))
        case "down":
            return _closed((x, y + 1.2 * r), (x + 1.1 * r, y - 0.8 * r), (x - 1.1 * r, y - 0.8 * r))
        case "diamond":
            return _diamond(x, y, 1.25 * r)
        case _:
            a, b = 0.35 * r, 1.15 * r
            corners = [(-b, -a), (-a, -a), (-a, -b), (a, -b), (a, -a), (b, -a)]
            corners += [(-x, -y) for x, y in corners]
            return _closed(*((x + dx, y + dy) for dx, dy in corners))


def _closed(*points: tuple[float, float]) -> str:
    return _line(points) + "Z"


def _diamond(x: float, y: float, r: float) -> str:
    return _closed((x, y - r), (x + r, y), (x, y + r), (x - r, y))


# --- forests ---------------------------------------------------------------------------------


def _forest(forest: Forest) -> Drawing:
    height = TOP + ROW * len(forest.bars) + BOTTOM
    low, high = _range([*_ends(forest.bars), 0.0])
    longest = min(LONGEST, max(len(bar.label) for bar in forest.bars))
    left = 14 + 5.8 * longest
    x_at = _scale(low, high, left, WIDTH - RIGHT)
    found = ticks(low, high, 5 if left < 130 else 4)
    step = found[1] - found[0] if len(found) > 1 else 1.0
    bottom = height - BOTTOM
    grid = "".join(f"M{_place(x_at(x))} {_place(TOP - 6)}V{_place(bottom)}" for x in found)
    texts = [
        Text(_place(x_at(x)), _place(bottom + 14), "middle", _tick_text(x, step)) for x in found
    ]
    texts.append(
        Text(_place((left + WIDTH) / 2), _place(height - 6), "middle", forest.x_label, "label")
    )
    marks: list[Mark] = []
    for place, bar in enumerate(forest.bars):
        y = TOP + ROW * (place + 0.4)
        texts.append(Text(_place(left - 8), _place(y + 3.5), "end", _short(bar.label)))
        marks += _bar(bar, y, x_at, forest.keyed)
    return Drawing(
        forest.title, forest.depth,
        f"{forest.title}: " + "; ".join(bar.says for bar in forest.bars[:8]) + ".",
        _place(WIDTH), _place(height), grid,
        f"M{_place(x_at(0))} {_place(TOP - 6)}V{_place(bottom)}",
        tuple(texts), tuple(marks),
    )  # fmt: skip


def _ends(bars: Sequence[Bar]) -> list[float]:
    values = [
        v for bar in bars for v in (bar.effect.mean, bar.effect.low, bar.effect.high, bar.paper)
    ]
    return [value for value in values if value is not None]


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def _bar(bar: Bar, y: float, x_at: Callable[[float], float], keyed: bool) -> list[Mark]:
    colour = f"c{bar.place % COLOURS}"
    key = bar.key if keyed else ""
    marks = []
    if bar.effect.low is not None and bar.effect.high is not None:
        path = f"M{_place(x_at(bar.effect.low))} {_place(y)}H{_place(x_at(bar.effect.high))}"
        marks.append(Mark(path, f"bar {colour}", key))
    if bar.paper is not None:
        marks.append(Mark(_diamond(x_at(bar.paper), y, 5), "theirs", key))
    if bar.effect.mean is not None:
        shape = _shape(x_at(bar.effect.mean), y, 4.2, bar.place if keyed else 0)
        marks.append(Mark(shape, f"point mean {colour}", key, "", "", bar.says))
    elif bar.paper is not None:
        marks[-1] = Mark(_diamond(x_at(bar.paper), y, 5), "theirs", key, "", "", bar.says)
    return marks


# --- an interval in a line of text -----------------------------------------------------------


def draw_interval(effect: Interval, paper: float | None, reach: float) -> Drawing:
    """An interval about zero, small enough for a line of text.

    Args:
        effect: the mean and its interval.
        paper: the same in the paper's figures.
        reach: what the plane goes to, either way.
    """
    width, height, middle = 180.0, 26.0, 13.0
    x_at = _scale(-reach, reach, 4, width - 4)
    marks: list[Mark] = []
    if effect.low is not None and effect.high is not None:
        ends = (max(-reach, effect.low), min(reach, effect.high))
        marks.append(Mark(f"M{_place(x_at(ends[0]))} {middle}H{_place(x_at(ends[1]))}", "bar"))
    if paper is not None and abs(paper) <= reach:
        marks.append(Mark(_diamond(x_at(paper), middle, 5), "theirs"))
    if effect.mean is not None and abs(effect.mean) <= reach:
        marks.append(Mark(_shape(x_at(effect.mean), middle, 4, 0), "point mean"))
    elif effect.mean is not None:  # further than the plane goes: an arrow that way
        tip = math.copysign(4, effect.mean)
        edge = x_at(math.copysign(reach, effect.mean))
        back = edge - 2 * tip
        marks.append(
            Mark(_closed((edge, middle), (back, middle - 5), (back, middle + 5)), "point mean")
        )
    return Drawing(
        "", 0, "", _place(width), _place(height), f"M4 {middle}H{_place(width - 4)}",
        f"M{_place(x_at(0))} 3V{_place(height - 3)}", (), tuple(marks),
    )  # fmt: skip


def reach_of(effects: Sequence[tuple[Interval, float | None]]) -> float:
    """How far intervals that are to be compared go from zero, bar a few that go very far."""
    ends = sorted(
        max(
            abs(value)
            for value in (effect.mean, effect.low, effect.high, paper)
            if value is not None
        )
        for effect, paper in effects
        if effect.mean is not None
    )
    return 1.08 * ends[max(0, math.ceil(0.9 * len(ends)) - 1)] if ends else 1.0


def sample_of(place: int) -> Drawing:
    """The mark and colour of a net, for a key."""
    mark = Mark(_shape(13, 8, 5, place), f"point c{place % COLOURS}")
    return Drawing("", 0, "", "26", "16", "", "", (), (mark,))
