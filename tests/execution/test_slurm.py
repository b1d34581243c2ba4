"""Runs as jobs of a cluster, with a scheduler that is made: what is sent, and what comes back."""

import inspect
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from cardinality.common.errors import UserError
from cardinality.execution import slurm
from cardinality.execution.cluster import Cluster
from cardinality.execution.contract import Broken
from cardinality.execution.driver import Driver, Summary
from cardinality.execution.job import JobStop, Order
from cardinality.execution.slurm import Slurm, script
from cardinality.execution.state import states
from cardinality.execution.stopping import Stop
from cardinality.experiment.plan import Run
from cardinality.experiment.reading import load
from cardinality.results.folder import Results
from tests.execution import fake_slurm, fakes
from tests.execution.fakes import Quiet, plan_runs
from tests.places import ROOT

submitit = pytest.importorskip("submitit")

CLUSTER = Cluster(device="cpu", precision="float32", time="10m")


@dataclass
class Grid:
    """A results folder, and a made scheduler."""

    folder: Path
    scheduler: Path
    cluster: Cluster = CLUSTER
    seconds: float = 600.0
    runs: list[Run] = field(default_factory=list)

    @property
    def results(self) -> Results:
        return Results(self.folder)

    def order(self, run: Run) -> Order:
        return Order(
            run=run.name,
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

    def drive(
        self, stop: Stop | None = None, function: Callable[[str, str], str] = fakes.job
    ) -> tuple[Summary, list[str]]:
        """Send all runs and wait for them."""
        executor = Slurm(
            self.cluster, self.results, self.order, str(self.folder), function, looked=0.2
        )
        with Quiet(self.runs, 1.0) as display:
            summary = Driver(self.results, executor, display, stop or Stop()).drive(self.runs)
        return summary, getattr(display, "said", [])

    def jobs(self, state: str = "") -> list[str]:
        found = fake_slurm.squeue_of(self.scheduler)
        return [name for name, now in found.items() if now.startswith(state)]

    def computing(self) -> list[str]:
        """The jobs that have begun with their runs."""
        begun = [run.name for run in self.runs if self.results.holds(run.name).is_dir()]
        return [job for name in begun if (job := slurm.job_of(self.results, name))]

    def log(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("jobs/logs/*_log.err"))


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grid]:
    programs = fake_slurm.install(tmp_path / "scheduler")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv(fakes.SEEDS, "2")
    monkeypatch.setenv(fakes.VARIABLE, "")
    monkeypatch.setenv(fakes.LEASE, "5")
    monkeypatch.setattr("cardinality.execution.driver.ELSEWHERE", 0.2)
    made = Grid(tmp_path / "results", tmp_path / "scheduler")
    made.folder.mkdir()
    made.runs = plan_runs(made.folder)
    yield made
    fake_slurm.clear(made.scheduler)


@contextmanager
def driving(grid: Grid) -> Iterator[list[Summary]]:
    """Drive a grid while something happens to its jobs."""
    found: list[Summary] = []
    thread = Thread(target=lambda: found.append(grid.drive()[0]))
    thread.start()
    yield found
    thread.join(300)
    assert not thread.is_alive()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()


def test_runs_go_as_arrays_no_larger_than_the_cluster_allows(grid: Grid) -> None:
    summary, _ = grid.drive()
    assert (summary.done, summary.failed, summary.others) == (4, [], 0), grid.log()
    sent = sorted(path.read_text() for path in (grid.scheduler / "log").iterdir())
    assert ["--array=0-2%3" in text for text in sent].count(True) == 1  # MaxArraySize is 4
    assert len(sent) == 2
    assert not list(grid.folder.glob("jobs/*.json"))


def test_a_failure_is_recorded_once_and_told(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=fail")
    summary, _ = grid.drive()
    assert summary.done == 2, grid.log()
    assert [reason for _, reason in summary.failed] == ["made", "made"]
    assert len(list(grid.folder.glob("failed/*/run.json"))) == 2


def test_a_job_whose_time_is_over_is_put_back_and_one_that_is_lost_is_sent_again(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is over by the signal that comes before; arrays are put back by place."""
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=long 32x4d=long")
    with driving(grid) as found:
        until(lambda: len(grid.computing()) > 1)
        over, lost, *_ = grid.computing()
        fake_slurm.tell(grid.scheduler, over, signal.SIGUSR2)
        until(lambda: (grid.scheduler / "jobs" / f"back-{over}").exists())
        fake_slurm.tell(grid.scheduler, lost, signal.SIGKILL)
        assert {one.name for one in states(grid.results)} == {run.name for run in grid.runs}
    assert (found[0].done, found[0].failed) == (4, []), grid.log()
    assert len(list((grid.scheduler / "log").iterdir())) == 3
    computed = (grid.folder / "computed").read_text().split()[::2]
    assert sorted(computed) == sorted(run.name for run in grid.runs)


def test_a_job_stops_by_itself_before_its_limit(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=middling 32x4d=middling")
    grid.seconds = 0.5
    with driving(grid):
        until(lambda: list((grid.scheduler / "jobs").glob("back-*")))
        # Each life of a job is as short, so that the runs never come to their end by themselves.
        for run in grid.runs:
            fakes.place_of_record(grid.folder, run).parent.mkdir(parents=True, exist_ok=True)
            fakes.place_of_record(grid.folder, run).write_text("{}")
    assert "stopped" in grid.log()


def test_a_node_that_is_not_what_was_said_ends_the_grid(grid: Grid) -> None:
    """Nothing is recorded; the first word of it ends all."""
    grid.cluster = CLUSTER.model_copy(update={"precision": "bfloat16"})
    with pytest.raises(Broken, match="precision bfloat16: an old CPU has no instructions"):
        grid.drive(function=fakes.old_node)
    assert not (grid.folder / "failed").exists()
    assert not (grid.folder / "runs").exists()


def test_a_driver_may_end_and_another_goes_on_with_its_jobs(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=middling 32x4d=middling")
    summary, _ = grid.drive(Stop(after=1.0))
    assert summary.stopped
    assert {one.state for one in states(grid.results)} <= {"running", "queued"}
    assert len(states(grid.results)) == 4
    summary, _ = grid.drive()
    assert summary.done + summary.others == 4
    assert len(list((grid.scheduler / "log").iterdir())) == 2  # nothing was sent again


def test_a_run_whose_jobs_are_lost_again_and_again_has_failed(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=die")
    summary, _ = grid.drive()
    assert summary.done == 2
    assert all("3 jobs were lost, the last one is" in reason for _, reason in summary.failed)
    assert {one.state for one in states(grid.results)} == {"failed", "done"}


def test_without_slurm_a_line_says_so(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Broken, match=r"Slurm is not here .*; allowed: a machine of the cluster"):
        grid.drive()
    assert slurm.largest_array() == 1000


def test_signals_of_slurm_set_a_flag_and_no_more() -> None:
    before = signal.getsignal(signal.SIGUSR2)
    with JobStop() as stop:
        os.kill(os.getpid(), signal.SIGCONT)
        heard = [stop.reason]
        os.kill(os.getpid(), signal.SIGUSR2)
        heard.append(stop.reason)
        assert heard == ["", "stopped by SIGUSR2"]
        assert not stop.ended
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.ended
    assert signal.getsignal(signal.SIGUSR2) == before


# --- the cluster's file -------------------------------------------------------------------------


def test_a_cluster_is_read_and_its_script_needs_no_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "device: cuda\nprecision: bfloat16\npartition: gpu\naccount: lab\ntime: 90m\ncpus: 8\n"
        "memory: 64\nconstraint: a100\narray: 4\ncomment: ResNeXt\ngpus: 1\n"
    )
    text = script(load(path, Cluster), tmp_path, 10)
    for line in ("partition=gpu", "account=lab", "time=90", "cpus-per-task=8", "mem=64GB",
                 "constraint=a100", "array=0-9%4", "comment=ResNeXt", "gpus-per-node=1",
                 "requeue", "signal=USR2@300"):  # fmt: skip
        assert f"#SBATCH --{line}\n" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device: cuda", "precision: is missing"),
        ("precision: bfloat16", "device: is missing"),
        ("device: cuda\nprecision: bfloat16\ngpu: 8", "gpu: unknown key; allowed: device"),
        ("device: cuda\nprecision: bfloat16\ntime: 90", "time: "),
        ("device: cuda\nprecision: bfloat16\ngpus: 8", "gpus: 8; allowed: 1"),
        ("device: cuda\nprecision: bfloat16\ntime: 1 day", "allowed: hours or minutes"),
        ('device: cuda\nprecision: bfloat16\ncomment: "a\\" b"', "allowed: letters, digits"),
    ],
)
def test_a_mistake_in_it_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text + "\n")
    with pytest.raises(UserError) as caught:
        load(path, Cluster)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_used_of_submitit_is_there() -> None:
    from submitit.core import job_environment, submission
    from submitit.slurm.slurm import _make_sbatch_string

    known = inspect.signature(_make_sbatch_string).parameters
    assert CLUSTER.parameters().keys() <= known.keys()
    assert {"command", "folder", "map_count"} <= known.keys()
    # The signal that is taken over, and when: before the function is called.
    assert job_environment.JobEnvironment.USR_SIG == "USR2"
    source = inspect.getsource(submission.process_job)
    assert source.index("_handle_signals") < source.index("delayed.result()")


def test_an_order_is_a_string(grid: Grid) -> None:
    order = grid.order(grid.runs[0])
    assert Order.model_validate_json(order.model_dump_json()) == order
    assert json.loads(order.model_dump_json())["run"] == grid.runs[0].name
