"""What of a protocol is on disk, table by table, read once: where everything on a page is from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cardinality.analysis.claims import Claims, claims_of, read_all_claims
from cardinality.analysis.ledger import Ledger, Line, analyse, ledger, paper_figures
from cardinality.experiment.plan import PROTOCOLS, Plan, find, possible_plans
from cardinality.host.machine import Machine
from cardinality.report.judged import early_errors
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
        verdicts: on every claim; ``claims`` has their rules.
    """

    protocol: str
    results: Once
    arithmetic: tuple[Plan, ...]
    tables: tuple[TableRead, ...]
    verdicts: Ledger
    claims: Claims

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
    tables = []
    for plan in plans:
        if plan.ablation.trains:
            found = as_recorded(plan, folder)
            lines = analyse(found.plan, found.done, found.diverged)
            tables.append(TableRead(found, lines, published(found.plan)))
    arithmetic = tuple(plan for plan in plans if not plan.ablation.trains)
    planned = {plan.ablation_name for plan in plans if plan.ablation.trains}
    asked = claims_of(plans[0].protocol, claims, planned)
    judged = _judge(tables, asked, folder)
    return Gathered(name, folder, arithmetic, tuple(tables), judged, asked)


def _plans(protocol: str, claims: Claims) -> list[Plan]:
    """Every ablation that this scale can have; whoever runs one of the others is told why.

    As the paper has them: those that a claim is of, in the order of the claims, then the others.
    """
    return possible_plans(protocol, NOWHERE, [claim.table for claim in claims.claims])[0]


def _judge(tables: list[TableRead], claims: Claims, folder: Results) -> Ledger:
    done = {name: record for table in tables for name, record in table.found.done.items()}
    earlier = early_errors(claims, done, folder)
    diverged = frozenset[str]().union(*(table.found.diverged for table in tables))
    paper = {
        table.plan.ablation_name: paper_figures(
            {str(key): value for key, value in line.items()}
            for line in table.paper.lines.to_dict("records")
        )
        for table in tables
        if table.paper is not None
    }
    return ledger(claims, [table.plan for table in tables], done, diverged, paper, (), earlier)
