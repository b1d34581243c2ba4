"""Measured power: against what scipy computes grid by grid, and against the planned one."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.power import page_alternative, page_power
from tests.trials import measured_power, trials

MEANS, DEVIATION = (0.0, -0.7, -1.0, -1.1, -1.3), 0.5


def sample(seeds: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(MEANS, DEVIATION, (seeds, len(MEANS)))


def test_trials_are_scipys_tests_of_disjoint_grids() -> None:
    errors = sample(14)
    found = trials(errors, 3, 0.05)
    assert len(found.ps) == 4
    for number, p in enumerate(found.ps):
        part = -errors[3 * number : 3 * number + 3]
        assert p == pytest.approx(stats.page_trend_test(part, method="exact").pvalue)


def test_measured_power_is_that_of_all_grids_and_of_the_planned_errors() -> None:
    many = sample(4000)
    planned = page_power(page_alternative(MEANS, DEVIATION), 5, 3, 0.05)
    assert measured_power(many, 3, 0.05).estimate == pytest.approx(planned, abs=0.02)
    few = sample(16)
    decided = [
        stats.page_trend_test(-few[list(chosen)], method="exact").pvalue <= 0.05
        for chosen in combinations(range(16), 3)
    ]
    # Drawn without replacement or with it.
    found = measured_power(few, 3, 0.05)
    assert found.estimate == pytest.approx(np.mean(decided), abs=0.05)
    assert 0 < found.least < found.estimate


def test_the_bound_covers_as_often_as_it_says() -> None:
    planned = page_power(page_alternative(MEANS, DEVIATION), 5, 3, 0.05)
    covered = [measured_power(sample(42, seed), 3, 0.05).least <= planned for seed in range(40)]
    assert np.mean(covered) >= 0.85  # of 95 %, with 40 samples
