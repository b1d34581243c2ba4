"""The grid: what becomes of each run, and the whole of it from the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from cardinality.common.errors import UserError
from cardinality.execution import driver
from cardinality.execution.contract import Broken, Progress, Report
from cardinality.execution.driver import Driver, Summary, compute_with, missing
from cardinality.execution.stopping import Stop
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.machine import detect
from cardinality.results.folder import Results
from cardinality.results.records import make_record
from tests.execution.fakes import Quiet, place_of_record
from tests.places import ROOT
from tests.tiny import TINY_PROTOCOL

COMMAND = [str(Path(sys.executable).with_name("cardinality"))]


class Scripted:
    """An executor for one run after the other that ends each as a script says."""

    def __init__(self, *script: Callable[[Run], Report]) -> None:
        self.script, self.given, self.closed = deque(script), deque[Run](), False
        self.asked_to_stop = False

    @property
    def free(self) -> int:
        return not self.given

    def submit(self, run: Run) -> None:
        self.given.append(run)

    def poll(self, seconds: float) -> Iterable[Progress | Report]:
        run = self.given.popleft()
        yield Progress(run.name, 0.5)
        yield self.script.popleft()(run)

    def stop(self) -> None:
        self.asked_to_stop = True

    def kill(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def done(run: Run) -> Report:
    return Report(run, "done")


def failed(run: Run) -> Report:
    return Report(run, "failed", "made", make_record(run, None, [], [], failure="made"))


def drive(
    executor: Scripted, plan: Plan, results: Results, stop: Stop | None = None
) -> tuple[Summary, Quiet]:
    """Compute a plan's runs as a script says."""
    runs = plan.runs()
    with Quiet(runs, 1.0) as display:
        return Driver(results, executor, display, stop or Stop()).drive(runs), display


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "GRACE", 0.05)


def test_a_run_that_fails_is_recorded_and_stops_no_other(tiny: Plan, tmp_path: Path) -> None:
    results, runs = Results(tmp_path), tiny.runs()
    summary, display = drive(Scripted(failed, done), tiny, results)
    assert summary == Summary(1, [(runs[0].name, "made")])
    assert [text.split()[0] for text in display.said] == ["failed", "done"]
    assert results.status(runs[0].name) == "failed"
    assert missing(runs, results) == runs[1:]
    assert missing(runs, results, retry_failed=True) == runs


def test_a_failure_that_is_followed_by_a_stop_is_none(tiny: Plan, tmp_path: Path) -> None:
    """Whoever ends all processes of a job may reach a worker's before the driver."""
    stop = Stop(after=0.02)
    executor = Scripted(failed)
    summary, display = drive(executor, tiny, Results(tmp_path), stop)
    assert executor.asked_to_stop
    assert (summary.done, summary.failed, summary.stopped) == (0, [], stop.reason)
    assert [text.split()[0] for text in display.said] == ["stopped"]
    assert not (tmp_path / "failed").exists()


def test_a_worker_that_died_when_its_record_was_written_has_not_failed(
    tiny: Plan, tmp_path: Path
) -> None:
    def recorded(run: Run) -> Report:
        place_of_record(tmp_path, run).parent.mkdir(parents=True)
        place_of_record(tmp_path, run).write_text("{}")
        return failed(run)

    summary, _ = drive(Scripted(recorded, recorded), tiny, Results(tmp_path))
    assert (summary.done, summary.failed) == (2, [])
    assert not (tmp_path / "failed").exists()


def test_a_failure_that_cannot_be_written_is_told(
    tiny: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Results, "write", full)
    summary, _ = drive(Scripted(failed, failed), tiny, Results(tmp_path))
    assert "made; not recorded: the disk is full" in summary.failed[0][1]


def test_an_environment_that_is_broken_ends_the_grid_in_one_line(
    tiny: Plan, tmp_path: Path, data_root: Path
) -> None:
    def broken(_run: Run) -> Report:
        raise Broken("ImportError: libmade.so: cannot open shared object file")

    results, runs, executor = Results(tmp_path / "results"), tiny.runs(), Scripted(done, broken)
    with pytest.raises(UserError, match=r"^nothing can be computed here: ImportError: libmade"):
        compute_with(lambda: executor, runs, results, Quiet(runs, 1.0), Stop())
    assert executor.closed
    assert missing(runs, results) == runs


def test_what_breaks_because_all_were_ended_is_a_stop(tiny: Plan, tmp_path: Path) -> None:
    def broken(_run: Run) -> Report:
        raise Broken("a worker process ended while it started (exit status 1)")

    summary, _ = drive(Scripted(broken), tiny, Results(tmp_path), Stop(after=0.02))
    assert summary.failed == []
    assert summary.stopped


@pytest.fixture
def command(files: tuple[Path, Path], tmp_path: Path, data_root: Path) -> list[str]:
    """The command that computes the tiny table in a folder of its own."""
    command = [*COMMAND, "run", str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
    return [*command, "--results", str(tmp_path / "results"), "--device", "cpu"]


def test_a_grid_of_two_runs_from_the_command_line(command: list[str], tmp_path: Path) -> None:
    def call(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = call(command)
    assert first.returncode == 0, first.stderr
    assert "2 of 2 runs to compute: about" in first.stdout
    assert first.stdout.count("\ndone ") == 2
    assert "Complete: 2 runs, 1 seed a row; the protocol asks for 2." in first.stdout
    folder = tmp_path / "results" / "tiny"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    shown = {"plots/two-1seed.png", "plots/two-1seed-curves.svg", "plots/samples.png"}
    assert shown | {"tables/two-1seed.md", "tables/two-1seed.csv"} < written
    assert not [name for name in written if name.startswith("checkpoints/")]
    assert not [name for name in written if name.endswith(".part") or name.startswith("holds/")]

    record = json.loads(next(folder.glob("runs/32x4d*/run.json")).read_text())
    assert record["final"]["top1_error"] > 0
    sitting = record["sittings"][0]
    assert sitting["versions"].keys() >= {"python", "torch", "numpy"}
    assert len(record["data_checksum"]) == len(record["weights_checksum"]) == 16
    assert record["seconds"] > 0
    assert sitting["peak_memory"] is None or 100e6 < sitting["peak_memory"] < 2e9

    before = (folder / "tables/two-1seed.md").read_bytes()
    again = call(command)
    assert again.returncode == 0
    assert "All 2 runs are there." in again.stdout
    assert (folder / "tables/two-1seed.md").read_bytes() == before
    plan = [*command[:1], "plan", *command[2:]]
    assert "Nothing is missing." in call(plan).stdout


def test_failed_and_diverged_runs_are_listed_and_told_apart(
    files: tuple[Path, Path], command: list[str], tmp_path: Path
) -> None:
    first, second = make_plan(str(files[0]), str(files[1]), detect("cpu"), seeds=1).runs()
    results = Results(tmp_path / "results" / "tiny")
    results.write(make_record(first, None, [], [], failure="no memory"), [])
    infinite = make_record(second, None, [], [], failure="loss nan", diverged=True)
    results.write(infinite, [])
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert f"failed: {first.name}: no memory" in again.stderr
    assert f"diverged: {second.name}: loss nan" in again.stderr
    assert "try those that failed again with --retry-failed" in again.stderr


def test_a_broken_torch_ends_a_grid_with_its_own_first_line(
    command: list[str], tmp_path: Path
) -> None:
    """The driver does without torch, so that only the workers meet the broken one."""
    package = tmp_path / "broken" / "torch"
    package.mkdir(parents=True)
    line = "libtorch_cuda.so: undefined symbol: made"
    (package / "__init__.py").write_text(f"raise ImportError({line!r} + chr(10) + 'and more')")
    path = os.pathsep.join(
        [str(package.parent), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    )
    environment = {**os.environ, "PYTHONPATH": path}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert answer.returncode == 2
    assert answer.stderr == f"error: nothing can be computed here: ImportError: {line}\n"
    assert not (tmp_path / "results" / "tiny").exists()


def test_what_a_run_writes_is_sound_by_every_check(
    files: tuple[Path, Path], tmp_path: Path, data_root: Path
) -> None:
    """With a curve, as `quick` has it: epochs before the last are evaluated on fewer images."""
    text = files[1].read_text()
    files[1].write_text(text.replace("  shift: 1\n", "  shift: 1\n  curve: 20\n"))
    command = [*COMMAND, "run", str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
    command += ["--only", "32x4d", "--results", str(tmp_path / "results"), "--device", "cpu"]
    subprocess.run(command, check=True, capture_output=True)
    results = Results(tmp_path / "results" / "tiny")
    (record,), unsound = results.read_all()
    assert unsound == {}
    assert [row["images"] for row in results.epochs(record)] == [20, 40]


def test_a_grid_that_is_stopped_keeps_its_checkpoints(
    command: list[str], files: tuple[Path, Path], tmp_path: Path
) -> None:
    """With real nets, whose processes a signal to the group reaches all together."""
    files[1].write_text(TINY_PROTOCOL.replace("epochs: 2", "epochs: 4000"))
    process = subprocess.Popen(
        [*command, "--jobs", "2"],  # also where there is one core
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    checkpoints = tmp_path / "results/tiny/checkpoints"
    deadline = time.monotonic() + 60
    while len(list(checkpoints.glob("*.pt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    started = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped by SIGTERM; the same command goes on where this one stopped" in err
    assert "Traceback" not in err
    assert "Partial: 0 of 2 runs" in out
    assert len(list(checkpoints.glob("*.pt"))) == 2
    assert not list(checkpoints.glob("*.part"))
    assert psutil.wait_procs(started, timeout=5)[1] == []
