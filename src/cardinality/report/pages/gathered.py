"""What of a protocol is on disk, table by table, read once: where everything on a page is from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cardinality.analysis.claims import Claims, read_all_claims
from cardinality.analysis.ledger import Line, analyse
from cardinality.experiment.grid import possible_plans
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.report.judged import Judged, judge_plans, trained_of
from cardinality.report.recorded import Recorded, as_recorded
from cardinality.report.tables import Published, published
from cardinality.results.folder import Results
from cardinality.results.images import Correct
from cardinality.results.records import Record

# Where no record says with what numerics runs are computed, nothing on a page may depend on them.
NOWHERE = Machine("cpu", "no machine", 1, False)


class Once(Results):
    """Results of which every file is read once, however many tables and figures ask for it."""

    @cached_property
    def _all(self) -> tuple[list[Record], dict[str, str]]:
        return super().read_all()

    def read_all(self) -> tuple[list[Record], dict[str, str]]:
        """As `Results.read_all`, at the time of the first call."""
        return self._all

    @cached_property
    def _epochs(self) -> dict[str, list[dict[str, float]]]:
        return {}

    def epochs(self, record: Record) -> list[dict[str, float]]:
        """As `Results.epochs`; read when the record was held to them."""
        if record.name not in self._epochs:
            self._epochs[record.name] = super().epochs(record)
        return self._epochs[record.name]

    @cached_property
    def _correct(self) -> dict[str, Correct | None]:
        return {}

    def correct(self, record: Record) -> Correct | None:
        """As `Results.correct`; read when the record was held to it."""
        if record.name not in self._correct:
            self._correct[record.name] = super().correct(record)
        return self._correct[record.name]


@dataclass(frozen=True)
class TableRead:
    """A table with its records, its comparisons and the paper's figures."""

    found: Recorded
    lines: tuple[Line, ...]
    paper: Published | None

    @property
    def plan(self) -> Plan:
        """With the numerics of the records."""
        return self.found.plan


@dataclass(frozen=True)
class Gathered:
    """Everything of one protocol.

    Attributes:
        results: where its records are.
        arithmetic: plans of the tables that train nothing.
        tables: those that train, that the protocol has the depths for.
        judged: what the records say of the claims, as the command `claims` has it.
    """

    protocol: str
    results: Once
    arithmetic: tuple[Plan, ...]
    tables: tuple[TableRead, ...]
    judged: Judged

    @property
    def records(self) -> Mapping[str, Record]:
        """Every sound record by name, a finished run's before a failed one's."""
        found: dict[str, Record] = {}
        for record in self.results.read_all()[0]:
            found.setdefault(record.name, record)
        return found

    @property
    def plan(self) -> Plan:
        """One of its plans, for what all of them share."""
        return (*(table.plan for table in self.tables), *self.arithmetic)[0]


def gather(protocol: str, results: Path, claims: Claims | None = None) -> Gathered:
    """Read everything of a protocol.

    Args:
        protocol: a name or a path.
        results: the folder of all results.
        claims: with their rules, where they have been read already.

    Raises:
        UserError: there is no such protocol, or a file of it is wrong.
    """
    name = find(protocol, PROTOCOLS).stem
    claims = claims or read_all_claims()
    plans = _plans(protocol, claims)
    folder = Once(results / name)
    trained = trained_of(protocol, plans)
    tables = tuple(_read(plan, folder) for plan in trained)
    arithmetic = tuple(plan for plan in plans if not plan.ablation.trains)
    return Gathered(name, folder, arithmetic, tables, judge_plans(trained, folder, claims))


def _read(plan: Plan, folder: Results) -> TableRead:
    found = as_recorded(plan, folder)
    lines = analyse(found.plan, found.done, found.diverged)
    return TableRead(found, lines, published(found.plan))


def _plans(protocol: str, claims: Claims) -> list[Plan]:
    """Every ablation that this scale can have; whoever runs one of the others is told why.

    As the paper has them: those that a claim is of, in the order of the claims, then the others.
    """
    return possible_plans(protocol, NOWHERE, [claim.table for claim in claims.claims])[0]
