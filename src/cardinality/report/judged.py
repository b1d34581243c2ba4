"""All claims at one scale: from the records of a protocol to verdicts, for pages and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cardinality.analysis.claims import Claim, Claims, claims_of
from cardinality.analysis.ledger import Ledger, early, ledger, outcomes_of, paper_figures
from cardinality.analysis.planning import Runs
from cardinality.analysis.verdicts import Decision, Published, Verdict
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.experiment.grid import possible_plans
from cardinality.experiment.places import PROTOCOLS
from cardinality.experiment.plan import Entry, Plan
from cardinality.report.bits import Pictures, pictures
from cardinality.report.published import published
from cardinality.report.recorded import ANY, Recorded, as_recorded
from cardinality.results.folder import Results, protocols_below
from cardinality.results.records import Record

DECISIONS: tuple[Decision, ...] = ("supported", "contradicted", "undecided", "not run")


@dataclass(frozen=True)
class Judged:
    """What the records of one protocol say of the claims.

    Attributes:
        claims: with their rules.
        plans: of the tables that train, with the numerics of the records and with every seed that
            these have, also beyond the stated ones.
        found: what is on disk of all of them together: one numerics, one set of images.
        ledger: the verdicts.
        results: where the records lie.
    """

    claims: Claims
    plans: tuple[Plan, ...]
    found: Recorded
    ledger: Ledger
    results: Results

    @property
    def name(self) -> str:
        """The protocol's."""
        return self.ledger.protocol

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """In the order of the claims."""
        return self.ledger.verdicts

    def claim(self, name: str) -> Claim:
        """The claim of a name."""
        return next(claim for claim in self.claims.claims if claim.name == name)

    @property
    def final(self) -> bool:
        """Whether no verdict may change any more."""
        return all(verdict.final for verdict in self.verdicts)

    @cached_property
    def pictures(self) -> Pictures:
        """What the records say image by image."""
        return pictures(self.plans, self.found.done, self.results)


def plans_of(protocol: str) -> list[Plan]:
    """The plans of every table that trains at a scale.

    One that the scale cannot have, as where it states no such depth, is left out, and it is said;
    one that lists other scales is just left out.

    Raises:
        UserError: there is no such protocol, or no table trains at it.
    """
    plans, left_out = _trained(protocol)
    for name, why in left_out.items():
        note(f"{name} is left out: {why}")
    if not plans:
        raise UserError(f"protocol {protocol}: no table trains at it; allowed: one or more")
    return plans


def _trained(protocol: str) -> tuple[list[Plan], Mapping[str, str]]:
    """The plans of the tables that train at a scale, and why it cannot have others."""
    plans, left_out = possible_plans(protocol, ANY)
    return [plan for plan in plans if plan.ablation.trains], left_out


def judge_protocol(
    protocol: str, results: Results, others: Sequence[Runs] = (), claims: Claims | None = None
) -> Judged:
    """Judge every claim by the records of a protocol.

    Args:
        protocol: a name, or a path.
        results: its records.
        others: the runs of protocols (`borrowed`), whose deviations are planned with where its own
            are too few; its own may be among them.
        claims: with their rules, by default the suite's.

    Raises:
        UserError: there is no such protocol.
    """
    others = [runs for runs in others if runs.whose != results.folder.name]
    return judge_plans(plans_of(protocol), results, claims, others)


def folders_of(root: Path) -> list[Results]:
    """The results of every protocol that has records and whose file is known."""
    known = {*workspace.names(PROTOCOLS, ".yaml")}
    return [Results(path) for name, path in protocols_below(root).items() if name in known]


def borrowed(others: Sequence[Results]) -> list[Runs]:
    """The runs of other protocols, as far as these can lend some."""
    found = map(lent, others)
    return [runs for runs in found if runs is not None]


def lent(results: Results) -> Runs | None:
    """The runs of one protocol, for others; nothing where its files are not here or wrong."""
    try:
        plans, _ = _trained(results.folder.name)
        return runs_of(plans, results) if plans else None
    except UserError:
        return None


def runs_of(plans: Sequence[Plan], results: Results) -> Runs:
    """How the runs of some plans of one protocol came out, to take deviations from."""
    asked = claims_of(plans[0], planned={plan.ablation_name for plan in plans})
    plans, found = _recorded(plans, results)
    earlier = early_errors(asked, found.done, results)
    outcomes = {
        plan.ablation_name: outcomes_of(plan, found.done, found.diverged, earlier) for plan in plans
    }
    return Runs(plans[0].protocol_name, outcomes)


def judge_plans(
    plans: Sequence[Plan],
    results: Results,
    claims: Claims | None = None,
    others: Sequence[Runs] = (),
) -> Judged:
    """As `judge_protocol`, by the records of some of its tables."""
    asked = claims_of(plans[0], claims, {plan.ablation_name for plan in plans})
    plans, found = _recorded(plans, results)
    paper = {plan.ablation_name: paper_of(plan) for plan in plans if plan.ablation.trains}
    earlier = early_errors(asked, found.done, results)
    judged = ledger(asked, plans, found.done, found.diverged, paper, others, earlier)
    return Judged(asked, tuple(plans), found, judged, results)


def early_errors(claims: Claims, done: Mapping[str, Record], results: Results) -> dict[str, float]:
    """The early error of every finished run by its name, where a claim asks for it."""
    if not any(claim.figure == "early_error" for claim in claims.claims):
        return {}
    return {
        name: early([row["top1_error"] for row in results.epochs(record)])
        for name, record in done.items()
    }


def paper_of(plan: Plan) -> Published:
    """The paper's figures of a table, by cell."""
    figures = published(plan)
    lines = [] if figures is None else figures.lines.to_dict("records")
    return paper_figures({str(key): value for key, value in line.items()} for line in lines)


def _recorded(plans: Sequence[Plan], results: Results) -> tuple[list[Plan], Recorded]:
    """The plans as recorded: of all together one numerics and one set of images is taken.

    A run that two tables have is then the same one in both.
    """
    seeds = {int(record.configuration["seed"]) for record in results.read_all()[0]}
    wider = [_with_seeds(plan, seeds) for plan in plans]
    joined = replace(wider[0], entries=tuple(entry for plan in wider for entry in plan.entries))
    found = as_recorded(joined, results)
    if not found.plan.runs():  # nothing is trained at this scale
        return wider, found
    numerics = found.plan.runs()[0].numerics
    return [plan.with_numerics(numerics) for plan in wider], found


def _with_seeds(plan: Plan, seeds: set[int]) -> Plan:
    """The same with every seed that records have, also beyond those that the protocol states."""

    def wider(entry: Entry) -> Entry:
        if not entry.runs:  # it is counted and not trained
            return entry
        first = entry.runs[0]
        own = {run.seed for run in entry.runs}
        more = (replace(first, seed=seed) for seed in sorted(seeds - own))
        return replace(entry, runs=(*entry.runs, *more))

    return replace(plan, entries=tuple(wider(entry) for entry in plan.entries))


def by_decision(verdicts: Sequence[Verdict]) -> Mapping[Decision, int]:
    """How many verdicts there are of each kind."""
    return {each: sum(v.decision == each for v in verdicts) for each in DECISIONS}
