"""The reference sample: written from records, read by recipe, and beside a user's few runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cardinality.analysis.outcomes import Cell
from cardinality.analysis.outsiders import parse
from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine
from cardinality.report import reference
from cardinality.report.detect import demands
from cardinality.report.recorded import as_recorded
from cardinality.report.render import render
from cardinality.results.folder import Results
from tests.report.made_runs import PROTOCOL, SCALE, falling, put, workspace_of

FAST = Machine("cpu", "a fast CPU", 2, bfloat16=True, kernel=False)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    found = workspace_of(tmp_path)
    stated = PROTOCOL + "margin: 1.0\n"
    (tmp_path / "ablations" / "protocols" / f"{SCALE}.yaml").write_text(stated)
    return found


@pytest.fixture
def sample(tmp_path: Path, results: Results, machine: Machine) -> Path:
    """The sample of Table 3: ten seeds from 1000 on."""
    many = make_plan("table3", SCALE, machine, seeds=10, first_seed=1000)
    put(many, Results(tmp_path / "many" / SCALE), alike)
    folder = tmp_path / "paper_tables" / "reference"
    folder.mkdir(parents=True)
    return reference.write(SCALE, "table3", tmp_path / "many", folder)


def alike(run: Run) -> float:
    """Whatever the seed, nearly the same."""
    net = run.architecture
    return 40 - net.setting.cardinality / 16 - net.depth / 10 + run.seed % 7 / 20


def comparisons(page: str) -> list[str]:
    lines = page.split("Beside the reference sample")[1].split("\n\n")[1].splitlines()[2:]
    return [line.strip("| ").split("|")[-1].strip() for line in lines]


def test_the_sample_has_a_row_a_run_and_is_what_compare_reads(sample: Path) -> None:
    rows = pd.read_csv(sample)
    assert tuple(rows.columns) == reference.COLUMNS
    assert len(rows) == 100
    assert set(rows.seed) == set(range(1000, 1010))
    given = parse(sample.read_text(), sample.name)
    assert given.runs == 100
    base = given.outcomes.errors["top1_error"][Cell("32x4d", "base")]
    assert base[1003] == pytest.approx(
        rows[(rows.seed == 1003) & (rows.setting == "32x4d")].error.iloc[0]
    )


def test_runs_beside_the_sample_agree_or_differ(
    sample: Path, results: Results, machine: Machine
) -> None:
    def other(run: Run) -> float:
        far = {"32x4d": 5.0, "8x14d": 0.6 * (run.seed - 1)}
        return alike(run) + far.get(str(run.architecture.setting), 0)

    asked = make_plan("table3", SCALE, machine)
    put(asked, results, other)
    page, _ = render(asked, results)
    found = comparisons(page)
    assert len(found) == 10
    assert found[0].startswith("agrees within 1: ")
    assert found[3].startswith("no sign of a difference: ")
    assert found[4].startswith("differs: +")
    assert found[4].endswith("(p < 0.01 after Holm): run `cardinality doctor`")
    assert "10 other seeds" in page
    assert "computed in" not in page


def test_other_numerics_are_named(sample: Path, results: Results) -> None:
    asked = make_plan("table3", SCALE, FAST)
    put(asked, results, alike)
    page, _ = render(asked, results)
    assert "It was computed in float32, these runs in bfloat16." in page


def test_no_run_stands_on_both_sides(sample: Path, results: Results, machine: Machine) -> None:
    asked = make_plan("table3", SCALE, machine, seeds=2, first_seed=1008)
    put(asked, results, alike)
    assert reference.beside(as_recorded(asked, results)) == ""


@pytest.mark.parametrize("change", ["training: {rate: 0.3}", "stem: cifar"])
def test_another_recipe_or_net_has_no_sample(
    sample: Path, results: Results, machine: Machine, tmp_path: Path, change: str
) -> None:
    path = tmp_path / "ablations" / "protocols" / f"{SCALE}.yaml"
    path.write_text(path.read_text() + change)
    asked = make_plan("table3", SCALE, machine)
    put(asked, results, alike)
    assert reference.read(asked) is None
    assert "reference sample" not in render(asked, results)[0]


def test_other_images_have_no_sample(sample: Path, results: Results, machine: Machine) -> None:
    asked = make_plan("table3", SCALE, machine)
    assert reference.read(asked) is not None
    assert reference.read(asked, "of other images") is None


def test_power_is_planned_with_its_deviations(
    sample: Path, results: Results, machine: Machine
) -> None:
    asked = make_plan("table3", SCALE, machine)
    found = {each.label: each.needed for each in demands(asked, 1.0, results, [])}
    spread = found["table3-trend-base"].spread
    assert spread is not None
    assert spread.whose == f"the reference sample of {SCALE}"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("error", "mistake", 1),
        lambda text: text.replace(",1003,", ",a thousand,", 1),
        lambda text: text + "1x64d,11\n",
    ],
)
def test_a_damaged_sample_is_told(
    sample: Path, results: Results, machine: Machine, damage: Callable[[str], str]
) -> None:
    sample.write_text(damage(sample.read_text()))
    with pytest.raises(
        UserError, match=r"made-table3\.csv: line \d+: no run; allowed: the columns"
    ):
        reference.read(make_plan("table3", SCALE, machine))


def test_seeds_that_are_stated_are_no_sample(
    results: Results, machine: Machine, tmp_path: Path
) -> None:
    stated: Plan = make_plan("table3", SCALE, machine)
    put(stated, results, falling)
    with pytest.raises(UserError, match="no run of table3 with a seed that is not stated"):
        reference.write(SCALE, "table3", results.folder.parent, tmp_path)


def test_runs_that_two_tables_share_are_in_both_samples(
    sample: Path, machine: Machine, tmp_path: Path
) -> None:
    ours = make_plan("table4", SCALE, machine, seeds=10, first_seed=1000)
    doubled = tuple(entry for entry in ours.entries if entry.row.budget == 2)
    put(replace(ours, entries=doubled), Results(tmp_path / "doubled" / SCALE), alike)
    path = reference.write(SCALE, "table4", tmp_path / "doubled", sample.parent)
    rows, theirs = pd.read_csv(path), pd.read_csv(sample)
    assert len(rows) == 60
    shared = rows.merge(theirs)
    assert len(shared) == 20
    assert set(shared.setting) == {"1x64d", "32x4d"}


def test_a_run_that_came_out_differently_in_another_sample_is_told(
    sample: Path, machine: Machine, tmp_path: Path
) -> None:
    ours = make_plan("table4", SCALE, machine, seeds=1, first_seed=1000)
    put(ours, Results(tmp_path / "again" / SCALE), lambda run: alike(run) + 1)
    with pytest.raises(UserError, match=r"seed1000-\w+: error: \S+ here and \S+ in paper_tables"):
        reference.write(SCALE, "table4", tmp_path / "again", sample.parent)
