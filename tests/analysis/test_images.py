from dataclasses import astuple

import numpy as np
import pytest

from cardinality.analysis.contrasts import difference
from cardinality.analysis.images import (
    ImageEffect,
    Interval,
    agreement,
    by_class,
    common_seeds,
    crossed,
    image_effect,
    wrongness,
)
from cardinality.analysis.outcomes import Floats
from tests.analysis.made import A, B, generator, within

CONTRAST = difference(B, A)


def bits(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which images are right, from a row of 1 and 0."""
    return np.array([sign == "1" for sign in text])


RIGHT = {
    A: {0: bits("1100"), 1: bits("1110")},
    B: {0: bits("1111"), 1: bits("0110"), 5: bits("0000")},
}


def test_the_effect_of_each_seed_on_each_image() -> None:
    assert common_seeds(CONTRAST, RIGHT) == (0, 1)
    effects = wrongness(CONTRAST, RIGHT, (0, 1))
    # Minus: B is right where A is wrong.
    assert effects.tolist() == [[0, 0, -100, -100], [100, 0, 0, 0]]
    assert effects.mean(axis=1).tolist() == [-50, 25]  # differences of the runs' errors
    with pytest.raises(ValueError, match=r"bits of \[3, 4\] images"):
        wrongness(CONTRAST, {A: {0: bits("110")}, B: {0: bits("1100")}}, (0,))


def test_mean_squares_by_hand() -> None:
    # Rows 1, 3 and columns 1, 2, 3 about them without residual: MS_s = 3 * 2, MS_i = 2 * 1.
    found = crossed(np.array([[0.0, 1, 2], [2, 3, 4]]))
    assert found.mean == 2
    assert found.over_seeds is not None
    assert found.over_seeds.error == pytest.approx(np.sqrt(6 / 6))
    assert found.over_images is not None
    assert found.over_images.error == pytest.approx(np.sqrt(2 / 6))
    # t(0.975, 1) = 12.706
    assert found.over_seeds.high == pytest.approx(2 + 12.7062, abs=1e-4)


def test_both_by_hand() -> None:
    # Rows and columns 0 to 8 without residual: MS_s = MS_i = 9 * 60 / 8.
    found = crossed(np.add.outer(np.arange(9.0), np.arange(9.0))).over_both
    assert found is not None
    assert found.error == pytest.approx(np.sqrt((67.5 + 67.5 - 0) / 81))
    # Satterthwaite: 135^2 / (67.5^2 / 8 + 67.5^2 / 8 + 0).
    assert found.degrees == pytest.approx(16)


def test_over_seeds_it_is_the_t_interval_of_the_runs_errors() -> None:
    effects = generator(1).normal(size=(4, 30))
    found = crossed(effects).over_seeds
    rows = effects.mean(axis=1)
    assert found is not None
    assert found.error == pytest.approx(rows.std(ddof=1) / 2)
    assert found.degrees == 3


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_no_interval_over_one_alone_is_longer_than_that_over_both(seeds: int) -> None:
    random = generator(7)
    alone = 0
    for _ in range(100):
        effects = random.normal(size=(seeds, 20))  # neither seeds nor images have an effect
        found = crossed(effects)
        lengths = [length(each) for each in (found.over_seeds, found.over_images)]
        assert length(found.over_both) >= max(lengths)
        alone += length(found.over_both) == max(lengths)
    assert alone > 10


def length(interval: Interval | None) -> float:
    """Of an interval, in points."""
    assert interval is not None
    return interval.high - interval.low


def test_what_is_missing_is_not_made_up() -> None:
    one_seed = crossed(np.array([[0.0, 1, 5]]))
    assert (one_seed.over_seeds, one_seed.over_both) == (None, None)
    assert one_seed.over_images is not None
    assert one_seed.over_images.error == pytest.approx(np.std([0, 1, 5], ddof=1) / np.sqrt(3))
    same = crossed(np.zeros((3, 4)))
    assert same.over_both == Interval(0, 0, 0, 2) or same.over_both == Interval(0, 0, 0, 3)
    assert image_effect(CONTRAST, {A: RIGHT[A]}) is None
    counted = image_effect(CONTRAST, RIGHT, counting=(1,))
    assert counted is not None
    assert (counted.seeds, counted.mean) == (1, 25)


def test_where_images_share_a_source_sources_are_drawn() -> None:
    effects = generator(2).normal(size=(3, 12))
    sources = np.repeat([4, 7, 9], 4)
    grouped = crossed(effects, sources)
    assert (grouped.images, grouped.units) == (12, 3)
    by_hand = crossed(effects.reshape(3, 3, 4).mean(axis=2))
    assert grouped.over_both is not None
    assert by_hand.over_both is not None
    assert astuple(grouped.over_both) == pytest.approx(astuple(by_hand.over_both))
    assert grouped.over_seeds is not None
    assert grouped.over_seeds.error == pytest.approx(crossed(effects).over_seeds.error)  # type: ignore[union-attr]
    # Of unlike sizes: the mean stays that of the images.
    uneven = crossed(effects, np.array([0] * 7 + [1] * 3 + [2] * 2))
    assert uneven.mean == pytest.approx(effects.mean())
    every = crossed(effects, np.arange(12))
    assert every.over_both is not None
    assert every.over_both.error == pytest.approx(crossed(effects).over_both.error)  # type: ignore[union-attr]


def covers(interval: Interval | None, truth: float) -> bool:
    """Whether an interval has the truth in it."""
    assert interval is not None
    return interval.low <= truth <= interval.high


def simulate(trials: int, of_seeds: float, of_images: float, seeds: int = 5) -> dict[str, float]:
    """How often each interval has the mean that other seeds and other images would give."""
    images = 120
    random = generator(3)
    hits = dict.fromkeys(("seeds", "images", "both"), 0)
    for _ in range(trials):
        effects: Floats = (
            -1
            + of_seeds * random.normal(size=(seeds, 1))
            + of_images * random.normal(size=(1, images))
            + 8 * random.normal(size=(seeds, images))
        )
        found: ImageEffect = crossed(effects)
        hits["seeds"] += covers(found.over_seeds, -1)
        hits["images"] += covers(found.over_images, -1)
        hits["both"] += covers(found.over_both, -1)
    return {name: count / trials for name, count in hits.items()}


def test_the_interval_over_both_covers_with_both_effects_present() -> None:
    trials = 3000
    rates = simulate(trials, of_seeds=1, of_images=5)
    assert within(rates["both"], 0.95, trials)
    # Either alone says too much of what other seeds and other images would give.
    assert rates["seeds"] < 0.92
    assert rates["images"] < 0.92


def test_it_covers_without_either_effect() -> None:
    assert 0.93 < simulate(1000, of_seeds=0, of_images=5)["both"] < 0.99
    assert 0.93 < simulate(1000, of_seeds=0.6, of_images=0)["both"] < 0.99


@pytest.mark.parametrize("seeds", [2, 3])
def test_it_covers_with_few_seeds(seeds: int) -> None:
    """Whose deviation, by luck, may seem to be nothing beside the images' own."""
    for of_seeds in (0.7, 1.5):
        assert simulate(1000, of_seeds, of_images=3, seeds=seeds)["both"] > 0.935


def test_agreement_by_hand() -> None:
    found = agreement(bits("11110000"), bits("11101000"))
    counts = (found.both_right, found.only_first, found.only_second, found.both_wrong)
    assert counts == (3, 1, 1, 3)
    assert (found.images, found.agree, found.expected, found.kappa) == (8, 0.75, 0.5, 0.5)
    assert agreement(bits("11"), bits("11")).kappa is None
    with pytest.raises(ValueError, match="the same ones"):
        agreement(bits("11"), bits("111"))


def test_differences_by_class() -> None:
    found = by_class(CONTRAST, RIGHT, (0, 1), np.array([0, 0, 2, 2]), ("cat", "dog", "ship"))
    assert [(each.name, each.images, each.over.mean) for each in found] == [
        ("cat", 2, 25),
        ("ship", 2, -50),
    ]
    assert found[0].over.n == 2
