import math

import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.comparisons import compare, effect
from cardinality.analysis.contrasts import difference, interaction, of_figures, slope
from cardinality.analysis.estimates import estimate, one_sided
from cardinality.analysis.outcomes import Cell, Outcomes, blocks
from tests.analysis.made import TABLE3, A, B, C, D, drawn, generator, made, within

NAN = math.nan


def test_a_difference_has_its_pairs_its_mean_and_its_interval() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1; t(0.975, 2) = 4.302653, over the root of 3.
    comparison = compare(B, A, made({A: [10, 10, 10], B: [11, 12, 13]}), "top1_error")
    assert comparison.pairs == 3
    assert comparison.effect.seeds == (0, 1, 2)
    assert comparison.mean == 2
    assert comparison.effect.over is not None
    assert comparison.effect.over.deviation == pytest.approx(1)
    assert comparison.low == pytest.approx(2 - 2.484138, abs=1e-5)
    assert comparison.high == pytest.approx(2 + 2.484138, abs=1e-5)
    assert "paired by seed" in comparison.rule


def test_means_over_different_seeds_are_never_subtracted() -> None:
    # Only seed 1 is in both; the means of all would differ by -29.5.
    outcomes = made({A: [90, 20, NAN], B: [NAN, 21, 30]})
    comparison = compare(B, A, outcomes, "top1_error")
    assert (comparison.mean, comparison.pairs) == (1, 1)


def test_one_pair_has_no_interval_and_no_pair_has_no_difference() -> None:
    one = compare(B, A, made({A: [20], B: [21]}), "top1_error")
    assert (one.mean, one.low, one.high) == (1, None, None)
    none = compare(B, A, made({A: [20, NAN], B: [NAN, 21]}), "top1_error")
    assert (none.mean, none.low, none.pairs) == (None, None, 0)
    assert compare(B, A, Outcomes({}), "train_error").pairs == 0
    with pytest.raises(ValueError, match="itself"):
        compare(A, A, made({A: [20]}), "top1_error")


def test_seeds_beyond_the_stated_ones_are_shown_beside_and_count_for_nothing() -> None:
    outcomes = made({A: [10, 10, 10], B: [11, 13, 90]}, stated=2)
    found = effect(difference(B, A), outcomes, "top1_error")
    assert found.over is not None
    assert found.extended is not None
    assert (found.over.mean, found.seeds) == (2, (0, 1))
    assert (found.extended.mean, found.extended.n) == (28, 3)
    as_given = effect(difference(B, A), made({A: [10, 10], B: [11, 13]}), "top1_error")
    assert as_given.extended is None


def test_seeds_that_are_stated_for_one_of_the_cells_do_not_count() -> None:
    errors = {A: {0: 10.0, 1: 10.0}, B: {0: 11.0, 1: 15.0}}
    outcomes = Outcomes({"top1_error": errors}, {}, {A: {0, 1}, B: {0}})
    found = effect(difference(B, A), outcomes, "top1_error")
    assert found.seeds == (0,)
    assert found.unfinished == 0


def test_a_diverged_run_is_left_out_of_means_and_said() -> None:
    outcomes = made({A: [10, 10, 10], B: [11, NAN, 13]}, stated=4, diverged={B: [1]})
    found = effect(difference(B, A), outcomes, "top1_error")
    assert found.over is not None
    assert (found.over.mean, found.seeds, found.diverged) == (2, (0, 2), (1,))
    assert found.unfinished == 2  # seed 3 of both
    lined = blocks(outcomes, "top1_error", (A, B))
    assert lined.errors.tolist() == [[10, 11], [10, math.inf], [10, 13]]


def test_a_difference_of_two_differences_is_taken_by_seed() -> None:
    outcomes = made({A: [1, 2], B: [10, 20], C: [100, 200], D: [1000, 2000]})
    found = effect(interaction((A, B), (C, D)), outcomes, "top1_error")
    assert found.over is not None
    # (1 - 10) - (100 - 1000) = 891, and twice that.
    assert found.over.mean == pytest.approx(1.5 * 891)


def test_the_slope_is_points_a_doubling_of_the_paths() -> None:
    weights = slope(TABLE3)
    # log2 C is 0, 1, 2, 3, 5; an error of 30 - 0.5 log2 C has the slope -0.5.
    figures = dict(zip(TABLE3, (30, 29.5, 29, 28.5, 27.5), strict=True))
    assert of_figures(weights, figures) == pytest.approx(-0.5)
    assert sum(weights.values()) == pytest.approx(0)
    errors = generator(5).normal(25, 1, 5)
    ours = of_figures(weights, dict(zip(TABLE3, errors, strict=True)))
    assert ours == pytest.approx(float(stats.linregress([0, 1, 2, 3, 5], errors).slope))
    assert of_figures(weights, {TABLE3[0]: 30.0}) is None


def test_students_test_is_that_of_sign_flips_but_for_its_shape() -> None:
    values = generator(2).normal(-0.4, 1, 10)
    less, greater = one_sided(values)
    assert less + greater == pytest.approx(1)
    flips = np.array(np.meshgrid(*[[-1, 1]] * 10)).reshape(10, -1)
    means = flips.T @ values / 10
    assert less == pytest.approx(float((means <= values.mean() + 1e-12).mean()), abs=0.02)


def test_values_without_spread_or_too_few_of_them_are_no_evidence() -> None:
    assert one_sided(np.full(5, -1.0)) == (1, 1)
    assert one_sided(np.array([0.1 + 0.2, 0.3, 0.3])) == (1, 1)  # but for rounding the same
    assert one_sided(np.array([-1.0])) == (1, 1)
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_intervals_cover_as_often_as_they_say() -> None:
    trials, seeds = 4000, 5
    random = generator(3)
    common = random.normal(0, 3, (trials, seeds, 1))  # of a seed, which pairs remove
    errors = 30 + common + random.normal(0, 0.5, (trials, seeds, 2)) + [0.0, -1.0]
    covered = 0
    for table in errors:
        over = estimate(table[:, 1] - table[:, 0])
        assert over.low is not None
        assert over.high is not None
        covered += over.low <= -1 <= over.high
    assert within(covered / trials, 0.95, trials)


def test_a_cell_is_a_plans_key() -> None:
    assert Cell("32x4d", "base") == ("32x4d", "base", True, "")
    assert drawn((A, B), np.ones((2, 2))).errors["top1_error"][B] == {0: 1, 1: 1}
