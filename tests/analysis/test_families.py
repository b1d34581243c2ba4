from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.families import holm
from tests.analysis.made import at_most, generator


def test_corrected_values_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.9, 0.8]) == (1, 1)
    assert holm([0.02]) == (0.02,)
    assert holm([]) == ()


def test_it_is_the_closed_test_of_bonferroni() -> None:
    # Closed testing: a member falls if every set that it is in does, each by Bonferroni.
    random = generator(1)
    for _ in range(30):
        values = random.uniform(0, 0.2, 4)
        for member, corrected in enumerate(holm(list(values))):
            sets = [
                chosen
                for size in range(1, 5)
                for chosen in combinations(range(4), size)
                if member in chosen
            ]
            closed = max(min(1, len(each) * min(values[list(each)])) for each in sets)
            assert corrected == pytest.approx(closed)


def test_no_value_grows_when_another_claim_is_run() -> None:
    random = generator(2)
    for _ in range(200):
        values = list(random.uniform(0, 0.3, 4))
        before = holm([*values[:3], 1.0])
        assert all(after <= old for after, old in zip(holm(values)[:3], before[:3], strict=True))


def test_a_family_errs_no_more_often_than_its_level() -> None:
    trials = 20_000
    random = generator(3)
    # Two of four are false, with dependent p values.
    shared = random.normal(size=(trials, 1))
    scores = 0.7 * shared + 0.714 * random.normal(size=(trials, 4)) + [0, 0, 3, 4]
    values = stats.norm.sf(scores)
    wrong = np.mean([min(holm(list(row))[:2]) <= 0.05 for row in values])
    assert at_most(float(wrong), 0.05, trials)
    plain = (values[:, :2].min(axis=1) <= 0.05).mean()
    assert plain > 0.07  # what the correction is for
