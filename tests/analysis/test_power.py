import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.estimates import Estimate, estimate
from cardinality.analysis.power import (
    page_alternative,
    page_power,
    page_seeds,
    residual_spread,
    spread,
    spread_of,
    t_power,
    t_seeds,
)
from cardinality.analysis.trends import page, page_null
from tests.analysis.made import generator, within

LINEAR = (0.0, -0.1, -0.2, -0.3, -0.5)


def test_the_power_of_the_t_test_is_what_simulation_gives() -> None:
    trials = 20_000
    values = generator(1).normal(-0.5, 0.6, (trials, 6))
    p = stats.ttest_1samp(values, 0, axis=1, alternative="less").pvalue
    power = t_power(0.5, 0.6, 6, 0.0125)
    assert within(np.count_nonzero(p <= 0.0125) / trials, power, trials)
    # Without an effect it is the level.
    assert t_power(0, 1, 6, 0.0125) == pytest.approx(0.0125)


def test_the_power_of_pages_test_is_what_scipys_test_gives() -> None:
    trials = 1500
    errors = generator(2).normal(LINEAR, 0.3, (trials, 6, 5))
    hits = np.mean([page(table).falls <= 0.0125 for table in errors])
    power = page_power(page_alternative(LINEAR, 0.3), 5, 6, 0.0125)
    assert within(float(hits), power, trials)
    assert page_power(page_null(5), 5, 6, 0.0125) <= 0.0125


@pytest.mark.parametrize(("effect", "deviation"), [(0.5, 0.5), (1.0, 0.4), (0.2, 0.7)])
def test_the_number_of_seeds_is_the_least_that_has_the_power(
    effect: float, deviation: float
) -> None:
    seeds = t_seeds(effect, deviation, 0.0125, 3)
    assert seeds is not None
    assert t_power(effect, deviation, seeds, 0.0125) >= 0.8
    assert seeds == 3 or t_power(effect, deviation, seeds - 1, 0.0125) < 0.8
    means = [effect * step / 0.5 for step in LINEAR]
    blocks = page_seeds(means, deviation, 0.0125, 3)
    assert blocks is not None
    alternative = page_alternative(means, deviation)
    assert page_power(alternative, 5, blocks, 0.0125) >= 0.8
    assert blocks == 3 or page_power(alternative, 5, blocks - 1, 0.0125) < 0.8


def test_there_is_no_number_for_what_cannot_be_found() -> None:
    assert t_seeds(-0.5, 0.5, 0.05, 3) is None
    assert t_seeds(0.001, 0.5, 0.05, 3) is None
    assert page_seeds([0, 0.1, 0.2], 0.5, 0.05, 3) is None
    assert page_seeds([0, -0.001, -0.002], 0.5, 0.05, 3) is None
    assert t_seeds(5, 1e-3, 0.05, 3) == 3


def test_the_upper_bound_of_a_deviation() -> None:
    # chi2(0.2, 4) = 1.6488; the root of 4 / 1.6488 = 1.5576.
    found = spread(0.5, 4, "five seeds")
    assert found.upper == pytest.approx(0.5 * 1.5576, abs=1e-4)
    trials = 20_000
    deviations = generator(3).normal(0, 1, (trials, 5)).std(axis=1, ddof=1)
    above = np.count_nonzero(deviations * found.upper / 0.5 >= 1) / trials
    assert within(above, 0.8, trials)
    with pytest.raises(ValueError, match="0 degrees"):
        spread(0.5, 0, "one seed")


def test_no_deviation_without_two_seeds_or_without_spread() -> None:
    assert spread_of(None, "x") is None
    assert spread_of(estimate([1.0]), "x") is None
    assert spread_of(Estimate(1, 3, 0.0, 1, 1), "x") is None
    assert residual_spread(np.ones((1, 5)), "x") is None
    assert residual_spread(np.ones((3, 5)), "x") is None
    random = generator(4)
    blocks = random.normal(0, 0.4, (400, 5)) + random.normal(0, 3, (400, 1)) + np.arange(5)
    found = residual_spread(blocks, "x")
    assert found is not None
    assert found.deviation == pytest.approx(0.4, rel=0.1)
    assert found.degrees == 399 * 4
