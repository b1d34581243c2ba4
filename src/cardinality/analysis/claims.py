"""paper_tables/claims*.yaml: the papers' sentences, and by what rule each is judged.

claims.yaml has those of the ResNeXt paper. Each further file is a set of its own: what is judged
there is corrected among itself, so that no verdict on the others depends on it.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from cardinality.analysis.outcomes import Cell
from cardinality.architecture.settings import Role
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.experiment.configuration import (
    RESNET,
    LayerCount,
    NetOptions,
    SettingText,
    role_of,
)
from cardinality.experiment.grid import protocols_of
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.experiment.plan import Plan
from cardinality.experiment.reading import load

Family = Literal["primary", "secondary"]
# Where they lie; the files beside the main one are called claims-NAME.yaml.
PLACE, MAIN = "paper_tables", "claims"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class StatedCell(NetOptions):
    """One cell of a table, as in ablations/."""

    setting: SettingText = RESNET
    role: Role | None = None
    layers: LayerCount | None = None
    residual: bool = True

    @model_validator(mode="after")
    def _check(self) -> "StatedCell":
        if (self.role is None) == (self.layers is None):
            raise ValueError("role or layers: exactly one of the two must stand here")
        return self

    @property
    def cell(self) -> Cell:
        """The same in plain values."""
        role = role_of(self.layers) if self.layers is not None else str(self.role)
        return Cell(str(self.setting), role, self.residual, self.variant)


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


class Share(Link):
    """A part of what the first cell's error is above the second's."""

    of: float = Field(gt=0, lt=1)


class WithinTest(Strict):
    """No two cells lie further apart than a margin that was stated first.

    Attributes:
        margin: in points; or
        share: a part of another difference, by seed.
    """

    name: Literal["within"]
    cells: tuple[StatedCell, ...] = Field(min_length=2)
    margin: float | None = Field(default=None, gt=0)
    share: Share | None = None

    @model_validator(mode="after")
    def _check(self) -> "WithinTest":
        if (self.margin is None) == (self.share is None):
            raise ValueError("margin or share: exactly one of the two must stand here")
        if len({stated.cell for stated in self.cells}) < len(self.cells):
            raise ValueError("cells: one stands twice; allowed: each once")
        return self


Test = TrendTest | DifferenceTest | InteractionTest | ChainTest | WithinTest


class Claim(Strict):
    """One sentence of the paper.

    Attributes:
        name: how commands and results call it.
        table: the ablation whose runs judge it.
        family: whether it is corrected with the other tables' primary claims, or with the others
            of its table.
        claim: in our words.
        source: where in the paper it stands.
        figure: which error is judged; ``early_error`` is the mean test error over the first
            quarter of the epochs.
        test: the rule, its direction and its cells.
        of: the file that it stands in, by its name; families do not go beyond it.
    """

    name: Name
    table: Name
    family: Family
    claim: str
    source: str
    figure: Literal["top1_error", "train_error", "early_error"]
    test: Test = Field(discriminator="name")
    of: Literal[""] | Name = Field(default="", exclude=True)

    @property
    def correction(self) -> tuple[str, ...]:
        """What the claims that it is corrected together with have in common."""
        # Primary claims are one family of their file; secondary ones are one a table.
        return (self.of, self.family, *([self.table] if self.family == "secondary" else []))

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
            case WithinTest():
                yield from self.test.cells
                if self.test.share is not None:
                    yield from (self.test.share.first, self.test.share.second)


class Rules(Strict):
    """The rules in words; the code of `analysis.verdicts` is held to them by its tests."""

    # What the claims of the further files need besides.
    FURTHER: ClassVar = ("within", "early", "sets")

    seeds: str
    trend: str
    difference: str
    interaction: str
    chain: str
    diverged: str
    correction: str
    verdicts: str
    within: str | None = None
    early: str | None = None
    sets: str | None = None


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
        return self._with(chosen)

    def at_scale(self, planned: Collection[str]) -> "Claims":
        """Those that are asked at a scale.

        They are all of a file of which any table can be planned there, but for tables that list
        their scales and not this one.

        Args:
            planned: names of the tables that can be planned.
        """
        files = {claim.of for claim in self.claims if claim.table in planned}
        chosen = tuple(
            claim
            for claim in self.claims
            if claim.table in planned or (claim.of in files and protocols_of(claim.table) is None)
        )
        return self._with(chosen)

    def _with(self, chosen: tuple[Claim, ...]) -> "Claims":
        """Some of them, with the rules that these need; a part may be without a primary claim."""
        rules = self.rules
        if not any(claim.of for claim in chosen):
            rules = rules.model_copy(update=dict.fromkeys(Rules.FURTHER))
        return self.model_copy(update={"claims": chosen, "rules": rules})


def claims_of(
    plan: Plan, claims: Claims | None = None, planned: Collection[str] | None = None
) -> Claims:
    """The claims that a plan's protocol asks: those that it names beforehand, else all it can.

    Args:
        plan: of any table at the scale.
        claims: with their rules, by default the suite's.
        planned: names of the tables that can be planned at it, where that is known.

    Raises:
        UserError: it names one that there is not.
    """
    claims, named = claims or read_all_claims(), plan.protocol.claims
    if named is None:
        return claims if planned is None else claims.at_scale(planned)
    try:
        return claims.asked(named)
    except UserError as error:
        raise UserError(f"{find(plan.typed[1], PROTOCOLS)}: claims: {error}") from None


def read_claims(path: Path | None = None) -> Claims:
    """Read claims and their rules from one file, by default paper_tables/claims.yaml.

    Raises:
        UserError: in one line, with the file, the key, what is wrong and what is allowed.
    """
    found = path or workspace.find(PLACE, MAIN, ".yaml")
    if found is None:
        raise UserError("paper_tables/claims.yaml: is neither in the workspace nor in the suite")
    return load(found, Claims, bases=PLACE)


def read_all_claims() -> Claims:
    """Those of every file paper_tables/claims*.yaml, claims.yaml first.

    Raises:
        UserError: as for `read_claims`, or two files that have a name twice or other levels.
    """
    main = read_claims()
    names = [n for n in workspace.names(PLACE, ".yaml") if n.startswith(f"{MAIN}-")]
    claims, rules = list(main.claims), main.rules
    for name in names:
        path = workspace.find(PLACE, name, ".yaml")
        more = read_claims(path)
        known = {claim.name for claim in claims}
        twice = [claim.name for claim in more.claims if claim.name in known]
        if twice or (more.level, more.fewest_pairs) != (main.level, main.fewest_pairs):
            what = f"{twice[0]} stands in another file, too" if twice else "level or fewest_pairs"
            raise UserError(f"{path}: claims: {what}; allowed: names of its own, and claims.yaml's")
        claims += [claim.model_copy(update={"of": name}) for claim in more.claims]
        said = more.rules.model_dump(exclude_none=True)
        rules = rules.model_copy(update=said | rules.model_dump(exclude_none=True))
    return main.model_copy(update={"claims": tuple(claims), "rules": rules})
