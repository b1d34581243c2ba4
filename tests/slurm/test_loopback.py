"""A real Slurm: a grid of real nets whose jobs are killed, run out of time and are preempted.

Run by ``make test-slurm``. Limits of jobs count in minutes, and Slurm looks at them twice a minute,
so one grid goes through all of it at once.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cardinality.execution.holds import Holds
from cardinality.execution.slurm import job_of
from cardinality.execution.state import states
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header
from tests.slurm.loopback import Slurm
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL

pytest.importorskip("submitit")
pytestmark = pytest.mark.slurm

COMMAND = str(Path(sys.executable).with_name("cardinality"))
# Epochs that are short beside the start of a job, and a run that is not over in a few seconds.
PROTOCOL = TINY_PROTOCOL.replace("train: 80", "train: 800").replace("epochs: 2", "epochs: 30")
CLUSTER = """\
device: cpu
precision: float32
time: 2m
partition: low
array: 4
comment: a real Slurm
"""


@dataclass
class Grid:
    """Six runs, which this machine or the cluster computes."""

    root: Path
    drivers: list[subprocess.Popen[str]] = field(default_factory=list)

    def results(self, where: str) -> Results:
        return Results(self.root / where / "tiny")

    def command(self, where: str, *options: str) -> list[str]:
        names = [str(self.root / name) for name in ("two.yaml", "tiny.yaml")]
        command = [COMMAND, "run", names[0], "--protocol", names[1], "--seeds", "3"]
        return [*command, "--results", str(self.root / where), *options]

    def start(self) -> subprocess.Popen[str]:
        """Send what is missing, and wait for it."""
        options = ("--executor", "slurm", "--cluster", str(self.root / "cluster.yaml"))
        driver = subprocess.Popen(
            self.command("cluster", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.drivers.append(driver)
        return driver

    def weights(self, where: str) -> dict[str, str | None]:
        """Checksums of the weights by run; each record is read in whole."""
        records, problems = self.results(where).read_all()
        assert problems == {}
        return {record.name: record.weights_checksum for record in records}

    def table(self, where: str) -> str:
        return (self.results(where).tables / "two-3seeds.csv").read_text()

    def jobs(self) -> dict[str, str]:
        """The jobs of the runs that are some epochs on their way, by run."""
        results = self.results("cluster")
        names = [path.stem for path in results.folder.glob("checkpoints/*.pt")]
        sent = {name: job_of(results, name) for name in names if self.epochs(name)}
        return {name: job for name, job in sent.items() if job is not None}

    def epochs(self, name: str) -> int:
        try:
            return read_header(self.results("cluster").checkpoint(name)).epochs
        except (Unsound, OSError):
            return 0

    def printed(self) -> str:
        """What the jobs have printed."""
        logs = self.results("cluster").folder.glob("jobs/logs/*_log.err")
        return "\n".join(path.read_text() for path in logs)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    made = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("SLURM_CONF", str(made.configuration))
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    try:
        made.begin()
        yield made
    finally:
        made.close()


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    made = Grid(tmp_path)
    yield made
    for driver in made.drivers:
        driver.kill()
        driver.communicate()


@contextmanager
def untouched(grid: Grid) -> Iterator[None]:
    """The same grid on this machine, meanwhile."""
    with subprocess.Popen(
        grid.command("here", "--device", "cpu"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield
    assert process.returncode == 0


def until(true: Callable[[], object], slurm: Slurm, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, slurm.ask("squeue", "--states=all") + slurm.logs()
        time.sleep(0.5)


def test_whatever_slurm_does_to_its_jobs_the_table_is_the_same_to_the_bit(
    tmp_path: Path, slurm: Slurm, grid: Grid
) -> None:
    for name, text in (("two", TINY_ABLATION), ("tiny", PROTOCOL), ("cluster", CLUSTER)):
        (tmp_path / f"{name}.yaml").write_text(text)
    driver = grid.start()
    until(lambda: len(grid.jobs()) == 4, slurm)
    began = time.monotonic()

    # All four are preempted: Slurm ends them, and puts them back when the node is free.
    slurm.ask("sbatch", "--partition=high", "--ntasks=4", "--output=/dev/null", "--wrap=sleep 2")
    until(lambda: _restarted(slurm, list(grid.jobs().values())) == 4, slurm)
    until(lambda: ": stopped\n" in grid.printed(), slurm)

    # The driver dies, the controller is away for some seconds; then both are there again.
    driver.kill()
    driver.wait()
    slurm.stop("slurmctld")
    assert "queued" in {one.state for one in states(grid.results("cluster"))}
    slurm.start("slurmctld")
    until(lambda: slurm.ask("squeue", "--noheader"), slurm)
    driver = grid.start()

    with untouched(grid):
        # One is killed. One is paused; Slurm wakes it by saying that its time is nearly over.
        killed, over, *_ = _computing(grid, slurm, 2).items()
        os.kill(killed[1], signal.SIGKILL)
        restarts = _restarts(slurm, over[0])
        os.kill(over[1], signal.SIGSTOP)
        until(lambda: _restarts(slurm, over[0]) > restarts, slurm)

    out, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, out
    assert f"job {killed[0]} was lost (failed)" in out
    assert {one.state for one in states(grid.results("cluster"))} == {"done"}
    assert grid.weights("cluster") == grid.weights("here")
    assert grid.table("cluster") == grid.table("here")
    assert len(grid.weights("here")) == 6
    print(f"{time.monotonic() - began:.0f} s after the first epochs")


def _computing(grid: Grid, slurm: Slurm, count: int) -> dict[str, int]:
    """Jobs that compute now, as many at least, and their processes."""
    results = grid.results("cluster")
    holds = Holds(results)

    def found() -> dict[str, int]:
        held = {job: holds.look(name) for name, job in grid.jobs().items() if _is_live(slurm, job)}
        return {job: one.process.number for job, one in held.items() if one and one.job}

    until(lambda: len(found()) >= count, slurm)
    return found()


def _shown(slurm: Slurm, job: str) -> str:
    return slurm.ask("scontrol", "show", "job", job)


def _is_live(slurm: Slurm, job: str) -> bool:
    return "JobState=RUNNING" in _shown(slurm, job)


def _restarts(slurm: Slurm, job: str) -> int:
    return int(_shown(slurm, job).partition("Restarts=")[2].split()[0])


def _restarted(slurm: Slurm, jobs: list[str]) -> int:
    return sum(_restarts(slurm, job) > 0 for job in jobs)
