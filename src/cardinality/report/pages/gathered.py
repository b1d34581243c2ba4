"""What of a protocol is on disk, table by table, read once: where everything on a page is from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cardinality.analysis.claims import Claims, read_all_claims
from cardinality.analysis.planning import Runs
from cardinality.experiment.grid import possible_plans
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.report.judged import Judged, borrowed, folders_of, judge_plans
from cardinality.report.lines import TableLine, lines_of
from cardinality.report.published import Published, published
from cardinality.report.recorded import ANY, Recorded, as_recorded, plan_numerics
from cardinality.results.folder import Results
from cardinality.results.images import Correct
from cardinality.results.records import Record


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
    """A table with its records, its lines and the paper's figures."""

    found: Recorded
    lines: tuple[TableLine, ...]
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
        judged: what the records say of the claims, as the command `claims` has it; of a scale at
            which nothing trains, that none is asked.
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


def gather(
    protocol: str,
    results: Path,
    claims: Claims | None = None,
    others: Sequence[Runs] | None = None,
) -> Gathered:
    """Read everything of a protocol.

    Args:
        protocol: a name or a path.
        results: the folder of all results.
        claims: with their rules, where they have been read already.
        others: the runs of all protocols, where they have been read already; seeds are planned
            with the deviations of others where its own are too few.

    Raises:
        UserError: there is no such protocol, or a file of it is wrong.
    """
    name = find(protocol, PROTOCOLS).stem
    claims = claims or read_all_claims()
    plans = _plans(protocol, claims)
    folder = Once(results / name)
    trained = [plan for plan in plans if plan.ablation.trains]
    arithmetic = tuple(plan for plan in plans if not plan.ablation.trains)
    if others is None:
        others = borrowed(folders_of(results))
    others = [runs for runs in others if runs.whose != name]
    judged = judge_plans(trained or plans, folder, claims, others)
    usual = plan_numerics(judged.found.plan)
    tables = tuple(_read(plan, folder, usual) for plan in trained)
    return Gathered(name, folder, arithmetic, tables, judged)


def _read(plan: Plan, folder: Results, usual: Numerics | None) -> TableRead:
    """A table; where nothing is recorded of it, its runs are those of the other tables' numerics.

    So a run of several tables is one run, also where one of them has not begun.
    """
    found = as_recorded(plan if usual is None else plan.with_numerics(usual), folder)
    paper = published(found.plan)
    return TableRead(found, lines_of(found, paper), paper)


def _plans(protocol: str, claims: Claims) -> list[Plan]:
    """Every ablation that this scale can have; whoever runs one of the others is told why.

    As the paper has them: those that a claim is of, in the order of the claims, then the others.
    """
    return possible_plans(protocol, ANY, [claim.table for claim in claims.claims])[0]
