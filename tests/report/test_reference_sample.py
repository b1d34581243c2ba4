"""The reference sample that the suite brings, and what README and log say that it shows."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cardinality.analysis.outcomes import Floats
from cardinality.experiment.grid import make_plan
from cardinality.host.machine import Machine
from cardinality.report import reference
from tests.places import ROOT
from tests.trials import measured_power, trials

MACHINE = Machine("cpu", "any", 2, bfloat16=True, kernel=True)
SETTINGS = ["1x64d", "2x40d", "4x24d", "8x14d", "32x4d"]
FOLDER = ROOT / "paper_tables" / "reference"


@pytest.fixture(scope="module")
def errors() -> Floats:
    """Table 3 at the base depth, (seeds, settings)."""
    table = pd.read_csv(FOLDER / "quick-table3.csv")
    base = table[table.depth == 11].pivot(index="seed", columns="setting", values="error")
    assert base.index.min() >= 1000
    return base[SETTINGS].to_numpy()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_every_row_is_of_a_net_and_recipe_of_today(path: Path) -> None:
    protocol, table = path.stem.rsplit("-", 1)
    plan = make_plan(table, protocol, MACHINE)
    sample = reference.read(plan)
    assert sample is not None
    cells = sample.outcomes.errors["top1_error"]
    assert sum(map(len, cells.values())) == len(pd.read_csv(path))
    stated = {run.seed for run in plan.runs()}
    assert not stated & {seed for runs in cells.values() for seed in runs}


def test_forty_seeds_decide_the_papers_way(errors: Floats) -> None:
    assert len(errors) >= 40
    assert np.isfinite(errors).all()
    assert stats.page_trend_test(-errors).pvalue < 0.001


def test_three_seeds_have_the_power(errors: Floats) -> None:
    found = trials(errors, 3, 0.05)
    assert len(found.ps) >= 10
    assert found.least >= 0.8
    assert measured_power(errors, 3, 0.05).least >= 0.8


def test_the_readme_and_the_log_say_what_it_shows(errors: Floats) -> None:
    differences = errors[:, 1:] - errors[:, :1]
    mean = differences.mean(axis=0)
    half = float(stats.t.ppf(0.975, len(errors) - 1)) * np.asarray(stats.sem(differences))
    text = ", ".join(
        f"−{-m:.1f} ± {h:.1f}" for m, h in zip(mean.tolist(), half.tolist(), strict=True)
    )
    found = trials(errors, 3, 0.05)
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert text in readme
    assert f"{len(errors)} other seeds" in readme
    assert f"in {len(found.ps)} grids of three, {found.decided} grids decide" in readme
    assert f"at least {100 * found.least:.0f} %" in readme
    log = " ".join((ROOT / "docs" / "log.md").read_text().split())
    assert text in log
    stated = re.search(r"p of the one test is ([\d., ]+):", log)
    assert stated is not None
    assert [float(p) for p in stated[1].split(", ")] == pytest.approx(found.ps, abs=6e-5)


def test_the_log_says_what_the_other_samples_show() -> None:
    """Differences as mean ± half of a 95 % t interval over ten seeds."""

    def told(differences: Floats) -> str:
        half = float(stats.t.ppf(0.975, len(differences) - 1)) * float(stats.sem(differences))
        return f"{abs(differences.mean()):.1f} ± {half:.1f}"

    log = " ".join((ROOT / "docs" / "log.md").read_text().split())
    table = pd.read_csv(FOLDER / "quick-table3.csv")
    deep = table[table.depth == 20].pivot(index="seed", columns="setting", values="error")
    assert len(deep) == 10
    differences = deep[SETTINGS[1:]].sub(deep["1x64d"], axis=0)
    assert (differences.mean() < 0).all()
    assert ", ".join(f"−{told(differences[name].to_numpy())}" for name in SETTINGS[1:]) in log
    residual = pd.read_csv(FOLDER / "quick-residual.csv")
    errors = residual.pivot(index="seed", columns=["shortcuts", "setting"], values="error")
    lost = [told((errors["no"] - errors["yes"])[name].to_numpy()) for name in ("1x64d", "32x4d")]
    assert "1x64d loses {} points and 32x4d {}".format(*lost) in log
    doubled = pd.read_csv(FOLDER / "quick-table4.csv")
    runs = doubled.setting + " " + doubled.depth.astype(str)
    errors = doubled.assign(run=runs).pivot(index="seed", columns="run", values="error")
    assert len(errors.dropna()) == 10
    ours = [
        f"{errors[name].mean():.1f}" for name in ("1x64d 38", "1x100d 20", "2x64d 20", "64x4d 20")
    ]
    assert "has {} %, 1x100d {}, 2x64d {} and 64x4d {} %".format(*ours) in log
    over = errors.sub(errors["1x64d 20"], axis=0)
    deeper, *others = (
        told(over[name].to_numpy()) for name in ("1x64d 38", "1x100d 20", "2x64d 20", "64x4d 20")
    )
    assert f"+{deeper}, −{others[0]}, −{others[1]} and −{others[2]}" in log
