from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from cardinality.analysis.claims import read_claims
from cardinality.analysis.ledger import analyse, ledger, outcomes_of, paper_figures
from cardinality.analysis.outcomes import Cell
from cardinality.analysis.planning import Runs
from cardinality.analysis.verdicts import Verdict
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from tests.analysis.made import A, made

CLAIMS = read_claims()
MACHINE = Machine("cpu", "a CPU", 2, False)


@dataclass(frozen=True)
class Figures:
    """As a record's."""

    top1_error: float
    train_error: float
    top5_error: float | None = None


@dataclass(frozen=True)
class Made:
    """As much of a record as is asked for."""

    final: Figures | None
    configuration: Mapping[str, Any] = field(default_factory=lambda: {"revision": 4})


def records(plan: Plan, revision: int = 4) -> dict[str, Made]:
    """An error for each run that falls with C; with some noise, and 10 more without shortcuts."""
    found = {}
    for run in plan.runs():
        net = run.architecture
        error = 30 - net.setting.cardinality**0.5 - net.depth / 10 + 10 * (not net.residual)
        noise = (run.complexity.params * (run.seed + 3)) % 97 / 500
        figures = Figures(error + noise, error + 3 + noise)
        found[run.name] = Made(figures, {"revision": revision})
    return found


def table(name: str, seeds: int | None = None) -> Plan:
    return make_plan(name, "cifar10-small", MACHINE, seeds=seeds)


def by_name(verdicts: tuple[Verdict, ...]) -> dict[str, Verdict]:
    return {verdict.claim: verdict for verdict in verdicts}


def test_a_plans_outcomes() -> None:
    plan = table("table3", seeds=2)
    done = records(plan)
    first, second = plan.entries[0].runs
    del done[first.name]
    found = outcomes_of(plan, done, diverged=[first.name])
    assert found.diverged == {A: {0}}
    assert found.errors["top1_error"][A].keys() == {second.seed}
    assert found.errors["top5_error"] == {}
    assert found.stated is not None
    assert found.stated[A] == {0, 1, 2, 3, 4}  # the protocol's, though the plan has two


def test_every_line_has_its_comparisons() -> None:
    plan = table("residual", seeds=3)
    lines = {line.cell: line for line in analyse(plan, records(plan))}
    reference = lines[Cell("1x64d", "residual")]
    assert (reference.to_reference, reference.to_shortcuts) == (None, None)
    bare = lines[Cell("32x4d", "residual", False)]
    assert bare.to_reference is not None
    assert bare.to_shortcuts is not None
    against = bare.to_reference["top1_error"]
    assert (against.second, against.pairs) == (Cell("1x64d", "residual", False), 3)
    assert bare.to_shortcuts["top1_error"].second == Cell("32x4d", "residual")
    assert bare.to_shortcuts["top1_error"].mean == pytest.approx(10, abs=0.5)
    deeper = {line.cell: line for line in analyse(table("table4"), {})}
    double = deeper[Cell("1x64d", "double")].to_reference
    assert double is not None
    assert double["top1_error"].second == Cell("1x64d", "deep")


def test_a_ledger_of_all_tables() -> None:
    plans = [table(name) for name in ("table3", "table4", "residual")]
    done = {name: record for plan in plans for name, record in records(plan).items()}
    found = ledger(CLAIMS, plans, done)
    verdicts = by_name(found.verdicts)
    assert found.protocol == "cifar10-small"
    assert verdicts["table3-trend-base"].decision == "supported"
    assert verdicts["table3-trend-base"].final
    assert verdicts["residual-both-lose"].decision == "supported"
    assert verdicts["figure7-paths-before-width"].decision == "not run"
    assert not any(verdict.after_the_fact for verdict in found.verdicts)
    assert {each.claim for each in found.needed} == {
        name for name, verdict in verdicts.items() if verdict.decision == "undecided"
    }
    # All of it is plain values.
    plain = asdict(verdicts["table4-order"])
    assert plain["links"][0]["evidence"]["effect"]["over"]["n"] == 5


def test_fewer_seeds_than_stated_are_interim_and_more_are_extended() -> None:
    few = table("table3", seeds=3)
    interim = by_name(ledger(CLAIMS, [few], records(few)).verdicts)["table3-trend-base"]
    assert (interim.state, interim.evidence.pairs, interim.unfinished) == ("interim", 3, 10)
    many = table("table3", seeds=7)
    extended = by_name(ledger(CLAIMS, [many], records(many)).verdicts)["table3-trend-base"]
    usual = table("table3")
    stated = by_name(ledger(CLAIMS, [usual], records(usual)).verdicts)["table3-trend-base"]
    assert (extended.state, extended.p, extended.evidence.pairs) == ("final", stated.p, 5)
    assert extended.evidence.effect.extended is not None
    assert extended.evidence.effect.extended.n == 7


def test_runs_from_before_the_rules_are_judged_after_the_fact() -> None:
    plan = table("table3", seeds=1)
    assert all(v.after_the_fact for v in ledger(CLAIMS, [plan], records(plan, 3)).verdicts)


def test_an_undecided_claim_says_how_many_seeds_the_papers_own_effect_needs() -> None:
    plan = table("table3", seeds=2)
    frame = [
        {"setting": setting, "role": "base", "residual": True, "top1_error": error}
        for setting, error in (("1x64d", 23.9), ("32x4d", 22.2))
    ]
    paper = {"table3": paper_figures(frame)}
    assert paper["table3"][A] == 23.9
    needed = {each.claim: each for each in ledger(CLAIMS, [plan], records(plan), (), paper).needed}
    pair = needed["table3-32x4d-base"]
    assert pair.effect == pytest.approx(1.7)
    assert pair.spread is not None
    assert pair.spread.whose == "cifar10-small"
    lone = table("table3", seeds=1)
    others = Runs("a larger sample", {"table3": made({A: [1, 2], Cell("32x4d", "base"): [1.0, 3]})})
    borrowed = ledger(CLAIMS, [lone], records(lone), (), paper, [others]).needed
    whose = {each.claim: each.spread for each in borrowed}["table3-32x4d-base"]
    assert whose is not None
    assert whose.whose == "a larger sample"


def test_one_ledger_is_of_one_protocol() -> None:
    other = make_plan("table3", "quick", MACHINE)
    with pytest.raises(ValueError, match="cifar10-small, quick"):
        ledger(CLAIMS, [table("table3"), other], {})
