import math
import time
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.outcomes import Outcomes
from cardinality.analysis.trends import page, page_null, trend
from tests.analysis.made import TABLE3, A, B, at_most, drawn, generator, made, revision3

FALLING = np.array([[5.0, 4, 3, 2, 1]] * 3)


def test_a_perfect_fall_in_three_blocks_is_one_order_in_120_cubed() -> None:
    falling = page(FALLING)
    assert falling.falls == pytest.approx(1 / 120**3)
    assert falling.statistic == 3 * 55
    rising = page(FALLING[:, ::-1])
    assert rising.rises == pytest.approx(1 / 120**3)
    assert rising.falls == pytest.approx(1)
    assert not falling.ties


@pytest.mark.parametrize(("blocks", "columns"), [(2, 3), (3, 3), (2, 4)])
def test_p_is_that_of_every_order_counted(blocks: int, columns: int) -> None:
    weights = np.arange(1, columns + 1)
    ranks = np.array(list(permutations(weights)))
    every = np.array(
        [sum(block @ weights for block in table) for table in product(ranks, repeat=blocks)]
    )
    random = generator(blocks * columns)
    for _ in range(20):
        errors = random.normal(size=(blocks, columns))
        found = page(errors)
        falls = (every >= found.statistic).mean()
        # L of the reversed columns is blocks times n (n + 1)^2 / 2 minus L.
        rises = (every <= found.statistic).mean()
        assert [found.falls, found.rises] == pytest.approx([falls, rises])


@pytest.mark.parametrize(("blocks", "columns"), [(2, 3), (5, 5), (40, 5), (7, 6)])
def test_p_is_scipys(blocks: int, columns: int) -> None:
    random = generator(blocks)
    errors = random.normal(size=(blocks, columns)).round(1)
    ranks, found = stats.rankdata(-errors, axis=1), page(errors)
    falls = stats.page_trend_test(ranks, ranked=True, method="exact")
    backwards = np.arange(columns, 0, -1)
    rises = stats.page_trend_test(ranks, ranked=True, predicted_ranks=backwards, method="exact")
    assert found.statistic == pytest.approx(falls.statistic)
    assert [found.falls, found.rises] == pytest.approx([falls.pvalue, rises.pvalue])


def test_p_of_a_thousand_seeds_is_exact_too_and_takes_no_time() -> None:
    errors = generator(9).normal(size=(1000, 5)) - np.arange(5) / 50
    begun = time.monotonic()
    found = page(errors)
    assert time.monotonic() - begun < 5
    ranks = stats.rankdata(-errors, axis=1)
    normal = stats.page_trend_test(ranks, ranked=True, method="asymptotic")
    assert found.falls == pytest.approx(normal.pvalue, rel=0.05)


def test_the_null_distribution_of_one_block_is_that_of_its_orders() -> None:
    assert page_null(3) == pytest.approx(np.array([1, 2, 0, 2, 1]) / 6)
    assert page_null(5).sum() == pytest.approx(1)


def test_p_of_five_blocks_is_that_of_permutations() -> None:
    random = generator(6)
    errors = random.normal(size=(5, 5)) - np.arange(5) / 3
    ranks = stats.rankdata(-errors, axis=1)
    shuffled = random.permuted(np.broadcast_to(ranks, (20_000, 5, 5)), axis=2)
    scores = shuffled.sum(axis=1) @ np.arange(1, 6)
    found = page(errors)
    rate = float((scores >= found.statistic).mean())
    assert abs(rate - found.falls) < 4 * math.sqrt(found.falls / 20_000)


def test_ties_make_p_larger_never_smaller() -> None:
    # Every way to set a tied block in order gives an L; the test with ties must not beat its own
    # level, over all orders of tied ranks.
    for tied in ([1.5, 1.5, 3, 4], [1, 2.5, 2.5, 4], [1.5, 1.5, 3.5, 3.5], [1, 3, 3, 3]):
        rows = [np.array(row) for row in {*permutations(tied)}]
        values = [
            page(np.array(table)).falls for table in product([-row for row in rows], repeat=2)
        ]
        for level in (0.01, 0.0125, 0.05):
            assert np.mean(np.array(values) <= level) <= level
    assert page(np.ones((3, 5))).falls > 0.5
    assert page(np.ones((3, 5))).ties


def test_equal_errors_are_equal_in_spite_of_rounding() -> None:
    exact = page(np.array([[3.0, 0.3, 0.3], [3.0, 2, 1]]))
    assert page(np.array([[3.0, 0.1 + 0.2, 0.3], [3.0, 2, 1]])) == exact
    assert exact.ties


def test_a_diverged_run_ranks_last_and_leaves_its_slope_out() -> None:
    outcomes = drawn(TABLE3, FALLING, stated=3)
    errors = {**outcomes.errors["top1_error"]}
    errors[TABLE3[4]] = {0: 1.0, 1: 1.0}
    broken = Outcomes({"top1_error": errors}, {TABLE3[4]: {2}}, outcomes.stated)
    found = trend(TABLE3, broken, "top1_error")
    assert found.seeds == (0, 1, 2)
    assert found.test == page(np.vstack([FALLING[:2], [5, 4, 3, 2, 99]]))
    assert (found.slope.seeds, found.slope.diverged) == ((0, 1), (2,))
    both = {**errors, TABLE3[3]: {0: 2.0, 1: 2.0}}
    two = Outcomes({"top1_error": both}, {TABLE3[3]: {2}, TABLE3[4]: {2}}, outcomes.stated)
    last = trend(TABLE3, two, "top1_error").test
    assert last is not None
    assert last.ties


def test_blocks_that_are_copies_of_one_run_are_no_evidence() -> None:
    copies = trend(TABLE3, drawn(TABLE3, FALLING), "top1_error").test
    assert copies is not None
    assert (copies.falls, copies.rises) == (1, 1)
    moved = FALLING.copy()
    moved[0, 0] += 0.01  # one image of ten thousand, in one run of fifteen
    own = trend(TABLE3, drawn(TABLE3, moved), "top1_error").test
    assert own == page(moved)
    assert own.falls < 0.001


def test_one_block_has_a_slope_and_no_test() -> None:
    found = trend(TABLE3, drawn(TABLE3, FALLING[:1]), "top1_error")
    assert found.test is None
    assert found.slope.over is not None
    assert (found.slope.over.n, found.slope.over.low) == (1, None)
    assert trend(TABLE3, made({A: [1], B: [2]}), "top1_error").slope.over is None


def test_revision_3_at_eleven_layers() -> None:
    found = trend(TABLE3, Outcomes({"top1_error": revision3()["top1_error"]}), "top1_error")
    assert found.test is not None
    assert found.test.falls == pytest.approx(0.0007, abs=0.00005)
    over = found.slope.over
    assert over is not None
    assert over.mean == pytest.approx(-0.276, abs=0.0005)
    assert over.low is not None
    assert over.mean - over.low == pytest.approx(0.053, abs=0.0005)
    assert over.n == 5


def test_the_test_errs_no_more_often_than_its_level() -> None:
    trials = 1500
    random = generator(8)
    errors = random.normal(0, 1, (trials, 4, 5)) + random.normal(0, 5, (trials, 4, 1))
    hits = np.array([[page(table).falls, page(table).rises] for table in errors]) <= 0.05
    assert at_most(hits[:, 0].mean(), 0.05, trials)
    assert at_most(hits[:, 1].mean(), 0.05, trials)


def test_p_of_twelve_blocks_is_that_of_convolved_blocks() -> None:
    null = page_null(5)
    every = null
    for _ in range(11):
        every = np.convolve(every, null)
    found = page(generator(12).normal(size=(12, 5)) - np.arange(5) / 10)
    assert found.falls == pytest.approx(every[int(found.statistic) - 12 * 35 :].sum())
