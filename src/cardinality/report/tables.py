"""Tables of measured and published figures: pure functions of a plan, the records and the paper.

Errors are in percent; lower is better. Missing stays missing.
"""

import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from cardinality.analysis.comparisons import Comparison
from cardinality.analysis.estimates import Estimate
from cardinality.analysis.ledger import FIGURES, Line, analyse
from cardinality.analysis.outcomes import Figure
from cardinality.architecture.complexity import block_parameters, deviation, solve
from cardinality.common.errors import UserError
from cardinality.common.files import read_text
from cardinality.experiment.places import published_figures
from cardinality.experiment.plan import Entry, Plan
from cardinality.experiment.run import Run
from cardinality.results.records import Record

# Records of finished runs by the run's name, and why others failed.
Done = Mapping[str, Record]
Failed = Mapping[str, str]
Columns = dict[str, object]
# What stands in the column `reference` of the line that others are compared with.
ITSELF = "itself"


LARGEST_FIGURES = 1_000_000  # bytes; ours are some thousand


def read_paper(name: str) -> pd.DataFrame:
    """Read paper_tables/NAME.csv: published figures, with where they stand.

    Raises:
        UserError: there is no such file, or it is no table.
    """
    path = published_figures(name)
    try:
        return pd.read_csv(io.StringIO(read_text(path, LARGEST_FIGURES)))
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: no table: {str(error).splitlines()[0]}") from None


# What says of which net a published figure is, and where it stands.
NAMING = ("source", "data", "setting", "role", "depth", "residual")


@dataclass(frozen=True)
class Published:
    """The paper's figures for a table: where they stand, what they are of, and each line's."""

    source: str
    data: str
    lines: pd.DataFrame  # setting, role, depth, residual, variant, top1_error, top5_error

    @property
    def digits(self) -> int:
        """How many digits its errors have after the point."""
        return max(len(f"{error:g}".partition(".")[2]) for error in self.lines.top1_error)

    def line(self, entry: Entry | None) -> pd.Series | None:
        """The paper's figures for a line of ours, if it has them."""
        if entry is None:
            return None
        setting, role, residual, variant = entry.key
        lines = self.lines
        match = lines[
            (lines.setting == setting)
            & (lines.role == role)
            & (lines.residual == residual)
            & (lines.variant == variant)
        ]
        return None if match.empty else match.iloc[0]


def published(plan: Plan) -> Published | None:
    """The paper's errors for a table that trains, if the ablation names any.

    Where the paper has a table of several data sets, of the protocol's, else of the first.
    """
    if plan.ablation.paper is None:
        return None
    lines = read_paper(plan.ablation.paper)
    if "top1_error" not in lines:
        raise UserError(f"paper: {plan.ablation.paper} has no errors; allowed: a table of errors")
    if lacking := [name for name in NAMING if name not in lines]:
        raise UserError(
            f"paper: {plan.ablation.paper}: {', '.join(lacking)}: is missing; allowed: a table"
            f" with the columns {', '.join(NAMING)} and the errors"
        )
    if lines.empty:
        raise UserError(f"paper: {plan.ablation.paper} has no line; allowed: one a row, at least")
    if "top5_error" not in lines:
        lines = lines.assign(top5_error=math.nan)
    ours = plan.protocol.data.title
    data = ours if (lines.data == ours).any() else lines.data.iloc[0]
    lines = lines[lines.data == data]
    # Only tables of nets that are not the ResNeXt paper's say in what.
    lines = lines.assign(variant=lines.variant.fillna("") if "variant" in lines else "")
    return Published(lines.source.iloc[0], data, lines)


def mean(values: list[float]) -> float:
    """The mean, or not a number of nothing."""
    return fmean(values) if values else math.nan


def spread(values: list[float]) -> float:
    """The standard deviation of a sample (n - 1), or not a number of fewer than two."""
    return stdev(values) if len(values) > 1 else math.nan


def seen(comparison: Comparison | None) -> Estimate | None:
    """What a table shows of a comparison: it is over all seeds that both lines have.

    Verdicts take the stated seeds alone; a table's means are of every seed that was asked for, and
    its differences are to be of the same ones.
    """
    if comparison is None:
        return None
    return comparison.effect.extended or comparison.effect.over


def _difference(compared: Mapping[Figure, Comparison] | None, figure: Figure, name: str) -> Columns:
    """A difference with the ends of its interval; not a number where there is none."""
    over = None if compared is None else seen(compared[figure])
    values = (None, None, None) if over is None else (over.mean, over.low, over.high)
    names = (name, f"{name}_low", f"{name}_high")
    return {n: math.nan if v is None else v for n, v in zip(names, values, strict=True)}


def _pairs(compared: Mapping[Figure, Comparison] | None) -> int:
    over = None if compared is None else seen(compared["top1_error"])
    return 0 if over is None else over.n


def figures(entry: Entry, done: Done, figure: str) -> list[float]:
    """One figure of every finished run of a line, by seed."""
    values = (_figure(run, done, figure) for run in entry.runs)
    return [value for value in values if value is not None]


def _figure(run: Run, done: Done, figure: str) -> float | None:
    return getattr(done[run.name].final, figure) if run.name in done else None


def trained_table(
    plan: Plan, done: Done, failed: Failed, diverged: Collection[str] = ()
) -> pd.DataFrame:
    """One line a row and depth: what it costs, what was measured, what the paper has.

    Differences are those of `cardinality.analysis`: to the line's reference (`Plan.reference`),
    by pairs of seeds, with their 95 % t interval.
    """
    paper = published(plan)
    compared = analyse(plan, done, diverged)
    return pd.DataFrame(
        [
            _line(plan, entry, line, done, _ended(entry, failed, diverged), paper)
            for entry, line in zip(plan.entries, compared, strict=True)
        ]
    )


def _line(
    plan: Plan, entry: Entry, compared: Line, done: Done, ended: Columns, paper: Published | None
) -> Columns:
    reference = plan.reference(entry)
    line: Columns = {
        "setting": str(entry.row.setting),
        "model": entry.row.label or "",
        "role": entry.role,
        "depth": entry.architecture.depth,
        "shortcuts": entry.row.residual,
        **_variant(plan, entry),
        "budget": entry.row.budget,
        **_costs(entry, reference),
        "runs": len(entry.runs),
        "n": len(figures(entry, done, "top1_error")),
        **ended,
        "reference": reference_of(entry, reference),
        "pairs": _pairs(compared.to_reference),
    }
    for figure in FIGURES:
        values = figures(entry, done, figure)
        line[figure] = mean(values)
        line[f"{figure}_deviation"] = spread(values)
        line |= _difference(compared.to_reference, figure, f"{figure}_difference")
    line["without_shortcuts_pairs"] = _pairs(compared.to_shortcuts)
    line |= _difference(compared.to_shortcuts, "top1_error", "top1_error_without_shortcuts")
    if paper is not None:
        line |= _paper_line(paper, entry, reference, plan.with_shortcuts(entry))
    return line


def _ended(entry: Entry, failed: Failed, diverged: Collection[str]) -> Columns:
    """How many of a line's runs ended without a figure: by a failure, or since they diverged."""
    names = {run.name for run in entry.runs}
    lost = names & {*diverged}
    return {"failed": len(names & failed.keys() - lost), "diverged": len(lost)}


def _variant(plan: Plan, entry: Entry) -> Columns:
    """In what a net is none of the ResNeXt paper's, in a table where any is not."""
    kinds = {each.architecture.variant for each in plan.entries}
    return {} if kinds == {""} else {"variant": entry.architecture.variant}


def reference_of(entry: Entry, reference: Entry | None) -> str:
    """What a line is compared with, in words."""
    if reference is None:
        return ""
    if reference is entry:
        return ITSELF
    if entry.row.against is not None:
        return entry.row.against
    return f"{reference.row.setting} of depth {reference.architecture.depth}"


def seeds_table(plan: Plan, done: Done) -> pd.DataFrame:
    """One line a finished run: its line of the table, its seed and its errors."""
    lines = [
        {
            "setting": str(entry.row.setting),
            "cardinality": entry.row.setting.cardinality,
            "role": entry.role,
            "depth": entry.architecture.depth,
            "shortcuts": entry.row.residual,
            **_variant(plan, entry),
            "seed": run.seed,
            **{figure: _figure(run, done, figure) for figure in FIGURES},
        }
        for entry in plan.entries
        for run in entry.runs
        if run.name in done
    ]
    columns = ["setting", "cardinality", "role", "depth", "shortcuts"]
    columns += [*_variant(plan, plan.entries[0]), "seed", *FIGURES]
    return pd.DataFrame(lines, columns=columns)


def _costs(entry: Entry, reference: Entry | None) -> Columns:
    """Parameters, MACs and activations of the whole net, and relative to the reference."""
    costs: Columns = {}
    for count in ("params", "macs", "activations"):
        ours = getattr(entry.complexity, count)
        costs[count] = ours
        theirs = math.nan if reference is None else getattr(reference.complexity, count)
        costs[f"{count}_relative"] = ours / theirs
    return costs


def _paper_line(
    paper: Published, entry: Entry, reference: Entry | None, without: Entry | None
) -> Columns:
    line, against, bare = (paper.line(e) for e in (entry, reference, without))
    found: Columns = {
        "paper_data": paper.data,
        "paper_depth": math.nan if line is None else line.depth,
    }
    for figure in ("top1_error", "top5_error"):
        value = math.nan if line is None else line[figure]
        found[f"paper_{figure}"] = value
        found[f"paper_{figure}_difference"] = (
            math.nan if against is None else value - against[figure]
        )
    found["paper_top1_error_without_shortcuts"] = (
        math.nan if bare is None else found["paper_top1_error"] - bare["top1_error"]
    )
    return found


def arithmetic_table(plan: Plan) -> pd.DataFrame:
    """One line a row: d, the width of the group convolution, Eq. (4) and what rounding d leaves."""
    ablation = plan.ablation
    lines = []
    for entry in plan.entries:
        setting, times = entry.row.setting, entry.row.budget
        lines.append(
            {
                "setting": str(setting),
                "cardinality": setting.cardinality,
                "width": setting.width,
                "exact_width": solve(setting.cardinality, ablation.reference, times).exact_width,
                "group_conv_width": setting.conv_width(),
                "block_parameters": block_parameters(setting),
                "deviation": deviation(setting, times * block_parameters(ablation.reference)),
                **_costs(entry, plan.reference(entry)),
            }
        )
    table = pd.DataFrame(lines)
    if ablation.paper is None:
        return table
    columns = ["setting", "width", "group_conv_width"]
    paper = read_paper(ablation.paper)
    if not {*columns} <= {*paper.columns}:
        raise UserError(f"paper: {ablation.paper} has no widths; allowed: a table of widths")
    paper = paper[columns]
    paper = paper.rename(columns=lambda name: name if name == "setting" else f"paper_{name}")
    return table.merge(paper, on="setting", how="left")
