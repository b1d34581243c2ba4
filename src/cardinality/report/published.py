"""The paper's figures for a table, from the files in paper_tables/."""

import io
import math
from dataclasses import dataclass

import pandas as pd

from cardinality.common.errors import UserError
from cardinality.common.files import read_text
from cardinality.experiment.places import published_figures
from cardinality.experiment.plan import Entry, Plan

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
