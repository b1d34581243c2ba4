"""The reference sample: many runs of a scale, a row each, that stand beside a user's few.

It is made by `python -m cardinality.report.reference`, from records, and lies in
paper_tables/reference/ as one CSV a table, whose first columns are those that `compare` reads. A
row belongs to a line of a table if net, data and recipe are the same, whatever the seed and the
numerics.
"""

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cardinality.analysis.ledger import cell_of, outcomes_of
from cardinality.analysis.margins import AgainstReference, against_reference
from cardinality.analysis.outcomes import Cell, Figure, Outcomes
from cardinality.analysis.planning import Runs
from cardinality.architecture.names import net_in_words
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.files import read_text
from cardinality.common.text import Markdown, markdown
from cardinality.experiment.grid import make_plan
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import digest
from cardinality.report.canvas import write_csv
from cardinality.report.markdown import columns_of, to_markdown
from cardinality.report.recorded import ANY, Recorded
from cardinality.report.wording import number, signed
from cardinality.results.folder import Results
from cardinality.results.records import Record

PLACE = "paper_tables/reference"
COLUMNS = (
    *("setting", "depth", "shortcuts", "seed", "error", "train_error"),
    *("recipe", "precision", "device", "data", "code", "run"),
)
LARGEST = 10_000_000  # bytes


@dataclass(frozen=True)
class Sample:
    """The reference sample of one table.

    Attributes:
        outcomes: by cell and seed.
        precisions: in which numbers its runs were computed.
        devices: what computed them.
    """

    outcomes: Outcomes
    precisions: frozenset[str]
    devices: frozenset[str]

    @property
    def seeds(self) -> int:
        """How many seeds a cell has, at most."""
        return max(map(len, self.outcomes.errors["top1_error"].values()), default=0)


def recipe(configuration: Mapping[str, Any]) -> str:
    """What names everything of a run but its seed and its numerics."""
    return digest({k: v for k, v in configuration.items() if k not in ("seed", "numerics")})


def read(plan: Plan, data: str | None = None) -> Sample | None:
    """The sample that stands beside a table, if there is one of its nets, data and recipe.

    Args:
        plan: of the table.
        data: the checksum of the images; rows of others are left out.

    Raises:
        UserError: the file cannot be read.
    """
    path = workspace.find(PLACE, f"{plan.protocol_name}-{plan.ablation_name}", ".csv")
    if path is None:
        return None
    rows = [row for row in _rows(path) if data in (None, row["data"])]
    errors: dict[Figure, dict[Cell, dict[int, float]]] = {"top1_error": {}, "train_error": {}}
    taken = []
    for entry in plan.entries:
        wanted = recipe(entry.runs[0].configuration) if entry.runs else None
        for row in rows:
            if row["recipe"] == wanted:
                taken.append(row)
                seed = int(row["seed"])
                errors["top1_error"].setdefault(cell_of(entry), {})[seed] = float(row["error"])
                errors["train_error"].setdefault(cell_of(entry), {})[seed] = float(
                    row["train_error"]
                )
    if not taken:
        return None
    return Sample(
        Outcomes(errors),
        frozenset(row["precision"] for row in taken),
        frozenset(row["device"] for row in taken),
    )


def runs(plan: Plan) -> Runs | None:
    """The same as what a deviation may be planned with; none where there is no sample."""
    sample = read(plan)
    if sample is None:
        return None
    return Runs(name(plan), {plan.ablation_name: sample.outcomes})


def name(plan: Plan) -> str:
    """What a table's sample is called."""
    return f"the reference sample of {plan.protocol_name}"


def _rows(path: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(read_text(path, LARGEST))))
    for place, row in enumerate(rows, start=2):
        try:
            complete = None not in row and None not in row.values() and set(COLUMNS) <= row.keys()
            if not complete:
                raise ValueError
            int(row["seed"]), float(row["error"]), float(row["train_error"])
        except ValueError:
            raise UserError(
                f"{path}: line {place}: no run; allowed: the columns {', '.join(COLUMNS)}"
            ) from None
    return rows


def beside(found: Recorded) -> str:
    """A table's runs beside the reference sample as Markdown; nothing where there is none."""
    data = {record.data_checksum for record in found.done.values()}
    if len(data) != 1:
        return ""
    plan = found.plan
    sample = read(plan, *data)
    if sample is None:
        return ""
    ours = outcomes_of(plan, found.done, found.diverged)
    margin = plan.protocol.margin
    lines = against_reference(_own(ours, sample.outcomes), sample.outcomes, "top1_error", margin)
    if not lines:
        return ""
    depths = {entry.role: entry.architecture.depth for entry in plan.entries}
    body = to_markdown(columns_of([_line(line, depths) for line in lines]))
    return f"{_heading(sample, plan)}\n\n{body}\n"


def _own(ours: Outcomes, sample: Outcomes) -> Outcomes:
    """A user's runs without those seeds that the sample has: no run stands on both sides."""
    seeds = {seed for runs in sample.errors["top1_error"].values() for seed in runs}
    errors = {
        figure: {
            cell: {seed: error for seed, error in runs.items() if seed not in seeds}
            for cell, runs in cells.items()
        }
        for figure, cells in ours.errors.items()
    }
    return Outcomes(errors, ours.diverged, ours.stated)


def _heading(sample: Sample, plan: Plan) -> str:
    numerics = plan.runs()[0].numerics
    where = markdown(", ".join(sorted(sample.devices)))
    others = ""
    if sample.precisions != {numerics.precision}:
        theirs = markdown(" and ".join(sorted(sample.precisions)))
        others = f" It was computed in {theirs}, these runs in {numerics.precision}."
    return (
        f"Beside the reference sample of up to {sample.seeds} other seeds"
        f" (`{PLACE}/`, made on {where}); unpaired, with Welch's 95 %"
        f" interval.{others}"
    )


def _line(line: AgainstReference, depths: Mapping[Any, int]) -> dict[str, str]:
    cell = line.cell._replace(role=f"{depths[line.cell.role]} layers")
    return {
        "setting": net_in_words(*cell),
        "here, %": number(line.ours.mean),
        "n": str(line.ours.n),
        "reference, %": _spread(line),
        "its n": str(line.reference.n),
        "comparison": in_words(line),
    }


def _spread(line: AgainstReference) -> str:
    deviation = line.reference.deviation
    return number(line.reference.mean) + ("" if deviation is None else f" ± {number(deviation)}")


def in_words(line: AgainstReference) -> str:
    """What a comparison with the reference comes to."""
    over = line.difference
    shown = signed(over.mean)
    if over.low is not None and over.high is not None:
        shown += f" ± {number((over.high - over.low) / 2)}"
    match line.decision:
        case "agrees":
            return f"agrees within {line.margin:g}: {shown}"
        case "differs":
            return Markdown(f"differs: {shown} (p < 0.01 after Holm): run `cardinality doctor`")
        case _:
            return f"no sign of a difference: {shown}"


def rows_of(plan: Plan, records: Iterable[Record]) -> list[dict[str, str]]:
    """The finished runs of a table with seeds that the protocol does not state, a row each."""
    rows = []
    for entry in (entry for entry in plan.entries if entry.runs):
        wanted = recipe(entry.runs[0].configuration)
        for record in records:
            stated = int(record.configuration["seed"]) < plan.protocol.count(entry.role)
            if record.final is None or stated or recipe(record.configuration) != wanted:
                continue
            rows.append(
                {
                    "setting": str(entry.row.setting),
                    "depth": str(entry.architecture.depth),
                    "shortcuts": "yes" if entry.row.residual else "no",
                    "seed": str(record.configuration["seed"]),
                    "error": f"{record.final.top1_error:.6g}",
                    "train_error": f"{record.final.train_error:.6g}",
                    "recipe": wanted,
                    "precision": record.numerics.precision,
                    "device": record.sittings[-1].device,
                    "data": record.data_checksum,
                    "code": (record.sittings[-1].commit or "unknown")[:10],
                    "run": record.name,
                }
            )
    return rows


def together(
    plan: Plan, rows: list[dict[str, str]], others: list[dict[str, str]]
) -> list[dict[str, str]]:
    """A table's rows with those that the samples of other tables have of the same nets, in order.

    Raises:
        UserError: a run that is in both came out differently.
    """
    wanted = {recipe(entry.runs[0].configuration) for entry in plan.entries if entry.runs}
    by_run = {row["run"]: row for row in rows}
    for row in (row for row in others if row["recipe"] in wanted):
        own = by_run.setdefault(row["run"], row)
        for figure in ("error", "train_error"):
            if own[figure] != row[figure]:
                raise UserError(
                    f"{row['run']}: {figure}: {own[figure]} here and {row[figure]} in {PLACE};"
                    " allowed: the same"
                )
    order = {str(entry.row.setting): number for number, entry in enumerate(plan.entries)}
    return sorted(
        by_run.values(), key=lambda r: (int(r["depth"]), int(r["seed"]), order[r["setting"]])
    )


def write(protocol: str, table: str, results: Path, folder: Path) -> Path:
    """Write the reference sample of a table from the records of some results.

    Raises:
        UserError: there is no such table or scale, no run for it, or one came out differently.
    """
    plan = make_plan(table, protocol, ANY)
    records = [r for r in Results(results / plan.protocol_name).read_all()[0] if r.status == "done"]
    path = folder / f"{plan.protocol_name}-{plan.ablation_name}.csv"
    others = [each for each in sorted(folder.glob(f"{plan.protocol_name}-*.csv")) if each != path]
    rows = together(plan, rows_of(plan, records), [row for each in others for row in _rows(each)])
    if not rows:
        raise UserError(f"{results}: no run of {table} with a seed that is not stated")
    write_csv(path, pd.DataFrame(rows, columns=list(COLUMNS)))
    return path


if __name__ == "__main__":
    scale, where, *tables = sys.argv[1:]
    find(scale, PROTOCOLS)
    for each in tables:
        print(f"wrote {write(scale, each, Path(where), workspace.workspace() / PLACE)}")
