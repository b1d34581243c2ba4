"""Other people's runs by the suite's rules, beside its own and the paper's figures."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cardinality.analysis.claims import read_claims
from cardinality.analysis.comparisons import Comparison, compare
from cardinality.analysis.contrasts import difference as difference_of
from cardinality.analysis.contrasts import of_figures
from cardinality.analysis.ledger import outcomes_of, paper_figures
from cardinality.analysis.outcomes import Cell, Outcomes
from cardinality.analysis.outsiders import Given, judge_given, parse
from cardinality.analysis.verdicts import Published, Verdict
from cardinality.architecture.names import net_in_words
from cardinality.architecture.settings import Setting
from cardinality.common.files import read_text
from cardinality.common.text import line, markdown, plural
from cardinality.experiment.configuration import Ablation
from cardinality.experiment.places import ABLATIONS, find
from cardinality.experiment.reading import load
from cardinality.report import canvas, claims_page, forest
from cardinality.report.forest import Dot
from cardinality.report.judged import Judged
from cardinality.report.markdown import columns_of, to_markdown
from cardinality.report.published import read_paper
from cardinality.report.render import write_text
from cardinality.report.verdict_words import effect_text, verdict_text
from cardinality.report.wording import DASH, signed

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

LARGEST = 20_000_000  # bytes
REFERENCE = "1x64d"


@dataclass(frozen=True)
class Shown:
    """One difference of theirs, beside ours and the paper's.

    Attributes:
        theirs: by the runs that were given.
        ours: the same cells at each of our scales that has them.
        paper: the paper's, if it has both cells.
    """

    theirs: Comparison
    ours: Mapping[str, Comparison]
    paper: float | None

    @property
    def label(self) -> str:
        """What is compared."""
        return f"{net_in_words(*self.theirs.first)} − {net_in_words(*self.theirs.second)}"


@dataclass(frozen=True)
class Outside:
    """Runs of someone else's.

    Attributes:
        name: of the file.
        given: the runs.
        differences: of each setting to the reference, and to the same net with shortcuts.
        verdicts: on the claims.
        ours: our own scales' verdicts.
    """

    name: str
    given: Given
    differences: tuple[Shown, ...]
    verdicts: tuple[Verdict, ...]
    ours: tuple[Judged, ...]

    @property
    def judged(self) -> tuple[Verdict, ...]:
        """The verdicts on claims of which there are runs."""
        return tuple(verdict for verdict in self.verdicts if verdict.decision != "not run")


def judge_file(path: Path, claim: str | None, ours: Sequence[Judged]) -> Outside:
    """Read a CSV of runs and judge it.

    Args:
        path: of the file.
        claim: the one that is asked, by default all.
        ours: our own scales, to stand beside.

    Raises:
        UserError: in one line, what is missing, stands twice or is no number.
    """
    given = parse(read_text(path, LARGEST), path.name)
    claims = read_claims()
    paper = paper_by_table({each.table for each in claims.claims})
    verdicts = judge_given(claims, given, path.name, claim, paper)
    figures: dict[Cell, float] = {}
    for table in paper.values():
        figures = {**table, **figures}
    own = {judged.name: _outcomes(judged) for judged in ours}
    shown = tuple(_shown(*cells, given.outcomes, own, figures) for cells in _compared(given))
    return Outside(path.name, given, shown, verdicts, tuple(ours))


def paper_by_table(tables: set[str]) -> dict[str, Published]:
    """The paper's errors by table; of several data sets those that the paper has first."""
    found: dict[str, Published] = {}
    for table in sorted(tables):
        name = load(find(table, ABLATIONS), Ablation).paper
        if name is not None:
            lines = read_paper(name)
            lines = lines[lines.data == lines.data.iloc[0]]
            found[table] = paper_figures(
                {str(key): value for key, value in line.items()}
                for line in lines.to_dict("records")
            )
    return found


def _outcomes(judged: Judged) -> Outcomes:
    found = judged.found
    return outcomes_of(found.plan, found.done, found.diverged)


def _compared(given: Given) -> Iterator[tuple[Cell, Cell]]:
    """What is compared: each cell with the reference beside it, and without shortcuts with them."""
    cells = given.outcomes.errors["top1_error"].keys()
    told: set[tuple[str, str, bool]] = set()
    # A depth that plays two roles is compared once; without shortcuts it plays `residual`.
    for cell in sorted(cells, key=lambda cell: (cell.role == "residual", not cell.residual)):
        if not cell.residual and cell.role != "residual":
            continue
        key = (cell.setting, given.depths[cell.role], cell.residual)
        reference = _reference(cell, cells)
        if key not in told and reference not in (None, cell):
            yield cell, reference
        told.add(key)
        if not cell.residual and cell._replace(residual=True) in cells:
            yield cell, cell._replace(residual=True)


def _reference(cell: Cell, cells: Iterable[Cell]) -> Cell | None:
    """1x64d beside a cell; where it is not there, the setting with the fewest paths."""
    beside = [c for c in cells if (c.role, c.residual) == (cell.role, cell.residual)]
    usual = cell._replace(setting=REFERENCE)
    if usual in beside:
        return usual
    return min(beside, key=lambda c: Setting.parse(c.setting), default=None)


def _shown(
    first: Cell, second: Cell, given: Outcomes, own: Mapping[str, Outcomes], paper: Published
) -> Shown:
    ours = {name: compare(first, second, each, "top1_error") for name, each in own.items()}
    there = {name: comparison for name, comparison in ours.items() if comparison.pairs}
    theirs = compare(first, second, given, "top1_error")
    return Shown(theirs, there, of_figures(difference_of(first, second), paper))


def page(found: Outside) -> str:
    """Comparisons and verdicts as Markdown."""
    depths = {depth: role for role, depth in reversed([*found.given.depths.items()])}
    roles = ", ".join(f"{depth} as {role}" for depth, role in depths.items() if depth != role)
    # One line says enough of columns that nobody reads.
    ignored = markdown(line(", ".join(found.given.ignored)))
    blocks = [
        f"# {markdown(found.name)}: {plural(found.given.runs, 'run')} as given",
        "No protocol states their seeds, so no verdict here is final. Differences are paired by"
        " seed, in points, ± half of a 95 % t interval (pairs)."
        + (f" Depths are taken to play the paper's roles: {roles}." if roles else "")
        + (f" Columns that mean nothing here: {ignored}." if ignored else ""),
    ]
    if found.differences:
        blocks.append(_differences(found))
    blocks.append(_verdicts(found))
    return "\n\n".join(blocks) + "\n"


def _told(comparison: Comparison | None) -> str:
    if comparison is None or not comparison.pairs:
        return DASH
    lost = len(comparison.effect.diverged)
    left_out = f"; {lost} diverged" if lost else ""
    return f"{effect_text(comparison.effect)} ({comparison.pairs}{left_out})"


def _differences(found: Outside) -> str:
    lines = [
        {
            "difference": shown.label,
            "theirs": _told(shown.theirs),
            **{f"ours, {judged.name}": _told(shown.ours.get(judged.name)) for judged in found.ours},
            "the paper's": DASH if shown.paper is None else signed(shown.paper, 2),
        }
        for shown in found.differences
    ]
    return to_markdown(columns_of(lines))


def _verdicts(found: Outside) -> str:
    if not found.judged:
        return "None of the claims can be judged: none has a seed in all of its settings."
    columns = claims_page.columns(found.judged)
    for judged in found.ours:
        ours = {verdict.claim: verdict for verdict in judged.verdicts}
        # A scale may ask for some of the claims alone.
        texts = [
            verdict_text(ours[verdict.claim]) if verdict.claim in ours else DASH
            for verdict in found.judged
        ]
        columns[f"ours, {judged.name}"] = pd.Series(texts, dtype=object)
    left = len(found.verdicts) - len(found.judged)
    more = f"\n\nOf {left} more of the claims there are no runs." if left else ""
    return to_markdown(columns) + more


def as_json(found: Outside) -> dict[str, object]:
    """The same in plain values."""
    return {
        "file": found.name,
        "runs": found.given.runs,
        "depths": dict(found.given.depths),
        "differences": [
            {
                "first": shown.theirs.first._asdict(),
                "second": shown.theirs.second._asdict(),
                **_numbers(shown.theirs),
                "paper": shown.paper,
                "ours": {name: _numbers(each) for name, each in shown.ours.items()},
            }
            for shown in found.differences
        ],
        "verdicts": [_verdict_json(found, verdict) for verdict in found.verdicts],
    }


def _numbers(comparison: Comparison) -> dict[str, object]:
    over = comparison.effect.over
    return {
        "pairs": comparison.pairs,
        "mean": comparison.mean,
        "low": comparison.low,
        "high": comparison.high,
        "deviation": None if over is None else over.deviation,
        "diverged": list(comparison.effect.diverged),
    }


def _verdict_json(found: Outside, verdict: Verdict) -> dict[str, object]:
    beside = {
        judged.name: _plain(other)
        for judged in found.ours
        for other in judged.verdicts
        if other.claim == verdict.claim
    }
    return {"claim": verdict.claim, **_plain(verdict), "ours": beside}


def _plain(verdict: Verdict) -> dict[str, object]:
    evidence, over = verdict.evidence, verdict.evidence.effect.over
    return {
        "verdict": verdict.decision,
        "state": verdict.state,
        "pairs": evidence.pairs,
        "effect": None if over is None else over.mean,
        "low": None if over is None else over.low,
        "high": None if over is None else over.high,
        "unit": evidence.unit,
        "p": evidence.p,
        "p_against": evidence.p_against,
        "p_corrected": verdict.p,
        "p_against_corrected": verdict.p_against,
        "level": verdict.level,
        "family_size": verdict.family_size,
        "paper": evidence.paper,
    }


def write(found: Outside, folder: Path) -> list[Path]:
    """Write compare.md, and compare.png, .svg and .csv, if there is anything to compare."""
    written = [folder / "compare.md"]
    write_text(written[0], page(found))
    dots = [dot for shown in found.differences for dot in _dots(shown)]
    if not dots:
        return written
    label = "top-1 error, difference in points; lower is better"
    title = f"{found.name}, beside ours and the paper's"
    return written + canvas.save(
        lambda figure: forest.forest(dots, figure, title, label, "", handles=_handles(dots)),
        (8.5, forest.height(dots)),
        folder / "compare",
        forest.data(dots),
    )


def _dots(shown: Shown) -> Iterator[Dot]:
    first, second = shown.theirs.first, shown.theirs.second
    label = f"{first.setting} − {second.setting}"
    group = f"{first.role} depth{'' if first.residual else ', no shortcuts'}"
    if first.residual != second.residual:
        label, group = first.setting, "What dropping the shortcuts costs"
    paper = math.nan if shown.paper is None else shown.paper
    yield _dot(shown.theirs, f"{label}, theirs", group, paper, canvas.COLOURS[0])
    for name, ours in shown.ours.items():
        yield _dot(ours, name, group, math.nan, canvas.COLOURS[1])


def _handles(dots: Sequence[Dot]) -> "list[Line2D]":
    from matplotlib.lines import Line2D

    def line(label: str, colour: str, marker: str, face: str | None = None) -> "Line2D":
        style: Any = {"marker": marker, "markerfacecolor": face or colour}
        return Line2D([], [], color=colour, label=label, linestyle="", **style)

    handles = [line("theirs", canvas.COLOURS[0], "o")]
    if any(dot.colour == canvas.COLOURS[1] for dot in dots):
        handles.append(line("ours", canvas.COLOURS[1], "o"))
    if any(dot.pairs == 1 for dot in dots):
        handles.append(line("one pair", canvas.PAPER, "o", "white"))
    if not all(math.isnan(dot.paper) for dot in dots):
        handles.append(line("the paper's", canvas.PAPER, "s"))
    return handles


def _dot(comparison: Comparison, label: str, group: str, paper: float, colour: str) -> Dot:
    ends = (comparison.mean, comparison.low, comparison.high)
    known = [math.nan if end is None else end for end in ends]
    mean, low, high = known
    return Dot(label, group, mean, low, high, comparison.pairs, paper, colour=colour)
