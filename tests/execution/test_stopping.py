"""Signals: whenever one comes and whomever it reaches, the grid is stopped and nothing failed."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cardinality.execution.stopping import Stop
from cardinality.results.folder import Results
from tests.execution.fakes import VARIABLE, place_of_record, plan_runs
from tests.places import ROOT

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Driver = subprocess.Popen[str]


@contextmanager
def driver(folder: Path, fakes: str = "", prefix: tuple[str, ...] = ()) -> Iterator[Driver]:
    """A driver in a group of its own that has just said how many runs there are to compute."""
    # Whoever runs these tests may have a signal ignored, as nohup does, and that is inherited.
    heard = ("env", "--default-signal", *prefix)
    command = [*heard, sys.executable, "-m", "tests.execution.fakes", str(folder)]
    environment = {**os.environ, VARIABLE: fakes, "CARDINALITY_DATA": str(folder / "data")}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "runs to compute" in process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], object]) -> None:
    """Wait for something that takes a moment, at most a minute."""
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


def started(process: Driver) -> list[psutil.Process]:
    """What a driver has started."""
    return psutil.Process(process.pid).children(recursive=True)


def to_group(process: Driver, number: signal.Signals) -> None:
    os.killpg(process.pid, number)


def to_driver(process: Driver, number: signal.Signals) -> None:
    process.send_signal(number)


def to_others(process: Driver, number: signal.Signals) -> None:
    for other in started(process):
        other.send_signal(number)


def one_after_the_other(process: Driver, number: signal.Signals) -> None:
    """As a scheduler reaches the processes of a job, the driver last."""
    for other in (*reversed(started(process)), psutil.Process(process.pid)):
        other.send_signal(number)
        time.sleep(0.02)


# Of a start that takes one to two seconds.
SWEEP = [
    (0.0, signal.SIGTERM, to_group),
    (0.05, signal.SIGINT, to_group),
    (0.2, signal.SIGHUP, one_after_the_other),
    (0.5, signal.SIGINT, one_after_the_other),
    (0.8, signal.SIGHUP, to_group),
    (1.2, signal.SIGTERM, to_driver),
]


def test_a_signal_while_workers_start_records_nothing_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    for seconds, number, whom in SWEEP:
        with driver(tmp_path, "1x64d=long 32x4d=long") as process:
            time.sleep(seconds)
            whom(process, number)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, ""), (seconds, number)
        assert f"0 done, 0 failed, stopped by {number.name}" in out
        assert not (tmp_path / "failed").exists()
    with driver(tmp_path) as process:
        out, _ = process.communicate(timeout=60)
    assert "2 done, 0 failed, to the end" in out


def test_signals_that_reach_workers_alone_end_nothing(tmp_path: Path) -> None:
    with driver(tmp_path) as process:
        for number in STOPS:
            to_others(process, number)
        until(lambda: len(started(process)) == 3)  # Python's own tracker of resources is the third
        for number in STOPS:
            to_others(process, number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "2 done, 0 failed, to the end" in out


def test_a_second_signal_ends_at_once_whatever_a_worker_is_doing(tmp_path: Path) -> None:
    with driver(tmp_path, "1x64d=deaf 32x4d=deaf") as process:
        until(lambda: len(started(process)) == 3)
        time.sleep(2)
        others = started(process)
        to_group(process, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):  # the runs do not look up
            process.wait(0.5)
        to_group(process, signal.SIGINT)
        assert process.wait(5) == -signal.SIGINT
    assert psutil.wait_procs(others, timeout=5)[1] == []
    assert not (tmp_path / "failed").exists()


def test_timeout_which_sends_its_signal_twice_stops_in_order(tmp_path: Path) -> None:
    prefix = ("timeout", "--preserve-status", "3")
    with driver(tmp_path, "1x64d=long 32x4d=long", prefix) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "0 done, 0 failed, stopped by SIGTERM" in out


def test_nohup_is_respected(tmp_path: Path) -> None:
    with driver(tmp_path, prefix=("nohup",)) as process:
        to_group(process, signal.SIGHUP)
        out, _ = process.communicate(timeout=60)
    assert "2 done, 0 failed, to the end" in out


def test_a_terminal_that_is_closed_stops_in_order_and_nothing_is_printed_there(
    tmp_path: Path,
) -> None:
    code = (
        "import pathlib, sys, time; from cardinality.execution.stopping import Stop\n"
        "with Stop() as stop:\n"
        "    print('ready', flush=True)\n"
        "    while not stop.reason: time.sleep(0.01)\n"
        "    print('a word', flush=True); print('an error', file=sys.stderr, flush=True)\n"
        "pathlib.Path(sys.argv[1]).write_text(stop.reason)\n"
    )
    ours, theirs = pty.openpty()
    said = tmp_path / "said"
    heard = ["env", "--default-signal", "setsid", "--ctty", "--wait"]
    with subprocess.Popen(
        [*heard, sys.executable, "-c", code, str(said)], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        assert os.read(ours, 100).startswith(b"ready")
        os.close(ours)
        assert process.wait(60) == 0
    assert said.read_text() == "stopped by SIGHUP"


def test_a_driver_that_is_killed_takes_its_workers_along_and_the_next_goes_on(
    tmp_path: Path,
) -> None:
    with driver(tmp_path, "1x64d=done 32x4d=deaf") as process:
        runs, results = plan_runs(tmp_path), Results(tmp_path)
        first = next(run for run in runs if str(run.architecture.setting) == "1x64d")
        until(place_of_record(tmp_path, first).exists)
        others = started(process)
        process.kill()
    assert len(others) == 3
    assert psutil.wait_procs(others, timeout=5)[1] == []
    second = next(run for run in runs if run != first)
    assert results.holds(second.name).exists()
    with driver(tmp_path) as process:
        out, _ = process.communicate(timeout=60)
    assert "1 done, 0 failed, to the end" in out
    assert not results.holds(second.name).exists()


def test_the_time_given_is_a_reason_to_end() -> None:
    stop = Stop(after=0.1)
    assert not stop.within(0)
    assert stop.within(5)
    assert "--stop-after" in stop.reason
    assert not Stop().within(0)
