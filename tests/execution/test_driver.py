"""The grid, end to end: computed once, resumed, and stopped by nothing but its user."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from cardinality.common.errors import UserError
from cardinality.execution.display import Display
from cardinality.execution.driver import compute_all, missing
from cardinality.execution.executors import side_by_side
from cardinality.experiment.plan import Plan, Run
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from tests.made_images import MADE_FOLDERS, write_set
from tests.tiny import MADE, PLACE, TINY_PROTOCOL

COMMAND = [str(Path(sys.executable).with_name("cardinality"))]


def test_a_grid_of_two_runs_from_the_command_line(
    files: tuple[Path, Path], tmp_path: Path, data_root: Path
) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *arguments, str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
        command += ["--results", str(tmp_path / "results")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = call("run", "--device", "cpu")
    assert first.returncode == 0, first.stderr
    assert "2 of 2 runs to compute: about" in first.stdout
    assert first.stdout.count("\ndone ") == 2
    assert "Complete: 2 runs, 1 seed a row; the protocol asks for 2." in first.stdout
    folder = tmp_path / "results" / "tiny"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {f"plots/{n}" for n in ("two.png", "two.svg", "two-curves.png", "samples.png")} < written
    assert {"tables/two.md", "tables/two.csv"} < written
    assert not [name for name in written if name.startswith("checkpoints/")]

    record = json.loads(next(folder.glob("runs/32x4d*/run.json")).read_text())
    assert record["final"]["top1_error"] > 0
    assert record["provenance"]["versions"].keys() >= {"python", "torch", "numpy"}
    assert len(record["data_checksum"]) == len(record["weights_checksum"]) == 16
    assert record["seconds"] > 0
    assert record["peak_memory"] is None or 100e6 < record["peak_memory"] < 2e9

    before = (folder / "tables/two.md").read_bytes()
    again = call("run", "--device", "cpu")
    assert again.returncode == 0
    assert "All 2 runs are there." in again.stdout
    assert (folder / "tables/two.md").read_bytes() == before
    assert "Nothing is missing." in call("plan").stdout


def test_a_failed_run_stops_no_other_and_is_not_tried_again(
    files: tuple[Path, Path], tmp_path: Path, data_root: Path
) -> None:
    # A rate this large makes the loss infinite.
    files[1].write_text(TINY_PROTOCOL.replace("rate: 0.05", "rate: 1e20"))
    command = [*COMMAND, "run", str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
    command += ["--results", str(tmp_path), "--device", "cpu"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 1
    assert first.stderr.count("failed: ") == 2
    assert "loss" in first.stderr
    assert "Traceback" not in first.stderr
    assert "| failed |" in " ".join(first.stdout.split())
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "to compute" not in again.stdout


def tiny_but_long(files: tuple[Path, Path]) -> None:
    files[1].write_text(
        TINY_PROTOCOL.replace("epochs: 2", "epochs: 400").replace("train: 80", "train: 640")
    )


def streamed_and_long(files: tuple[Path, Path], data_root: Path) -> None:
    write_set(data_root, train=160)
    data = json.dumps(MADE_FOLDERS | {"train": 160})
    text = TINY_PROTOCOL.replace("{name: digits, side: 16, train: 80, test: 40}", data)
    files[1].write_text(text.replace("epochs: 2", "epochs: 400").replace("shift: 1", "shift: 0"))


@pytest.mark.parametrize("how", ["sigterm", "sigint", "stop-after"])
def test_a_grid_that_is_stopped_ends_cleanly_and_keeps_its_checkpoints(
    files: tuple[Path, Path], tmp_path: Path, data_root: Path, how: str
) -> None:
    tiny_but_long(files)
    command = [*COMMAND, "run", str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
    command += ["--results", str(tmp_path), "--device", "cpu"]
    command += ["--stop-after", "8s"] if how == "stop-after" else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    checkpoints = tmp_path / "tiny" / "checkpoints"
    if how != "stop-after":
        deadline = time.monotonic() + 60
        while len(list(checkpoints.glob("*.pt"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "goes on where this one stopped" in err
    assert "Traceback" not in err
    assert "Partial: 0 of 2 runs" in out
    # How far eight seconds lead depends on the machine.
    assert how == "stop-after" or len(list(checkpoints.glob("*.pt"))) == 2
    assert not list(checkpoints.glob("*.part"))


def test_a_signal_to_every_process_stops_streamed_runs_too(
    files: tuple[Path, Path], tmp_path: Path, data_root: Path
) -> None:
    """Ctrl-C reaches all processes of a terminal, a scheduler's SIGTERM all of a job."""
    streamed_and_long(files, data_root)
    command = [*COMMAND, "run", str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
    command += ["--results", str(tmp_path), "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("tiny/checkpoints/*.pt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "goes on where this one stopped" in err
    assert not list(tmp_path.glob("tiny/runs/*"))


@pytest.mark.parametrize("images", ["resident", "streamed"])
def test_a_driver_that_is_killed_leaves_no_workers(
    files: tuple[Path, Path], tmp_path: Path, data_root: Path, images: str
) -> None:
    import psutil

    if images == "streamed":
        streamed_and_long(files, data_root)
    else:
        tiny_but_long(files)
    command = [*COMMAND, "run", str(files[0]), "--protocol", str(files[1]), "--seeds", "1"]
    command += ["--results", str(tmp_path), "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("tiny/checkpoints/*.pt")) and time.monotonic() < deadline:
            time.sleep(0.1)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


class Silent(Display):
    """A display that remembers what it was told."""

    def _say(self, text: str) -> None:
        self.said = [*getattr(self, "said", []), text]


def test_a_worker_that_dies_fails_its_run_alone(
    tiny: Plan, tmp_path: Path, data_root: Path
) -> None:
    import psutil

    results = Results(tmp_path)
    runs = tiny.runs()
    killed: list[int] = []

    class Killer(Silent):
        def started(self, run: Run) -> None:
            super().started(run)
            if run.name == runs[0].name:
                children = psutil.Process().children()
                worker = next(c for c in children if "--multiprocessing-fork" in c.cmdline())
                killed.append(worker.pid)
                worker.kill()

    summary = compute_all(runs, results, 1, MADE, Killer(runs, 1.0))
    assert len(killed) == 1
    assert [name for name, _ in summary.failed] == [runs[0].name]
    assert "worker process died" in summary.failed[0][1]
    assert summary.done == 1
    assert missing(runs, results) == []
    assert missing(runs, results, retry_failed=True) == runs[:1]


def test_two_drivers_do_not_compute_in_one_folder(tiny: Plan, tmp_path: Path) -> None:
    results = Results(tmp_path)
    with FileLock(results.lock), pytest.raises(UserError, match="another `cardinality run`"):
        compute_all(tiny.runs(), results, 1, MADE, Silent(tiny.runs(), 1.0))


def test_how_many_runs_go_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 8 * 2**30

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    assert side_by_side(Machine("cpu", "a CPU", 2, True), threads=1) == 2
    assert side_by_side(Machine("cpu", "a CPU", 64, True), threads=1) == 5  # by memory
    assert side_by_side(Machine("cpu", "a CPU", 4, True), threads=8) == 1
    assert side_by_side(Machine("cuda", "a GPU", 64, True), threads=1) == 1


def test_a_failure_that_passes_keeps_the_checkpoint(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cardinality.execution import worker

    def compute(folder: str) -> Results:
        results = Results(tmp_path / folder)
        worker.compute(tiny.runs()[0], results.folder, PLACE, lambda _epochs: None)
        return results

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    name = tiny.runs()[0].name
    untouched = compute("untouched").read(name)
    with monkeypatch.context() as patched:
        patched.setattr(worker, "save_weights", full)
        results = compute("retried")
    failed = results.read(name)
    assert failed is not None
    assert failed.failure == "OSError: [Errno 28] No space left on device"
    assert results.checkpoint(name).exists()
    retried = compute("retried").read(name)
    assert retried is not None
    assert untouched is not None
    assert retried.weights_checksum == untouched.weights_checksum
    assert not results.checkpoint(name).exists()


def test_time_left_counts_only_the_work_of_this_sitting(
    tiny: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("cardinality.execution.display.time.monotonic", lambda: now[0])
    run = tiny.runs()[0]
    with Silent([run], expected=50.0) as display:
        display.started(run)
        display.advanced(run.name, 1.0)  # of two epochs, before: a checkpoint of half the run
        assert display.remaining() == pytest.approx(25)
        now[0] += 10
        display.advanced(run.name, 1.5)  # ten seconds for a quarter of the run
        assert display.remaining() == pytest.approx(10)
