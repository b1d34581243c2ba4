"""One contract, three executors: this process, a pool of workers, and jobs of a cluster."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from cardinality.execution.contract import Broken, Executor
from cardinality.execution.driver import Driver, Summary, missing
from cardinality.execution.executors import Pool
from cardinality.execution.here import Here
from cardinality.execution.holds import Hold, Holds
from cardinality.execution.stopping import Stop
from cardinality.results.folder import Results
from tests.execution import fakes
from tests.execution.clusters import Grid, make_grid
from tests.execution.fake_slurm import FORKED
from tests.execution.fakes import Quiet
from tests.tiny import MADE, PLACE

pytest.importorskip("submitit")
KINDS = ("this process", "a pool", "slurm")


@dataclass
class Case:
    """An executor of one kind, on a grid of two settings and two seeds.

    Attributes:
        kind: one of `KINDS`.
        grid: what is computed.
        fakes: sets what the fake runs do.
    """

    kind: str
    grid: Grid
    fakes: Callable[[str], None]

    def executor(self, stop: Stop) -> Executor:
        if self.kind == "this process":
            return Here(fakes.compute, self.grid.folder, PLACE, stop)
        if self.kind == "a pool":
            return Pool(2, self.grid.folder, MADE, "cpu", fakes.at_once)
        return self.grid.executor()

    def drive(self, stop: Stop | None = None) -> Summary:
        stop = stop or Stop()
        runs = missing(self.grid.runs, self.grid.results)
        with Quiet(runs, 1.0) as display, closing(self.executor(stop)) as executor:
            return Driver(self.grid.results, executor, display, stop).drive(runs)

    def records(self, kind: str) -> list[str]:
        """The runs that have a record of a kind."""
        return sorted(path.parent.name for path in self.grid.folder.glob(f"{kind}/*/run.json"))


@pytest.fixture(params=KINDS)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    with pytest.MonkeyPatch.context() as patch:
        grid = make_grid(tmp_path_factory.mktemp("grid"), patch)
        yield Case(request.param, grid, lambda words: patch.setenv(fakes.VARIABLE, words))
        grid.scheduler.close()


def names(case: Case, setting: str = "") -> list[str]:
    return sorted(run.name for run in case.grid.runs if run.name.startswith(setting))


def test_every_run_is_computed_once_and_recorded(case: Case) -> None:
    assert case.drive() == Summary(done=4)
    assert case.records("runs") == case.grid.computed() == names(case)


def test_a_failure_is_recorded_once_with_its_reason_and_ends_no_other(case: Case) -> None:
    case.fakes("1x64d=fail")
    summary = case.drive()
    assert sorted(summary.failed) == [(name, "made") for name in names(case, "1x64d")]
    assert case.records("failed") == names(case, "1x64d")
    assert case.records("runs") == names(case, "32x4d")


def test_what_would_end_any_run_ends_the_grid_and_nothing_is_recorded(case: Case) -> None:
    case.fakes("1x64d=broken 32x4d=broken")
    with pytest.raises(Broken, match=r"libmade\.so: cannot open shared object file"):
        case.drive()
    assert case.records("failed") == case.records("runs") == []


def test_a_grid_that_is_stopped_has_no_failures_and_goes_on_another_time(case: Case) -> None:
    case.fakes("1x64d=short 32x4d=short")
    summary = case.drive(Stop(after=0.3))
    assert summary.stopped
    assert summary.done < 4
    assert case.records("failed") == []
    case.drive()
    assert case.records("runs") == case.grid.computed() == names(case)


def test_a_run_that_another_has_is_left_to_it_and_taken_over_when_it_is_given_up(
    case: Case,
) -> None:
    held = Holds(case.grid.results).take(case.grid.runs[0].name)
    assert isinstance(held, Hold)
    found: list[Summary] = []
    thread = Thread(target=lambda: found.append(case.drive()))
    thread.start()
    case.grid.until_computed(3)
    assert case.grid.runs[0].name not in case.grid.computed()
    held.release()
    thread.join(30)
    assert found == [Summary(done=4)]


def test_two_drivers_in_one_folder_compute_each_run_once(case: Case) -> None:
    words = (case.kind, str(case.grid.folder), dict(os.environ))
    drivers = [FORKED.Process(target=drive_apart, args=words) for _ in range(2)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join(30)
    assert [driver.exitcode for driver in drivers] == [0, 0]
    assert case.grid.computed() == case.records("runs") == names(case)


def drive_apart(kind: str, folder: str, environment: dict[str, str]) -> None:
    """Be a driver in a process of its own, whose status says how many runs have failed."""
    os.environ.update(environment)
    fakes.shorten_leases()
    grid = Grid(Results(Path(folder)), fakes.plan_runs(Path(folder)))
    sys.exit(len(Case(kind, grid, print).drive().failed))
