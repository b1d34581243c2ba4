"""Which records a table shows: those of one numerics and of one set of images, never mixed."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass

from cardinality.data.images import Identity
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from cardinality.results.records import Record

# Records say with what numerics they were made; so any machine plans the same nets.
ANY = Machine("cpu", "any", 1, bfloat16=True, kernel=True)
# What the runs of a table have in common.
Kind = tuple[Numerics, Identity | None]


@dataclass(frozen=True)
class Counts:
    """How many runs a table asks for, and what became of them.

    One that diverged has ended, and is no failure.
    """

    asked: int
    done: int
    diverged: int
    failed: int
    unsound: int
    missing: int

    @property
    def there(self) -> int:
        """How many have ended as they should."""
        return self.done + self.diverged

    @property
    def whole(self) -> bool:
        """Whether none is to be computed."""
        return self.there == self.asked

    @property
    def lacking(self) -> str:
        """What became of the others, in words."""
        counts = {"missing": self.missing, "unsound": self.unsound, "failed": self.failed}
        return " and ".join(f"{count} {what}" for what, count in counts.items() if count)


@dataclass(frozen=True)
class Recorded:
    """What is on disk of a plan.

    Attributes:
        plan: with the numerics of the records that are shown.
        done: those records, by the run's name.
        failed: why other runs failed or diverged, by name.
        diverged: the names of those that diverged.
        others: how many of its runs are there with other numerics or of other images.
        unsound: what is wrong with records that do not hold together, by name.
    """

    plan: Plan
    done: dict[str, Record]
    failed: dict[str, str]
    diverged: frozenset[str]
    others: int
    unsound: dict[str, str]

    @property
    def counts(self) -> Counts:
        """How many of the plan's runs are there, and what became of the others."""
        asked = [run.name for run in self.plan.runs()]
        absent = [name for name in asked if name not in self.done and name not in self.failed]
        done = sum(name in self.done for name in asked)
        unsound = sum(name in self.unsound for name in absent)
        diverged = sum(name in self.diverged for name in asked)
        return Counts(
            asked=len(asked),
            done=done,
            diverged=diverged,
            failed=len(asked) - done - diverged - len(absent),
            unsound=unsound,
            missing=len(absent) - unsound,
        )


def as_recorded(plan: Plan, results: Results) -> Recorded:
    """What is shown of a plan: the numerics and the images of which most of its runs are on disk.

    It follows from the records alone, so that they render alike on every machine. Where no run is
    finished, those that diverged or failed say the numerics; where there is none, the plan does.
    """
    records, unsound = results.read_all()
    finished = {record.name: record for record in records if record.status == "done"}
    names = {
        numerics: {run.name for run in plan.with_numerics(numerics).runs()}
        for numerics in sorted({record.numerics for record in records}, key=astuple)
    }
    kinds: Counter[Kind] = Counter(
        (numerics, finished[name].identity)
        for numerics, asked in names.items()
        for name in sorted(asked & finished.keys())
    )
    numerics, identity = _most(kinds) or (_of_others(records, names) or plan_numerics(plan), None)
    if numerics is not None:
        plan = plan.with_numerics(numerics)
    asked = {run.name for run in plan.runs()}
    done = {
        name: record
        for name, record in finished.items()
        if name in asked and record.identity == identity
    }
    failed = {
        record.name: record.failure or ""
        for record in records
        if record.name in asked and record.status != "done" and record.name not in finished
    }
    everywhere = asked.union(*names.values())
    return Recorded(
        plan,
        done,
        failed,
        frozenset(r.name for r in records if r.status == "diverged" and r.name in failed),
        kinds.total() - len(done),
        {name: problem for name, problem in unsound.items() if name in everywhere},
    )


def plan_numerics(plan: Plan) -> Numerics | None:
    """The numerics of a plan's runs, if it has any."""
    runs = plan.runs()
    return runs[0].numerics if runs else None


def _of_others(
    records: Iterable[Record], names: Mapping[Numerics, Collection[str]]
) -> Numerics | None:
    """The numerics of most runs that diverged, or else of most that failed."""
    for status in ("diverged", "failed"):
        of_these = [record for record in records if record.status == status]
        counts = {
            numerics: sum(r.numerics == numerics and r.name in asked for r in of_these)
            for numerics, asked in names.items()
        }
        if any(counts.values()):
            return max(counts, key=counts.__getitem__)
    return None


def _most(kinds: Counter[Kind]) -> Kind | None:
    """The most frequent kind; of several the first that was counted."""
    return kinds.most_common(1)[0][0] if kinds else None
