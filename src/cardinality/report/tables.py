"""Tables of measured and published figures as data frames: what Markdown, CSV and plots take.

Errors are in percent; lower is better. Missing stays missing.
"""

import math
from collections.abc import Sequence

import pandas as pd

from cardinality.analysis.ledger import FIGURES
from cardinality.architecture.complexity import block_parameters, deviation, solve
from cardinality.common.errors import UserError
from cardinality.experiment.plan import Entry, Plan
from cardinality.report.lines import Interval, PaperLine, TableLine
from cardinality.report.published import Published, read_paper

Columns = dict[str, object]
# What stands in the column `reference` of the line that others are compared with.
ITSELF = "itself"


def trained_table(lines: Sequence[TableLine], paper: Published | None) -> pd.DataFrame:
    """One line a row and depth: what it costs, what was measured, what the paper has."""
    kinds = {line.entry.architecture.variant for line in lines}
    return pd.DataFrame([_line(line, kinds != {""}, paper) for line in lines])


def _line(line: TableLine, named: bool, paper: Published | None) -> Columns:
    """A line's columns.

    Args:
        line: of the table.
        named: whether the table says in what its nets are none of the ResNeXt paper's.
        paper: what it has, if anything.
    """
    entry, compared = line.entry, line.top1.difference
    columns: Columns = {
        "setting": line.setting,
        "model": line.model,
        "role": entry.role,
        "depth": line.depth,
        "shortcuts": entry.row.residual,
        **({"variant": entry.architecture.variant} if named else {}),
        "budget": entry.row.budget,
        **_costs(entry, line.reference),
        "runs": line.asked,
        "n": line.n,
        "failed": line.failed,
        "diverged": line.diverged,
        "reference": ITSELF if line.is_reference else line.against,
        "pairs": 0 if compared is None else compared.pairs,
    }
    for figure, error in zip(FIGURES, (line.top1, line.top5, line.train), strict=True):
        columns[figure] = _or_nan(error.mean)
        columns[f"{figure}_deviation"] = _or_nan(error.deviation)
        columns |= _difference(f"{figure}_difference", error.difference)
    columns["without_shortcuts_pairs"] = 0 if line.without is None else line.without.pairs
    columns |= _difference("top1_error_without_shortcuts", line.without)
    return columns if paper is None else columns | _paper(paper.data, line.paper)


def _costs(entry: Entry, reference: Entry | None) -> Columns:
    """Parameters, MACs and activations of the whole net, and relative to the reference."""
    costs: Columns = {}
    for count in ("params", "macs", "activations"):
        ours = getattr(entry.complexity, count)
        costs[count] = ours
        theirs = math.nan if reference is None else getattr(reference.complexity, count)
        costs[f"{count}_relative"] = ours / theirs
    return costs


def _difference(name: str, over: Interval | None) -> Columns:
    """A difference with the ends of its interval."""
    ends = (None, None, None) if over is None else (over.mean, over.low, over.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(_or_nan, ends), strict=True))


def _paper(data: str, line: PaperLine | None) -> Columns:
    figures = ("depth", "top1", "top1_difference", "top5", "top5_difference", "without")
    values = [_or_nan(None if line is None else getattr(line, figure)) for figure in figures]
    names = (
        "depth",
        "top1_error",
        "top1_error_difference",
        "top5_error",
        "top5_error_difference",
        "top1_error_without_shortcuts",
    )
    return {"paper_data": data} | {
        f"paper_{name}": value for name, value in zip(names, values, strict=True)
    }


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def seeds_table(lines: Sequence[TableLine]) -> pd.DataFrame:
    """One line a finished run: its line of the table, its seed and its error."""
    return pd.DataFrame(
        [(line.setting, line.depth, seed, error) for line in lines for seed, error in line.seeds],
        columns=["setting", "depth", "seed", "top1_error"],
    )


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
