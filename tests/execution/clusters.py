"""A results folder whose runs are sent to the made scheduler."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from cardinality.execution.cluster import Cluster
from cardinality.execution.driver import Driver, Summary
from cardinality.execution.job import Order
from cardinality.execution.slurm import Slurm, job_of
from cardinality.execution.stopping import Stop
from cardinality.experiment.run import Run
from cardinality.results.folder import Results
from tests.execution import fakes
from tests.execution.fake_slurm import Job, Scheduler, until
from tests.execution.fakes import Quiet

CLUSTER = Cluster(device="cpu", precision="float32", time="10m")


@dataclass
class Grid:
    """What is sent where.

    Attributes:
        results: of the protocol.
        runs: all of it.
        own_scheduler: the made one, where this process has it.
        cluster: what the file says.
        seconds: after which a job stops by itself.
        said: what the last driver's display was told.
    """

    results: Results
    runs: list[Run]
    own_scheduler: Scheduler | None = None
    cluster: Cluster = CLUSTER
    seconds: float = 600.0
    said: list[str] = field(default_factory=list)

    @property
    def scheduler(self) -> Scheduler:
        assert self.own_scheduler is not None
        return self.own_scheduler

    @property
    def folder(self) -> Path:
        return self.results.folder

    @property
    def order(self) -> Order:
        return Order(
            run="",
            ablation=str(self.folder / "two.yaml"),
            protocol=str(self.folder / "tiny.yaml"),
            seeds=2,
            batch=None,
            first_seed=0,
            device="cpu",
            precision=self.cluster.precision,
            results=str(self.folder),
            data=str(self.folder / "data"),
            seconds=self.seconds,
        )

    def executor(self, function: Callable[[str, str], str] = fakes.job) -> Slurm:
        return Slurm(
            self.cluster, self.results, self.order, str(self.folder), function, looked=0.05, late=0
        )

    def drive(
        self, stop: Stop | None = None, function: Callable[[str, str], str] = fakes.job
    ) -> Summary:
        """Send all runs and wait for them."""
        with Quiet(self.runs, 1.0) as display:
            driver = Driver(self.results, self.executor(function), display, stop or Stop())
            summary = driver.drive(self.runs)
        self.said = getattr(display, "said", [])
        return summary

    @contextmanager
    def driving(self) -> Iterator[list[Summary]]:
        """Drive while something happens to its jobs."""
        found: list[Summary] = []
        thread = Thread(target=lambda: found.append(self.drive()))
        thread.start()
        yield found
        thread.join(60)
        assert not thread.is_alive()

    def begun(self) -> list[Job]:
        """The jobs of all runs, when each has begun with its run."""
        until(lambda: all(self._job_of(run) for run in self.runs))
        return [job for run in self.runs if (job := self._job_of(run))]

    def _job_of(self, run: Run) -> Job | None:
        number = job_of(self.results, run.name)
        if number is None or not (self.folder / f"begun-{run.name}").exists():
            return None
        return self.scheduler.jobs[number]

    def computed(self) -> list[str]:
        """Which runs have come to their end, as often as they did."""
        path = self.folder / "computed"
        return sorted(path.read_text().split()[::2]) if path.exists() else []

    def until_computed(self, count: int) -> None:
        """Wait until so many runs have come to their end."""
        until(lambda: len(self.computed()) >= count)

    def printed(self) -> str:
        """What the jobs have printed."""
        return "".join(path.read_text() for path in self.folder.glob("jobs/logs/*_log.err"))


def make_grid(folder: Path, patch: pytest.MonkeyPatch) -> Grid:
    """A grid of two settings, and the programs of a made scheduler in PATH."""
    scheduler = Scheduler(folder / "scheduler")
    patch.setenv("PATH", str(scheduler.folder), prepend=":")
    patch.setenv(fakes.SEEDS, "2")
    patch.setenv(fakes.VARIABLE, "")
    patch.setenv(fakes.LEASE, "1")
    patch.setattr("cardinality.execution.driver.ELSEWHERE", 0.05)
    patch.setattr("cardinality.execution.driver.EACH", 0.0)
    patch.setattr("cardinality.execution.driver.GRACE", 0.1)
    results = folder / "results"
    results.mkdir()
    return Grid(Results(results), fakes.plan_runs(results), scheduler)
