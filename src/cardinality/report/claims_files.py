"""The files of the ledger: a protocol's page, data and plots, and the overview of all."""

import math
from collections.abc import Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cardinality.analysis.images import ClassEffect
from cardinality.analysis.verdicts import Decision, Verdict
from cardinality.architecture.names import net_in_words
from cardinality.common.files import refuse_links
from cardinality.report import canvas, claims_page, forest, latex
from cardinality.report.bits import agreements
from cardinality.report.claims_parts import Part, as_data, claimed_way, compared_cells, shown_parts
from cardinality.report.forest import Dot
from cardinality.report.judged import DECISIONS, Judged
from cardinality.report.render import Form, write_text
from cardinality.report.verdict_words import DOUBLING, ps_text

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

# Blue, vermilion and black differ to every eye; the words stand beside them anyway.
HUES: dict[Decision, str] = {
    "supported": canvas.COLOURS[0],
    "contradicted": canvas.COLOURS[1],
    "undecided": "#000000",
    "not run": "#999999",
}
# More classes than that are not told apart in a picture; it then has the ends of their order.
MOST_CLASSES = 20


def write(judged: Judged, form: Form = "markdown") -> tuple[str, list[Path]]:
    """Write claims.md, claims.csv and the plots of one protocol; the page alone if none is asked.

    Returns:
        The page that is asked for, and every file written.
    """
    folder = judged.results.folder
    page = claims_page.page(judged)
    files = [folder / "claims.md"]
    write_text(files[0], page)
    if not judged.verdicts:
        _drop_stale(judged)
        return page, files
    files.append(folder / "claims.csv")
    canvas.write_csv(files[1], as_data(judged))
    if form == "latex":
        page = _latex(judged)
        files.append(folder / "claims.tex")
        write_text(files[-1], page)
    files += draw_ledger(judged.verdicts, judged, judged.results.plots / "claims")
    runs = agreements(judged.pictures.right, compared_cells(judged))
    if not runs.empty:
        files.append(folder / "agreement.csv")
        canvas.write_csv(files[-1], runs)
    return page, files + _classes(judged)


def _drop_stale(judged: Judged) -> None:
    """Remove what was written beside the page when the scale still asked for claims."""
    folder, plots = judged.results.folder, judged.results.plots
    stale = [folder / name for name in ("claims.csv", "claims.tex", "agreement.csv")]
    for path in (*stale, *plots.glob("claims.*"), *plots.glob("*-classes.*")):
        refuse_links(path)
        path.unlink(missing_ok=True)


def _latex(judged: Judged) -> str:
    columns = claims_page.columns(judged.verdicts)
    names = pd.Series([verdict.claim for verdict in judged.verdicts])
    caption = f"The claims, and what {judged.name} says of them"
    legend = (
        "Effects in points with 95 % t intervals over seeds; p one-sided, corrected by Holm's"
        " method. In brackets the number of claims of the family."
    )
    return latex.table({**columns, "claim": names}, caption, [legend], f"tab:claims-{judged.name}")


def draw_ledger(verdicts: Sequence[Verdict], judged: Judged, path: Path) -> list[Path]:
    """The ledger as a picture: every effect in the direction that is claimed, if it has one."""
    titles = {plan.ablation_name: plan.ablation.title for plan in judged.plans}
    ways = (claimed_way(judged.claim(verdict.claim)) for verdict in verdicts)
    dots = [_ledger_dot(verdict, way, titles) for verdict, way in zip(verdicts, ways, strict=True)]
    data = forest.data(dots).assign(
        claim=[verdict.claim for verdict in verdicts],
        verdict=[verdict.decision for verdict in verdicts],
        state=[verdict.state for verdict in verdicts],
    )
    state = " (final)" if judged.final else ""
    return canvas.save(
        lambda figure: forest.forest(
            dots,
            figure,
            f"The claims at {judged.name}{state}",
            "points in the direction that is claimed; a trend's a doubling of C",
            "the paper's own effect",
            handles=_ledger_handles(verdicts),
        ),
        (9.5, forest.height(dots)),
        path,
        data,
    )


def _ledger_dot(verdict: Verdict, way: int, titles: Mapping[str, str]) -> Dot:
    evidence = verdict.evidence
    over, paper = evidence.effect.over, evidence.paper
    ends = (math.nan,) * 3
    if over is not None and verdict.rule != "within":  # which has no direction
        sides = [math.nan if end is None else way * end for end in (over.low, over.high)]
        ends = (way * over.mean, min(sides), max(sides))
    name = verdict.claim.removeprefix(f"{verdict.table}-")
    trend = " (trend)" if evidence.unit == DOUBLING else ""
    return Dot(
        f"{name}{trend}",
        titles.get(verdict.table, verdict.table),
        *ends,
        evidence.pairs,
        math.nan if paper is None else way * paper,
        _ledger_note(verdict),
        HUES[verdict.decision],
        verdict.state != "interim",
    )


def _ledger_note(verdict: Verdict) -> str:
    if verdict.decision == "not run":
        return "not run"
    _, corrected = ps_text(verdict)
    p = "" if verdict.p is None else f", p {corrected}"
    interim = " (interim)" if verdict.state == "interim" else ""
    margin = " (a margin, no direction)" if verdict.rule == "within" else ""
    return f"{verdict.decision}{interim}{margin}{p}, n = {verdict.evidence.pairs}"


def _ledger_handles(verdicts: Sequence[Verdict]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    def dot(label: str, colour: str, face: str) -> "Line2D":
        style: Any = {"marker": "o", "linestyle": ""}
        return Line2D([], [], color=colour, markerfacecolor=face, label=label, **style)

    shown = [d for d in DECISIONS[:3] if any(verdict.decision == d for verdict in verdicts)]
    handles = [dot(decision, HUES[decision], HUES[decision]) for decision in shown]
    if any(verdict.state == "interim" and verdict.evidence.pairs for verdict in verdicts):
        handles.append(dot("interim", "#555555", "white"))
    if any(verdict.evidence.paper is not None for verdict in verdicts):
        style: Any = {"marker": "s", "linestyle": "", "color": canvas.PAPER}
        handles.append(Line2D([], [], label="the paper's own effect", **style))
    return handles


def _classes(judged: Judged) -> list[Path]:
    """Each table's primary claim on the images of each class: described, not tested."""
    files: list[Path] = []
    for table in dict.fromkeys(verdict.table for verdict in judged.verdicts):
        dots = [
            dot
            for part in shown_parts(judged)
            if (part.verdict.table, part.verdict.family) == (table, "primary")
            for dot in _class_dots(judged, part)
        ]
        if dots:
            files += _draw_classes(judged, table, dots)
    return files


def _draw_classes(judged: Judged, table: str, dots: Sequence[Dot]) -> list[Path]:
    shown = [dot for group in dict.fromkeys(d.group for d in dots) for dot in _ends(dots, group)]
    title = f"By class, {judged.name}: described, not tested"
    label = "Δ top-1 error on the images of a class, points; lower is better"
    return canvas.save(
        lambda figure: forest.forest(shown, figure, title, label, ""),
        (8, forest.height(shown)),
        judged.results.plots / f"{table}-classes",
        forest.data(dots).drop(columns="paper"),
    )


def _ends(dots: Sequence[Dot], group: str) -> list[Dot]:
    """A group's classes; of very many those that change most each way."""
    members = sorted((dot for dot in dots if dot.group == group), key=lambda dot: dot.mean)
    half = MOST_CLASSES // 2
    return members if len(members) <= MOST_CLASSES else members[:half] + members[-half:]


def _class_dots(judged: Judged, part: Part) -> list[Dot]:
    contrast, effect = part.contrast, part.evidence.effect
    if contrast is None or part.verdict.figure != "top1_error":
        return []
    if len(contrast) == 2:
        group = " − ".join(starmap(net_in_words, contrast))
    else:
        group = f"{part.verdict.claim}, points a doubling of C"
    return [_class_dot(each, group) for each in judged.pictures.classes(contrast, effect.seeds)]


def _class_dot(found: ClassEffect, group: str) -> Dot:
    over = found.over
    low, high = (math.nan if end is None else end for end in (over.low, over.high))
    return Dot(f"{found.name} ({found.images})", group, over.mean, low, high, over.n)


def write_overview(everything: Sequence[Judged], folder: Path) -> tuple[str, list[Path]]:
    """Write the page of all protocols beside the paper's own figures, and its data.

    Returns:
        The page, and the files.
    """
    page = claims_page.overview(everything)
    text, table = folder / "claims.md", folder / "claims.csv"
    write_text(text, page)
    frames = [as_data(judged) for judged in everything]
    data = [row for frame in frames for row in frame.to_dict("records")]
    if not data:
        table.unlink(missing_ok=True)
        return page, [text]
    canvas.write_csv(table, pd.DataFrame(data))
    return page, [text, table]
