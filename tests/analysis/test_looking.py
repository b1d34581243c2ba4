"""What docs/statistics.md says of looking after every seed, simulated."""

import re

import numpy as np
from scipy import stats

from cardinality.analysis.power import t_power, t_seeds
from tests.analysis.made import generator, within
from tests.places import ROOT

TEXT = (ROOT / "docs" / "statistics.md").read_text()


def wrongly_supported(last: int, trials: int) -> float:
    """How often a one-sided 5 % t test after each seed from the third on says so at least once."""
    values = generator(1).normal(size=(trials, last))
    n = np.arange(1, last + 1)
    means = values.cumsum(axis=1) / n
    squares = (values**2).cumsum(axis=1) - n * means**2
    t = means[:, 2:] / np.sqrt(squares[:, 2:] / (n[2:] - 1) / n[2:])
    return float((t <= stats.t.ppf(0.05, n[2:] - 1)).any(axis=1).mean())


def test_looking_after_every_seed_breaks_the_error_rate_as_the_document_says() -> None:
    trials = 20_000
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) % \|$", TEXT, re.MULTILINE)
    assert [int(last) for last, _ in rows] == [3, 5, 10, 20, 50]
    for last, percent in rows:
        assert within(wrongly_supported(int(last), trials), float(percent) / 100, trials)


def test_the_power_that_the_document_tells() -> None:
    match = re.search(
        r"difference of ([\d.]+) points with a deviation of ([\d.]+) needs (\d+) seeds at 5 % and"
        r" (\d+) at 1.25 %",
        " ".join(TEXT.split()),
    )
    assert match is not None
    effect, deviation = float(match[1]), float(match[2])
    assert int(match[3]) == t_seeds(effect, deviation, 0.05, 3)
    assert int(match[4]) == t_seeds(effect, deviation, 0.0125, 3)
    told = re.search(r"with five seeds .* in (\d+) of 100 such experiments", " ".join(TEXT.split()))
    assert told is not None
    assert int(told[1]) == round(100 * t_power(effect, deviation, 5, 0.05))
