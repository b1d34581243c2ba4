"""Runs as jobs of a cluster, with a scheduler that is made: what is sent, and what comes back."""

import inspect
import json
import os
import pickletools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.execution import scheduler, slurm
from cardinality.execution.cluster import Cluster
from cardinality.execution.contract import Broken
from cardinality.execution.holds import Hold, Holds
from cardinality.execution.job import JobStop, Order
from cardinality.execution.slurm import parameters, scripts
from cardinality.execution.state import states
from cardinality.execution.stopping import Stop
from cardinality.experiment.reading import load
from cardinality.host.processes import identity
from tests.execution import fakes
from tests.execution.clusters import CLUSTER, Grid, make_grid
from tests.execution.fake_slurm import Job, until
from tests.execution.records import write_stopped

submitit = pytest.importorskip("submitit")


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grid]:
    made = make_grid(tmp_path, monkeypatch)
    yield made
    made.scheduler.close()


def test_runs_go_as_arrays_no_larger_than_the_cluster_allows(grid: Grid) -> None:
    """The scripts are those that --dry-run shows, and all that a job is told are two strings."""
    shown = scripts(CLUSTER, slurm.logs_of(grid.results), 4)
    summary = grid.drive()
    assert (summary.done, summary.failed, summary.others) == (4, [], 0), grid.printed()
    assert grid.computed() == sorted(run.name for run in grid.runs)
    assert grid.scheduler.scripts == shown
    assert ["--array=0-2%3" in script for script in shown] == [True, False]
    assert [path.name for path in grid.folder.glob("jobs/*")] == ["logs"]
    for path in grid.folder.glob("jobs/logs/*_submitted.pkl"):
        found = [word for _, word, _ in pickletools.genops(path.read_bytes())]
        ours = [word for word in found if isinstance(word, str) and "cardinality" in word]
        assert [word for word in ours if not word.startswith(("/", "{"))] == []


def test_a_failure_is_recorded_once_and_told(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=fail")
    summary = grid.drive()
    assert summary.done == 2, grid.printed()
    assert [reason for _, reason in summary.failed] == ["made", "made"]
    assert len(list(grid.folder.glob("failed/*/run.json"))) == 2


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_job_whose_time_is_nearly_over_puts_itself_back(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
) -> None:
    """Between two steps; in an array by its place there."""
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=once 32x4d=once")
    with grid.driving() as found:
        for job in grid.begun():
            job.tell(sent)
    assert (found[0].done, found[0].failed) == (4, []), grid.printed()
    assert [job.lives for job in grid.scheduler.jobs.values()] == [2] * 4
    assert len(grid.scheduler.scripts) == 2
    assert grid.computed() == sorted(run.name for run in grid.runs)


def test_a_job_stops_by_itself_before_its_limit(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=once 32x4d=once")
    grid.seconds = 1.0
    summary = grid.drive()
    assert (summary.done, summary.failed) == (4, []), grid.printed()
    assert all(job.lives > 1 for job in grid.scheduler.jobs.values())
    assert len(grid.scheduler.scripts) == 2


def test_a_job_that_slurm_ends_leaves_the_rest_to_slurm(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preempted, it is put back by Slurm, or is sent again; cancelled by somebody it is not."""
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=once 32x4d=once")
    with grid.driving() as found:
        states = ["", "PREEMPTED", "CANCELLED", "NODE_FAIL"]
        for job, state in zip(grid.begun(), states, strict=True):
            job.end(state)
    assert (found[0].done, found[0].failed) == (3, []), grid.printed()
    assert any("was cancelled" in line for line in grid.said)
    assert [line for line in grid.said if "was lost (node_fail)" in line]
    assert grid.computed() == sorted(run.name for run in grid.runs if run != grid.runs[2])


def test_on_sigterm_a_job_stops_and_does_not_put_itself_back(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=once 32x4d=once")
    grid.runs = grid.runs[:1]
    with grid.driving() as found:
        (job,) = grid.begun()
        job.tell(signal.SIGTERM)
    assert found[0].done == 1, grid.printed()
    assert job.lives == 1
    assert len(grid.scheduler.scripts) == 2


def test_a_job_waits_for_its_own_lease_where_its_former_life_died_on_another_node(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid.runs = grid.runs[:1]
    monkeypatch.setenv("SLURM_JOB_ID", "101")
    elsewhere = identity().model_copy(update={"host": "another-node"})
    held = Holds(grid.results, process=elsewhere).take(grid.runs[0].name)
    assert isinstance(held, Hold)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert [one.state for one in states(grid.results)] == ["running"]
    monkeypatch.setattr("cardinality.execution.holds.LEASE", 0.0)  # the driver sends at once
    assert grid.drive().done == 1, grid.printed()
    assert grid.scheduler.jobs["101"].lives == 1
    assert len(grid.scheduler.scripts) == 1


@pytest.mark.parametrize(
    ("node", "precision", "why"),
    [
        (fakes.old_node, "bfloat16", "precision bfloat16: an old CPU has no instructions for it"),
        (fakes.broken_node, "float32", r"libmade.so: cannot open shared object file"),
    ],
)
def test_a_node_that_is_not_what_was_said_ends_the_grid(
    grid: Grid, node: Callable[[str, str], str], precision: str, why: str
) -> None:
    """Nothing is recorded; the first word of it ends all."""
    grid.cluster = CLUSTER.model_copy(update={"precision": precision})
    with pytest.raises(Broken, match=why):
        grid.drive(function=node)
    assert "environment broken: " in grid.printed()
    assert not (grid.folder / "failed").exists()
    assert not (grid.folder / "runs").exists()


def test_a_driver_may_end_and_another_goes_on_with_its_jobs(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=short 32x4d=short")
    summary = grid.drive(Stop(after=0.2))
    assert summary.stopped
    assert any("goes on; scancel would end it" in line for line in grid.said)
    assert {one.state for one in states(grid.results)} <= {"running", "queued"}
    summary = grid.drive()
    assert summary.done + summary.others == 4, grid.printed()
    assert len(grid.scheduler.scripts) == 2  # nothing was sent again
    assert {one.state for one in states(grid.results)} == {"done"}


def test_a_controller_that_is_away_for_a_while_is_waited_for(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Jobs go on meanwhile, and those that are to be put back wait with that; it is told."""
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=once 32x4d=once")
    grid.runs = grid.runs[:1]
    grid.scheduler.away = True
    note.cache_clear()
    with grid.driving() as found:
        until(lambda: scheduler.queue() is None)
        grid.scheduler.away = False
        (job,) = grid.begun()
        grid.scheduler.away = True
        job.tell(signal.SIGUSR2)
        until(lambda: "stopped" in grid.printed())
        assert job.lives == 1
        (state,) = states(grid.results)
        assert (state.state, state.note) == ("queued", "job 101, the queue cannot be asked here")
        grid.scheduler.away = False
    assert (found[0].done, found[0].failed) == (1, []), grid.printed()
    assert job.lives == 2
    assert "Slurm's controller does not answer" in capfd.readouterr().err


def test_a_run_whose_jobs_are_lost_again_and_again_has_failed(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=die")
    lost = [run for run in grid.runs if str(run.architecture.setting) == "1x64d"]
    made = [write_stopped(run, grid.results) for run in lost]
    summary = grid.drive()
    assert summary.done == 2, grid.printed()
    records = [grid.results.read(run.name) for run in lost]
    # Where it was computed before is known from its checkpoint.
    assert [one and one.sittings for one in records] == [(sitting,) for sitting in made]
    assert all("3 jobs were lost; job 1" in reason for _, reason in summary.failed)
    assert {one.state for one in states(grid.results)} == {"failed", "done"}


def test_what_sbatch_refuses_is_said_in_its_words(grid: Grid) -> None:
    grid.scheduler.refused = "Batch job submission failed: invalid partition specified"
    with pytest.raises(Broken, match=r"Slurm takes no jobs: .*invalid partition specified"):
        grid.drive()


def test_without_slurm_a_line_says_so(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Broken, match=r"Slurm is not here .*; allowed: a machine of the cluster"):
        grid.drive()
    assert scheduler.largest_array() == 1001
    assert scheduler.queue() is None


def test_status_tells_apart_what_waits_what_was_stopped_and_what_was_lost(grid: Grid) -> None:
    """A job that was put back waits, though the lease of its former life is not over."""
    queued, lost, held = (run.name for run in grid.runs[:3])
    grid.scheduler.jobs["7"] = waiting = Job("7", {}, "", "", "")
    for name, job in ((queued, "7"), (lost, "8")):
        grid.results.job(name).parent.mkdir(exist_ok=True)
        grid.results.job(name).write_text(json.dumps({"job": job}))
    assert isinstance(Holds(grid.results).take(queued), Hold)
    hold = Holds(grid.results).take(held)
    assert isinstance(hold, Hold)
    hold.release()
    found = {one.name: (one.state, one.note) for one in states(grid.results)}
    assert found == {
        queued: ("queued", "job 7, pending"),
        lost: ("lost", "job 8, gone"),
        held: ("stopped", ""),
    }
    waiting.state = "RUNNING"
    assert [one.state for one in states(grid.results)] == ["running", "stopped", "lost"]


def test_signals_of_slurm_set_a_flag_and_no_more() -> None:
    """Also when the run has ended: submitit's handler would put the job back once more."""
    heard, numbers = [], (signal.SIGCONT, signal.SIGUSR2, signal.SIGUSR2, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        with JobStop() as stop:
            for number in numbers:
                os.kill(os.getpid(), number)
                heard.append((stop.reason, stop.ended))
        os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        for number, handler in before.items():
            if handler is not signal.getsignal(number):
                signal.signal(number, handler)
    said = "stopped by SIGUSR2"
    assert heard == [("", False), (said, False), (said, False), (said, True)]


# --- the cluster's file -------------------------------------------------------------------------


def test_a_cluster_is_read_and_its_script_needs_no_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "device: cuda\nprecision: bfloat16\npartition: gpu\naccount: lab\ntime: 90m\ncpus: 8\n"
        "memory: 64\nconstraint: a100\narray: 4\ncomment: ResNeXt\n"
    )
    (text,) = scripts(load(path, Cluster), tmp_path, 10)
    for line in ("partition=gpu", "account=lab", "time=90", "cpus-per-task=8", "mem=64GB",
                 "constraint=a100", "array=0-9%4", "comment=ResNeXt", "gpus-per-node=1",
                 "requeue", "signal=USR2@300"):  # fmt: skip
        assert f"#SBATCH --{line}\n" in text
    assert " --cpus-per-task=8 " in text.splitlines()[-1]
    assert "wckey" not in text
    assert "array" not in scripts(load(path, Cluster), tmp_path, 1)[0]
    assert len(scripts(load(path, Cluster), tmp_path, 2500)) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device: cuda", "precision: is missing"),
        ("precision: bfloat16", "device: is missing"),
        ("device: tpu\nprecision: bfloat16", "device: "),
        ("device: cuda\nprecision: bfloat16\ngpu: 8", "gpu: unknown key; allowed: device"),
        ("device: cuda\nprecision: bfloat16\ntime: 90", "time: "),
        (
            "device: cuda\nprecision: bfloat16\ngpus: 8",
            "gpus: 8; allowed: 1, since a run's job is one",
        ),
        ("device: cuda\nprecision: bfloat16\ngpus: 0", "gpus: 0; allowed: 1, since a run's job"),
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


# --- what is used of submitit that it keeps to itself -------------------------------------------


def test_submitit_makes_scripts_by_a_function_with_our_words() -> None:
    from submitit.slurm.slurm import _make_sbatch_string

    known = inspect.signature(_make_sbatch_string).parameters
    assert {*parameters(CLUSTER), "command", "folder", "map_count"} <= known.keys()


def test_submitit_sends_what_its_function_makes(tmp_path: Path) -> None:
    """--dry-run has the command from here: `python -u -m submitit.core._submit FOLDER`."""
    executor = submitit.SlurmExecutor.__new__(submitit.SlurmExecutor)
    executor.folder, executor.python = tmp_path, "PYTHON"
    assert executor._submitit_command_str == f"PYTHON -u -m submitit.core._submit {tmp_path}"


def test_submitit_sets_its_handlers_before_ours() -> None:
    """Ours take their place, since it sets them before the function is called and not again."""
    from submitit.core import job_environment, submission

    assert job_environment.JobEnvironment.USR_SIG == "USR2"
    source = inspect.getsource(submission.process_job)
    assert source.count("_handle_signals") == 1
    assert source.index("_handle_signals") < source.index("delayed.result()")
    handled = inspect.getsource(job_environment.JobEnvironment._handle_signals)
    heard = {"signal.SIGTERM", "signal.SIGCONT", "self._usr_sig()"}
    assert all(f"signal.signal({one}, " in handled for one in heard)
    assert handled.count("signal.signal(") == len(heard)


def test_an_order_is_a_string(grid: Grid) -> None:
    order = grid.order
    assert Order.model_validate_json(order.model_dump_json()) == order
