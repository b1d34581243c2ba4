"""A thousand workers: drivers on made machines, deaths, pauses, old listings, wrong clocks."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.report.render import render
from cardinality.results.folder import Results
from tests.execution.records import write
from tests.execution.simulated import World, simulate
from tests.tiny import TINY_ABLATION


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one, since what is tested is no disk's speed."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def world(tiny: Plan, folder: Path, runs: int) -> World:
    first, second = tiny.runs()
    half = range(runs // 2)
    every = [replace(run, seed=seed) for seed in half for run in (first, second)]
    return World(every, Results(folder / "tiny"), random.Random(runs))


def check(world: World) -> None:
    """See that each run has its record, and came to it once."""
    assert world.computed.keys() == {run.name for run in world.runs}
    assert set(world.computed.values()) == {1}
    assert all(world.results.status(run.name) == "done" for run in world.runs)
    assert world.dead > 0
    assert world.given_up > 0
    assert not list((world.results.folder / "holds").glob("[!.]*"))


def test_none_is_lost_and_none_recorded_twice(tiny: Plan, memory: Path) -> None:
    made = world(tiny, memory, 240)
    made.deaths = made.pauses = 0.1
    simulate(made, drivers=4, workers=10, machine_deaths=2)
    check(made)


@pytest.mark.scale
def test_ten_thousand_runs_on_a_thousand_workers_take_no_minute(
    tiny: Plan, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And an eighth of both takes an eighth of the time: nothing grows with the square."""
    seconds = {}
    for runs, workers in ((1250, 125), (10_000, 1_000)):
        made = world(tiny, memory / str(runs), runs)
        start = time.process_time()
        steps = simulate(made, drivers=4, workers=workers // 4, machine_deaths=2)
        seconds[runs] = time.process_time() - start
        check(made)
        with capsys.disabled():
            print(
                f"\n{runs} runs on {workers} workers: {seconds[runs]:.1f} s, {steps} steps,"
                f" {made.dead} workers died, {made.given_up} were too late"
            )
    assert seconds[10_000] < 60
    assert seconds[10_000] < 2 * 8 * seconds[1250]


@pytest.mark.scale
def test_ten_thousand_records_are_planned_and_rendered_in_seconds(
    files: tuple[Path, Path], machine: Machine, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"  - {{setting: {setting}}}\n" for setting in ("1x64d", "2x40d", "4x24d", "16x8d")]
    text = TINY_ABLATION[: TINY_ABLATION.index("rows:")].replace(
        "[base]", "[base, deep]\ntolerance: 0.08"
    )
    files[0].write_text(text + "rows:\n" + "".join(rows) + "  - {setting: 32x4d}\n")
    start = time.process_time()
    plan = make_plan(str(files[0]), str(files[1]), machine, seeds=1000)
    names = {run.name for run in plan.runs()}
    planned = time.process_time() - start
    assert len(names) == 10_000
    results = Results(memory / "tiny")
    for run in plan.runs():
        write(run, results)
    start = time.process_time()
    page, _ = render(plan, results)
    rendered = time.process_time() - start
    with capsys.disabled():
        print(f"\n10,000 records: planned in {planned:.1f} s, rendered in {rendered:.1f} s")
    assert "Complete: 10000 runs" in page.replace(",", "")
    assert planned < 10
    assert rendered < 60
