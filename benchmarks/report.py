"""The benchmark's page, CSV file and plot, from its measurements alone."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import ROOT
from benchmarks.measure import Measurement
from cardinality.architecture.settings import Setting
from cardinality.common.text import code
from cardinality.host.machine import Machine
from cardinality.host.provenance import Provenance
from cardinality.report.canvas import COLOURS, PAPER, save
from cardinality.report.markdown import to_markdown

DASH = "–"
NUMBERS = {key: [""] for key in ("depth", "batch", "value", "lowest", "highest")}
RIVALS = {"plain": "plain loop", "timm": "timm", "timm's net": "timm's net, our input"}
REFERENCE = "1x64d"
APART = "suite, whole steps"


def write(
    lines: list[Measurement],
    sections: Sequence[str],
    machine: Machine,
    made: Provenance,
    folder: Path,
) -> str:
    """Write FOLDER/DEVICE.md, .csv, .png and .svg, and DEVICE-speed.csv, .png and .svg.

    Args:
        lines: what was measured.
        sections: what it is all of; others stay as an earlier CSV file has them.
        machine, made: on what, and with what code.
        folder: of the files.

    Returns:
        The page.
    """
    # A virtual processor's name is the same with bfloat16 instructions and without.
    precision = "" if machine.bfloat16 else " float32"
    name = slug(f"{machine.device} {machine.name} {machine.cores} cores{precision}")
    path = folder / f"{name}.csv"
    code = (made.commit or "unknown")[:10] + ("" if made.clean else " with changes")
    table = pd.DataFrame([line.row() | {"code": code} for line in lines])
    if path.exists() and set(sections) < set(SECTIONS):
        # Also a commit of ten digits, or of digits around an e.
        texts = dict.fromkeys(("protocol", "setting", "failure", "code"), str)
        before = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=NUMBERS)
        table = pd.concat([before[~before.section.isin(sections)], table])
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g")
    save(lambda figure: draw(table, figure), (9, 4.5), folder / name)
    write_costs(table, folder, name)
    page = document(table, machine, made, name)
    (folder / f"{name}.md").write_text(page)
    return page


def slug(text: str) -> str:
    """A file's name: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def document(table: pd.DataFrame, machine: Machine, made: Provenance, name: str) -> str:
    """The whole page; a section without a measurement is left out."""
    versions = ", ".join(f"{key} {value}" for key, value in made.versions.items())
    codes = ", ".join(dict.fromkeys(table.code))
    parts = [
        f"# Speed on {machine}{'' if machine.bfloat16 else ', in float32'}",
        f"`make bench`; {versions}; code {codes}. Medians of rounds in turns; every figure with"
        f" its lowest and highest, and the code that it was measured with, is in"
        f" [{name}.csv]({name}.csv).",
        f"![Speed beside others, and the cost of cardinality]({name}.png)",
    ]
    parts += [text for section in SECTIONS.values() if (text := section(table))]
    failures = table[table.failure != ""]
    if len(failures):
        parts.append("## Not measured")
        parts.append(
            "\n".join(
                f"- {row.section} {row.protocol} {row.setting}: {row.what}: {row.failure}"
                for row in failures.itertuples()
            )
        )
    return "\n\n".join(parts) + "\n"


def pivot(table: pd.DataFrame, *sections: str) -> pd.DataFrame:
    """A net a line, in the order of measurement, and what was measured of it as columns."""
    chosen = table[table.section.isin(sections)]
    keys = ["protocol", "depth", "setting", "batch"]
    return chosen.pivot_table(
        index=keys, columns="what", values="value", sort=False, aggfunc="first"
    ).reset_index()


def titled(title: str, text: str, columns: dict[str, Any]) -> str:
    """A section with its table."""
    # As objects: pandas' own texts forget which of them are Markdown.
    series = {heading: pd.Series(list(cells), dtype=object) for heading, cells in columns.items()}
    return f"## {title}\n\n{text}\n\n{to_markdown(series)}"


def nets(frame: pd.DataFrame) -> dict[str, Any]:
    """The columns that say which net."""
    return {
        "protocol": frame.protocol,
        "depth": [f"{depth:.0f}" for depth in frame.depth],
        "setting": frame.setting,
        "batch": [f"{batch:.0f}" for batch in frame.batch],
    }


def formatted(values: Any, form: str) -> list[str]:
    """Figures as text; a dash for one that is missing."""
    return [DASH if value != value else form.format(value) for value in values]


def steps(table: pd.DataFrame) -> str:
    """Whole training steps beside others'."""
    frame = pivot(table, "steps")
    if "suite" not in frame:
        return ""
    ours = frame.suite
    others = frame[[rival for rival in RIVALS if rival in frame]]
    columns = nets(frame) | {"suite, images/s": formatted(frame.batch / ours, "{:,.0f}")}
    for rival, heading in RIVALS.items():
        if rival in frame:
            columns[heading] = formatted(frame.batch / frame[rival], "{:,.0f}")
    columns["× plain loop"] = formatted(frame.get("plain", np.nan) / ours, "{:.2f}")
    columns["× timm"] = formatted(frame.get("timm", np.nan) / ours, "{:.2f}")
    columns["× fastest other"] = formatted(others.min(axis=1) / ours, "{:.2f}")
    return titled(
        "Whole training steps, input included",
        "Images a second of the same net on the same images. The plain loop is float32,"
        " contiguous, with a DataLoader and PIL transforms; timm is its blocks with mixed"
        " precision, channels last and such a loader; timm's net with the suite's resident input"
        " is nobody's way, but the best that its net allows.",
        columns,
    )


def relative(frame: pd.DataFrame, what: str) -> pd.Series:
    """Each net's time over that of 1x64d at the same protocol, depth and batch."""
    keys = ["protocol", "depth", "batch"]
    base = frame[frame.setting == REFERENCE].set_index(keys)[what].rename("base")
    return frame[what] / frame.join(base, on=keys)["base"]


def cardinality(table: pd.DataFrame) -> str:
    """What cardinality costs in time at preserved complexity."""
    if not (table.section == "cardinality").any():
        return ""
    named = table.assign(
        what=table.what.mask((table.section == "steps") & (table.what == "suite"), APART)
    )
    frame = pivot(named, "steps", "cardinality")
    if "suite" not in frame:
        return ""
    for what in ("suite", APART, *RIVALS):
        if what in frame:
            frame[what] = relative(frame, what)
    # A section that was measured before, with another batch, stands in lines of its own.
    frame = frame[frame.suite.notna()]
    settings = [s for s in dict.fromkeys(frame.setting) if s != REFERENCE]
    protocols = list(dict.fromkeys(frame.protocol))
    groups = sorted(
        frame.groupby(["protocol", "depth"], sort=False),
        key=lambda group: (protocols.index(group[0][0]), group[0][1]),
    )
    columns: dict[str, Any] = {
        "protocol": [protocol for (protocol, _), _ in groups],
        "depth": [f"{depth:.0f}" for (_, depth), _ in groups],
    }

    def cell(group: pd.DataFrame, setting: str, what: str) -> float:
        found = group[group.setting == setting][what]
        return float(found.iloc[0]) if len(found) else float("nan")

    for setting in settings:
        columns[setting] = formatted([cell(g, setting, "suite") for _, g in groups], "{:.2f}")
    for rival, heading in [(APART, "whole steps"), *list(RIVALS.items())[:2]]:
        if rival in frame:
            ratios = [cell(g, "32x4d", rival) for _, g in groups]
            columns[f"32x4d, {heading}"] = formatted(ratios, "{:.2f}")
    published = pd.read_csv(ROOT / "paper_tables" / "speed.csv")
    others = "; ".join(
        f"{row.source} ({row.kind}, depth {row.depth}, {row.hardware}) {row.ratio:.2f}"
        for row in published.itertuples()
    )
    return titled(
        "What cardinality costs at preserved complexity",
        f"Time of a suite's step over that of {REFERENCE}, all settings in turns; in the last"
        " columns from the whole steps above, between which minutes went by. For 32x4d others have:"
        f" {others}.",
        columns,
    )


def paths(table: pd.DataFrame) -> str:
    """What each way to compute the same net takes."""
    chosen = table[(table.section == "paths") & (table.protocol != "")]
    if chosen.empty:
        return ""
    columns: dict[str, Any] = {"net": list(dict.fromkeys(chosen.what))}
    for (protocol, setting), group in chosen.groupby(["protocol", "setting"], sort=False):
        times = dict(zip(group.what, group.value.astype(float), strict=True))
        cells = []
        for what in columns["net"]:
            taken = times.get(what, float("nan"))
            relative_to_ours = taken / times.get("as the suite", float("nan"))
            cells.append(DASH if taken != taken else f"{1e3 * taken:.1f} ({relative_to_ours:.2f})")
        columns[f"{protocol}, {setting}"] = cells
    return titled(
        "What each fast path is worth",
        "Milliseconds of a training step on a batch at hand, in brackets relative to the suite's.",
        columns,
    )


def limit(table: pd.DataFrame) -> str:
    """The part of the device's rate that each net reaches."""
    ceilings = table[(table.section == "limit") & (table.protocol == "")]
    frame = pivot(table[table.protocol != ""], "limit")
    if frame.empty or ceilings.empty:
        return ""
    best = float(ceilings.value.max())
    macs = frame["MACs forward"]
    backward = frame["forward and backward"] - frame.forward
    measured = "; ".join(
        f"{what} {rate / 1e9:,.0f}"
        for what, rate in zip(ceilings.what, ceilings.value.astype(float), strict=True)
    )
    return titled(
        "The limit",
        "Billions of multiply-adds a second of large dense operations on the same device:"
        f" {measured}. The highest is the ceiling, and this is what part of it the nets reach.",
        nets(frame)
        | {
            "forward": formatted(100 * macs / frame.forward / best, "{:.0f} %"),
            "backward": formatted(100 * 2 * macs / backward / best, "{:.0f} %"),
            "both, G MACs/s": formatted(3 * macs / frame["forward and backward"] / 1e9, "{:,.0f}"),
        },
    )


def profile(table: pd.DataFrame) -> str:
    """Where the time of a step goes."""
    frame = pivot(table, "profile")
    if frame.empty:
        return ""
    kinds = list(dict.fromkeys(table[table.section == "profile"].what))
    kinds = [kind for kind in kinds if kind in frame]
    columns = {kind: formatted(100 * frame[kind], "{:.0f} %") for kind in kinds}
    text = "Torch's profile of the suite's steps."
    return titled("Where a step's time goes", text, nets(frame) | columns)


def inputs(table: pd.DataFrame) -> str:
    """What input costs."""
    frame = pivot(table[table.what != "loader"], "input")
    if frame.empty:
        return ""
    steps = pivot(table, "steps")
    keys = list(zip(steps.protocol, steps.depth, steps.setting, strict=True))
    whole = dict(zip(keys, steps.get("suite", [float("nan")] * len(keys)), strict=True))
    of = [whole.get(key) for key in zip(frame.protocol, frame.depth, frame.setting, strict=True)]
    part = [100 * t / w if w else float("nan") for t, w in zip(frame.resident, of, strict=True)]
    text = "Milliseconds that a batch of resident images takes, and what part of a step that is."
    streamed = table[(table.section == "input") & (table.what == "loader")]
    if len(streamed):
        text += (
            f" Photographs of 170 x 128 pixels from JPEG files, cropped to 128: the loader alone"
            f" gives {streamed.value.iloc[0]:,.0f} images a second."
        )
    return titled(
        "Input",
        text,
        nets(frame)
        | {
            "batch, ms": formatted(1e3 * frame.resident, "{:.2f}"),
            "of a step": formatted(part, "{:.1f} %"),
        },
    )


def side_by_side(table: pd.DataFrame) -> str:
    """The whole machine, shared in different ways."""
    frame = pivot(table, "side by side")
    if frame.empty:
        return ""
    order = list(dict.fromkeys(table[table.section == "side by side"].what))
    ways = [way for way in order if way in frame]
    columns = {way: formatted(frame[way], "{:,.0f}") for way in ways}
    text = "Images a second of the whole machine."
    if "suite, one run on all cores" in ways:
        text += (
            " One run on all cores has torch's batch norm, because the suite's kernel has one"
            " thread; the plain loop has a loader worker a core."
        )
    return titled("Runs side by side", text, nets(frame) | columns)


def memory(table: pd.DataFrame) -> str:
    """What a step holds."""
    frame = pivot(table, "memory")
    if frame.empty or "peak of training" not in frame:
        return ""
    growth = relative(frame, "activations")
    return titled(
        "Memory",
        f"What a trainer, its resident images and its steps hold at the peak, and the activations"
        f" that the layers put out for one image; × relative to {REFERENCE}.",
        nets(frame)
        | {
            "peak, MiB": formatted(frame["peak of training"] / 2**20, "{:,.0f}"),
            "×": formatted(relative(frame, "peak of training"), "{:.2f}"),
            "activations, thousands": formatted(frame.activations / 1e3, "{:,.0f}"),
            "activations ×": formatted(growth, "{:.2f}"),
        },
    )


def start(table: pd.DataFrame) -> str:
    """How long commands take."""
    chosen = table[(table.section == "start") & (table.failure == "")]
    if chosen.empty:
        return ""
    return titled(
        "Start",
        "Seconds from a command to its end.",
        {
            "command": [code(what) for what in chosen.what],
            "median": formatted(chosen.value, "{:.2f}"),
            "highest": formatted(chosen.highest, "{:.2f}"),
        },
    )


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left, how many times as fast as the others; right, time over that of 1x64d."""
    left, right = figure.subplots(1, 2)
    frame = pivot(table, "steps")
    if "suite" not in frame:
        return
    names = [f"{p} {d:.0f}" for p, d in zip(frame.protocol, frame.depth, strict=True)]
    places = list(dict.fromkeys(names))
    for colour, (rival, heading) in zip(COLOURS, RIVALS.items(), strict=False):
        if rival in frame:
            x = [places.index(name) for name in names]
            shift = 0.18 * (list(RIVALS).index(rival) - 1)
            left.plot(
                np.array(x) + shift,
                frame[rival] / frame.suite,
                "o",
                color=colour,
                alpha=0.7,
                label=heading,
            )
    left.axhline(1, color="black", linewidth=0.8)
    left.set_ylim(bottom=0)
    left.set_xticks(range(len(places)), [place.replace(" ", "\n") for place in places], fontsize=8)
    left.set_ylabel("times as fast as")
    if left.get_legend_handles_labels()[0]:
        left.legend(fontsize=8)
    draw_costs(costs(table), right)


def costs(table: pd.DataFrame) -> pd.DataFrame:
    """Time of a step by cardinality at preserved complexity, a line a net, and what the paper has.

    Returns:
        source (a protocol, or the paper), depth, setting, cardinality, hardware (of the paper's),
        seconds a step, and ratio to 1x64d's there.
    """
    frame = pivot(table, "cardinality")
    if "suite" in frame:
        of = frame.groupby(["protocol", "depth"]).setting.transform("size")
        frame = frame.assign(ratio=relative(frame, "suite"), hardware="")[of > 2]
        frame = frame.rename(columns={"protocol": "source", "suite": "seconds"})
    published = pd.read_csv(ROOT / "paper_tables" / "speed.csv")
    paper = published[published.source.str.startswith("Xie")]
    base = paper.assign(setting=REFERENCE, seconds=paper.reference_seconds, ratio=1.0)
    paper = paper.assign(ratio=paper.seconds / paper.reference_seconds)
    lines = pd.concat([frame, base, paper], ignore_index=True)
    lines["cardinality"] = [Setting.parse(setting).cardinality for setting in lines.setting]
    columns = ["source", "depth", "setting", "cardinality", "hardware", "seconds", "ratio"]
    return lines.reindex(columns=columns).astype({"depth": int})


def draw_costs(lines: pd.DataFrame, axes: Axes) -> None:
    """A step's time over that of 1x64d against C; see `costs`."""
    colours = iter(COLOURS)
    for (source, depth, hardware), group in lines.groupby(
        ["source", "depth", "hardware"], sort=False
    ):
        last = group.seconds.iloc[-1]
        label = f"{source} {depth:.0f}: {group.seconds.iloc[0]:.2g} s, {last:.2g} s"
        style: Any = {"marker": "o", "color": next(colours, PAPER)}
        if hardware:
            label = (
                f"the paper {depth:.0f}, {hardware}: {group.seconds.iloc[0]:.2f} s, {last:.2f} s"
            )
            style = {"marker": "s", "linestyle": ":", "color": PAPER}
        axes.plot(group.cardinality, group.ratio, label=label, **style)
    axes.set_xscale("log", base=2)
    ticks = sorted(set(lines.cardinality))
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("cardinality C at preserved complexity")
    axes.set_ylabel("time of a step over that of 1x64d")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def write_costs(table: pd.DataFrame, folder: Path, name: str) -> None:
    """Write FOLDER/NAME-speed.csv, .png and .svg: what cardinality costs, a figure of its own."""
    lines = costs(table)
    save(
        lambda figure: draw_costs(lines, figure.subplots()), (6, 4), folder / f"{name}-speed", lines
    )


# The sections of the page in their order, by the names under which they are measured.
SECTIONS: dict[str, Callable[[pd.DataFrame], str]] = {
    "steps": steps,
    "cardinality": cardinality,
    "paths": paths,
    "limit": limit,
    "profile": profile,
    "input": inputs,
    "side by side": side_by_side,
    "memory": memory,
    "start": start,
}
