"""A page that is shown again: without drawing, and never when anything of it has changed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine, detect
from cardinality.report.kept import keep, made_of, recall
from cardinality.results.folder import Results
from tests.report.made_runs import SCALE, put, workspace_of

# The second call: what it prints last is which slow libraries it has needed.
AGAIN = f"""\
import sys
from cardinality.cli.app import main
sys.argv = "cardinality run table3 --protocol {SCALE} --seeds 1 --device cpu".split()
try:
    main()
finally:
    print([name for name in ("torch", "matplotlib", "scipy.stats") if name in sys.modules])
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    return workspace_of(tmp_path)


@pytest.fixture
def plan(results: Results, machine: Machine) -> Plan:
    plan = make_plan("table3", SCALE, machine, 1)
    put(plan, results)
    return plan


def test_the_second_call_shows_the_same_and_draws_nothing(results: Results, tmp_path: Path) -> None:
    put(make_plan("table3", SCALE, detect("cpu"), 1), results)
    calls = [
        subprocess.run(
            [sys.executable, "-c", AGAIN], capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout.splitlines()
        for _ in range(2)
    ]
    first, second = calls
    assert [line.replace("wrote ", "unchanged: ") for line in first[:-1]] == second[:-1]
    assert any(line.startswith("wrote ") for line in first)
    assert len(second) > 20
    assert first[-1] != "[]"
    assert second[-1] == "[]"


def newer(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def failed(results: Results) -> None:
    folder = results.folder / "failed" / "a-run"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")


CHANGES: dict[str, Callable[[Results], object]] = {
    "a record": lambda results: newer(next(results.folder.glob("runs/*/run.json"))),
    "a run that failed": failed,
    "a scale": lambda results: newer(
        results.folder.parents[1] / f"ablations/protocols/{SCALE}.yaml"
    ),
    "a plot that is gone": lambda results: (results.plots / "table3.png").unlink(),
    "a plot that is cut": lambda results: (results.plots / "table3.png").write_bytes(b""),
    "the page": lambda results: next(results.kept.glob("*.json")).write_text("{"),
}


def again(plan: Plan, results: Results, form: str = "markdown") -> tuple[str, list[Path]] | None:
    return recall(plan, results, made_of(plan, results, form))


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_it_is_made_anew(plan: Plan, results: Results, change: str) -> None:
    results.plots.mkdir()
    plot = results.plots / "table3.png"
    plot.write_text("a plot")
    keep(plan, results, made_of(plan, results, "markdown"), "the page", [plot])
    assert again(plan, results) == ("the page", [plot])
    assert again(plan, results, "latex") is None
    CHANGES[change](results)
    assert again(plan, results) is None


def test_a_record_that_came_while_it_was_rendered_is_seen(plan: Plan, results: Results) -> None:
    before = made_of(plan, results, "markdown")
    failed(results)
    keep(plan, results, before, "the page without it", [])
    assert again(plan, results) is None


def test_another_plan_is_another_page(plan: Plan, results: Results, machine: Machine) -> None:
    keep(plan, results, made_of(plan, results, "markdown"), "the page", [])
    assert again(plan, results) is not None
    assert again(make_plan("table3", SCALE, machine, 2), results) is None
    assert again(make_plan("table4", SCALE, machine, 1), results) is None
