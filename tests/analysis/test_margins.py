import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.margins import (
    against_reference,
    compare_results,
    same_within,
    welch,
)
from cardinality.analysis.outcomes import Outcomes
from tests.analysis.made import A, B, C, at_most, generator, made


def test_two_one_sided_tests_reject_just_where_the_interval_lies_inside() -> None:
    random = generator(1)
    inside = 0
    for _ in range(300):
        values = random.normal(0.1, 0.4, 5)
        low, high = stats.t.interval(0.9, 4, values.mean(), stats.sem(values))
        lies_inside = max(-low, high) < 0.5
        inside += lies_inside
        assert (same_within(values, 0.5) <= 0.05) == lies_inside
    assert 0 < inside < 300


def test_sameness_is_said_wrongly_no_more_often_than_its_level() -> None:
    trials = 1500
    values = generator(2).normal(0.5, 0.3, (trials, 5))  # just outside
    wrong = np.mean([same_within(row, 0.5) <= 0.05 for row in values])
    assert at_most(float(wrong), 0.05, trials)


def test_two_sets_of_results() -> None:
    first = made({A: [20.0, 21, 22], B: [18.0, 19, 20]})
    assert compare_results(first, first, "top1_error", 0.5).decision == "identical"
    near = made({A: [20.01, 21, 22], B: [18, 19.02, 20.01]})
    agrees = compare_results(first, near, "top1_error", 0.5)
    assert (agrees.decision, [cell.decision for cell in agrees.cells]) == ("agrees", ["agrees"] * 2)
    assert agrees.cells[0].over.confidence == pytest.approx(0.9)
    far = made({A: [25, 26.1, 27], B: [18, 19.02, 20.01]})
    differs = compare_results(first, far, "top1_error", 0.5)
    assert differs.decision == "differs"
    assert differs.cells[0].over.mean == pytest.approx(5, abs=0.1)  # the second minus the first
    unsure = made({A: [19.0, 21.5, 22], B: [18, 19.02, 20.01]})
    assert compare_results(first, unsure, "top1_error", 0.5).decision == "undecided"


def test_nothing_is_said_of_too_few_pairs_or_none() -> None:
    first = made({A: [20.0, 21], B: [18.0]})
    found = compare_results(first, made({A: [20.0, 21.01], C: [1.0]}), "top1_error", 0.5)
    assert (found.decision, found.only_first, found.only_second) == ("undecided", (B,), (C,))
    assert found.cells[0].p_agrees is None
    assert compare_results(first, first, "top1_error", 0.5).decision == "identical"
    assert compare_results(first, Outcomes({}), "top1_error", 0.5).decision == "undecided"
    # The same distance every time is no sign of a distribution, but of a fault.
    shifted = made({A: [20.1, 21.1, 22.1]})
    odd = compare_results(made({A: [20.0, 21, 22]}), shifted, "top1_error", 0.5)
    assert odd.decision == "undecided"
    with pytest.raises(ValueError, match="margin 0"):
        compare_results(first, first, "top1_error", 0)


def test_a_seed_that_diverged_on_one_side_alone_is_a_difference() -> None:
    first = made({A: [20.0, 21, 22], B: [18.0, 19, 20]})
    nan = float("nan")
    second = made({A: [20.0, 21, nan], B: [18.0, 19, 20]}, diverged={A: [2], C: [0]})
    for one, two in ((first, second), (second, first)):
        found = compare_results(one, two, "top1_error", 0.5)
        assert (found.decision, found.apart, found.lost) == ("differs", {A: (2,)}, {})
        assert [cell.decision for cell in found.cells] == ["differs", "identical"]
        assert (found.only_first, found.only_second) == ((), ())
    # Without a single pair of errors, too; where both diverged, they are alike.
    none = made({}, diverged={A: [0, 1, 2], C: [0]})
    found = compare_results(first, none, "top1_error", 0.5)
    assert (found.decision, found.apart, found.only_first) == ("differs", {A: (0, 1, 2)}, (B,))
    found = compare_results(second, second, "top1_error", 0.5)
    assert (found.decision, found.apart, found.lost) == ("identical", {}, {A: (2,), C: (0,)})


def test_few_runs_beside_a_reference_sample() -> None:
    random = generator(4)
    reference = made({A: list(random.normal(20, 0.3, 40)), B: list(random.normal(18, 0.3, 40))})
    ours = made({A: [20.0, 20.1, 19.95], B: [18.0, 18.1, 17.9], C: [5.0]})
    lines = against_reference(ours, reference, "top1_error", margin=1)
    assert [(line.cell, line.decision) for line in lines] == [(A, "agrees"), (B, "agrees")]
    plain = against_reference(ours, reference, "top1_error", margin=None)
    assert {line.decision for line in plain} == {"no sign of a difference"}
    odd = made({A: [20.55, 20.3, 20.5], B: [18.0, 18.1, 17.9]})
    unsure = against_reference(odd, reference, "top1_error", margin=0.3)[0]
    assert 0.01 < unsure.p < 0.05
    assert unsure.decision == "no sign of a difference"
    bad = made({A: [24.0, 24.1, 23.9], B: [18.0, 18.1, 17.9]})
    found = against_reference(bad, reference, "top1_error", margin=0.5)
    assert [line.decision for line in found] == ["differs", "agrees"]
    assert found[0].p == pytest.approx(2 * found[0].difference.p)  # Holm's


def test_welchs_interval_is_scipys() -> None:
    random = generator(5)
    first, second = random.normal(0, 2, 4), random.normal(1, 0.5, 30)
    found = welch(first, second)
    variance = np.array([first.var(ddof=1) / 4, second.var(ddof=1) / 30])
    degrees = variance.sum() ** 2 / (variance**2 / [3, 29]).sum()
    half = stats.t.ppf(0.975, degrees) * np.sqrt(variance.sum())
    assert found.low == pytest.approx(found.mean - half)
    assert found.high == pytest.approx(found.mean + half)


def test_a_single_run_beside_a_reference_takes_its_deviation() -> None:
    trials, wrong = 4000, 0
    random = generator(6)
    for _ in range(trials):
        sample = random.normal(20, 0.3, 11)
        wrong += welch(sample[:1], sample[1:]).p <= 0.01
    assert at_most(wrong / trials, 0.01, trials)
    assert welch(np.array([1.0]), np.array([2.0, 2.0])).low is None
