"""paper_tables/claims.yaml: the paper's sentences, and by what rule each is judged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cardinality.analysis.outcomes import Cell
from cardinality.architecture.settings import Role
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.experiment.configuration import Protocol, SettingText
from cardinality.experiment.reading import load

Family = Literal["primary", "secondary"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class StatedCell(Strict):
    """One cell of a table, as in ablations/."""

    setting: SettingText
    role: Role
    residual: bool = True

    @property
    def cell(self) -> Cell:
        """The same in plain values."""
        return Cell(str(self.setting), self.role, self.residual)


Pair = Annotated[tuple[StatedCell, ...], Field(min_length=2, max_length=2)]


class TrendTest(Strict):
    """The error falls from cell to cell (Page's test; slope a doubling of C)."""

    name: Literal["trend"]
    alternative: Literal["falls"]
    cells: tuple[StatedCell, ...] = Field(min_length=3)

    @model_validator(mode="after")
    def _check(self) -> "TrendTest":
        paths = [stated.setting.cardinality for stated in self.cells]
        if paths != sorted(set(paths)):
            raise ValueError(f"cells: cardinalities {paths}; allowed: rising ones")
        return self


class Link(Strict):
    """The first cell's error is less than the second's."""

    first: StatedCell
    second: StatedCell

    @model_validator(mode="after")
    def _check(self) -> "Link":
        if self.first == self.second:
            raise ValueError("second: the same cell as first; allowed: another one")
        return self


class DifferenceTest(Link):
    """The first cell's error is less than the second's (paired t)."""

    name: Literal["difference"]
    alternative: Literal["less"]


class InteractionTest(Strict):
    """(first[0] - first[1]) is greater, or less, than (second[0] - second[1]) (paired t)."""

    name: Literal["interaction"]
    alternative: Literal["less", "greater"]
    first: Pair
    second: Pair

    @model_validator(mode="after")
    def _check(self) -> "InteractionTest":
        if len({stated.cell for stated in (*self.first, *self.second)}) < 4:
            raise ValueError("second: shares a cell with first; allowed: four different cells")
        return self


class ChainTest(Strict):
    """Every link holds."""

    name: Literal["chain"]
    links: tuple[Link, ...] = Field(min_length=2)


Test = TrendTest | DifferenceTest | InteractionTest | ChainTest


class Claim(Strict):
    """One sentence of the paper.

    Attributes:
        name: how commands and results call it.
        table: the ablation whose runs judge it.
        family: whether it is corrected with the other tables' primary claims, or with the others
            of its table.
        claim: in our words.
        source: where in the paper it stands.
        figure: which error is judged.
        test: the rule, its direction and its cells.
    """

    name: Name
    table: Name
    family: Family
    claim: str
    source: str
    figure: Literal["top1_error", "train_error"]
    test: Test = Field(discriminator="name")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell that it needs, once."""
        return tuple(dict.fromkeys(stated.cell for stated in self._stated()))

    def _stated(self) -> Iterator[StatedCell]:
        match self.test:
            case TrendTest():
                yield from self.test.cells
            case DifferenceTest():
                yield from (self.test.first, self.test.second)
            case InteractionTest():
                yield from (*self.test.first, *self.test.second)
            case ChainTest():
                for link in self.test.links:
                    yield from (link.first, link.second)


class Rules(Strict):
    """The rules in words; the code of `analysis.verdicts` is held to them by its tests."""

    seeds: str
    trend: str
    difference: str
    interaction: str
    chain: str
    diverged: str
    correction: str
    verdicts: str


class Claims(Strict):
    """Everything that is judged, and how.

    Attributes:
        from_revision: on runs of an earlier revision the rules came after the fact.
        level: of a family, one-sided, each way.
        fewest_pairs: with fewer nothing is judged.
        rules: in words.
        claims: in the order of the paper.
    """

    from_revision: int = Field(ge=1)
    level: float = Field(gt=0, lt=0.5)
    fewest_pairs: int = Field(ge=3)
    rules: Rules
    claims: tuple[Claim, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> "Claims":
        names = [claim.name for claim in self.claims]
        primary = [claim.table for claim in self.claims if claim.family == "primary"]
        for number, claim in enumerate(self.claims):
            if claim.name in names[:number]:
                raise ValueError(f"claims.{number}.name: {claim.name} stands twice; allowed: once")
            if primary.count(claim.table) != 1:
                raise ValueError(
                    f"claims.{number}.family: {claim.table} has {primary.count(claim.table)}"
                    " primary claims; allowed: one a table"
                )
        return self

    def asked(self, names: tuple[str, ...]) -> "Claims":
        """These claims alone, as a protocol names them beforehand; their families are of these.

        Raises:
            UserError: a name that no claim has.
        """
        known = {claim.name: claim for claim in self.claims}
        for name in names:
            if name not in known:
                raise UserError(f"claim {name!r}: no such claim; allowed: {', '.join(known)}")
        chosen = tuple(claim for claim in self.claims if claim.name in names)
        # Not validated again: a part may be without a primary claim.
        return self.model_copy(update={"claims": chosen})


def claims_of(protocol: Protocol, claims: Claims | None = None) -> Claims:
    """The claims that a protocol asks: those that it names beforehand, else all.

    Args:
        protocol: the scale.
        claims: with their rules, by default the suite's.

    Raises:
        UserError: it names one that there is not.
    """
    claims = claims or read_claims()
    return claims if protocol.claims is None else claims.asked(protocol.claims)


def read_claims(path: Path | None = None) -> Claims:
    """Read the claims and their rules, by default paper_tables/claims.yaml.

    Raises:
        UserError: in one line, with the file, the key, what is wrong and what is allowed.
    """
    found = path or workspace.find("paper_tables", "claims", ".yaml")
    if found is None:
        raise UserError("paper_tables/claims.yaml: is neither in the workspace nor in the suite")
    return load(found, Claims)
