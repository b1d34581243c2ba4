"""Tables of measured and published figures: pure functions of a plan, the records and the paper.

Errors are in percent; lower is better. Missing stays missing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from cardinality.architecture.complexity import block_parameters, deviation, solve
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.experiment.plan import Entry, Plan, Run
from cardinality.results.records import Record

# Records of finished runs by the run's name, and why others failed.
Done = Mapping[str, Record]
Failed = Mapping[str, str]


def read_paper(name: str) -> pd.DataFrame:
    """Read paper_tables/NAME.csv: published figures, with where they stand.

    Raises:
        UserError: there is no such file.
    """
    path = workspace.find("paper_tables", name, ".csv")
    if path is None:
        allowed = ", ".join(workspace.names("paper_tables", ".csv"))
        raise UserError(f"paper: no figures {name!r} in paper_tables/; allowed: {allowed}")
    return pd.read_csv(path)


@dataclass(frozen=True)
class Published:
    """The paper's figures for a table: where they stand, what they are of, and each line's."""

    source: str
    data: str
    lines: pd.DataFrame  # setting, role, depth, residual, top1_error, top5_error

    @property
    def digits(self) -> int:
        """How many digits its errors have after the point."""
        return max(len(f"{error:g}".partition(".")[2]) for error in self.lines.top1_error)

    def line(self, entry: Entry | None) -> pd.Series | None:
        """The paper's figures for a line of ours, if it has them."""
        if entry is None:
            return None
        setting, role, residual = entry.key
        lines = self.lines
        match = lines[
            (lines.setting == setting) & (lines.role == role) & (lines.residual == residual)
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
    ours = plan.protocol.data.title
    data = ours if (lines.data == ours).any() else lines.data.iloc[0]
    lines = lines[lines.data == data]
    return Published(lines.source.iloc[0], data, lines)


def mean(values: list[float]) -> float:
    """The mean, or not a number of nothing."""
    return fmean(values) if values else math.nan


def spread(values: list[float]) -> float:
    """The standard deviation of a sample (n - 1), or not a number of fewer than two."""
    return stdev(values) if len(values) > 1 else math.nan


def paired_difference(entry: Entry, other: Entry | None, done: Done, figure: str) -> float:
    """Mean difference of two lines over the seeds that both have; not a number without any."""
    if other is None:
        return math.nan
    pairs = (
        (_figure(run, done, figure), _figure(against, done, figure))
        for run, against in zip(entry.runs, other.runs, strict=False)  # seed by seed, from 0
    )
    return mean([a - b for a, b in pairs if a is not None and b is not None])


def figures(entry: Entry, done: Done, figure: str) -> list[float]:
    """One figure of every finished run of a line, by seed."""
    values = (_figure(run, done, figure) for run in entry.runs)
    return [value for value in values if value is not None]


def _figure(run: Run, done: Done, figure: str) -> float | None:
    return getattr(done[run.name].final, figure) if run.name in done else None


def trained_table(plan: Plan, done: Done, failed: Failed) -> pd.DataFrame:
    """One line a row and depth: what it costs, what was measured, what the paper has.

    Differences are to the line's reference (`Plan.reference`), ours over the seeds that both have.
    """
    paper = published(plan)
    return pd.DataFrame([_line(plan, entry, done, failed, paper) for entry in plan.entries])


def _line(
    plan: Plan, entry: Entry, done: Done, failed: Failed, paper: Published | None
) -> dict[str, object]:
    reference = plan.reference(entry)
    line: dict[str, object] = {
        "setting": str(entry.row.setting),
        "model": entry.row.label or "",
        "role": entry.role,
        "depth": entry.architecture.depth,
        "shortcuts": entry.row.residual,
        "budget": entry.row.budget,
        **_costs(entry, reference),
        "runs": len(entry.runs),
        "n": len(figures(entry, done, "top1_error")),
        "failed": sum(run.name in failed for run in entry.runs),
    }
    for figure in ("top1_error", "top5_error", "train_error"):
        values = figures(entry, done, figure)
        line[figure] = mean(values)
        line[f"{figure}_deviation"] = spread(values)
        line[f"{figure}_difference"] = paired_difference(entry, reference, done, figure)
    without = plan.with_shortcuts(entry)
    line["top1_error_without_shortcuts"] = paired_difference(entry, without, done, "top1_error")
    if paper is not None:
        line |= _paper_line(paper, entry, reference, without)
    return line


def _costs(entry: Entry, reference: Entry | None) -> dict[str, object]:
    """Parameters, MACs and activations of the whole net, and relative to the reference."""
    costs: dict[str, object] = {}
    for count in ("params", "macs", "activations"):
        ours = getattr(entry.complexity, count)
        costs[count] = ours
        theirs = math.nan if reference is None else getattr(reference.complexity, count)
        costs[f"{count}_relative"] = ours / theirs
    return costs


def _paper_line(
    paper: Published, entry: Entry, reference: Entry | None, without: Entry | None
) -> dict[str, object]:
    line, against, bare = (paper.line(e) for e in (entry, reference, without))
    found: dict[str, object] = {
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
