"""Grids that are killed in every phase: the same bits in the end, nothing torn, nobody left.

Run by ``make test-faults``; ``FAULTS=sample`` takes a tenth of the kills. What is killed are real
grids from the command line, with real nets. A grid whose processes were ended goes on with the same
command until it is complete, and must then have the records of one that nobody touched.
"""

import os
import pty
import random
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.grids import SAMPLE, Grid, Untouched, completed, untouched_in

pytestmark = pytest.mark.faults

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


# --- whom a kill reaches ------------------------------------------------------------------------


def group(grid: Grid, number: signal.Signals) -> None:
    os.killpg(grid.running.pid, number)


def driver(grid: Grid, number: signal.Signals) -> None:
    grid.running.send_signal(number)


def worker(grid: Grid, number: signal.Signals) -> None:
    for one in random.sample(found := grid.workers(), min(1, len(found))):
        one.send_signal(number)


def each(grid: Grid, number: signal.Signals) -> None:
    """As a scheduler reaches a job: one process after the other, the driver last."""
    for one in grid.processes():
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def twice(grid: Grid, number: signal.Signals) -> None:
    group(grid, number)
    time.sleep(0.3)
    if grid.running.poll() is None:
        group(grid, number)


Whom = Callable[[Grid, signal.Signals], None]
KILLS: list[tuple[Whom, signal.Signals]] = [
    (group, signal.SIGKILL),
    (driver, signal.SIGKILL),
    *((whom, number) for whom in (group, each) for number in STOPS),
    (worker, signal.SIGKILL),
    (group, signal.SIGKILL),
    (driver, signal.SIGTERM),
    *((twice, number) for number in STOPS),
    (worker, signal.SIGTERM),
    (each, signal.SIGKILL),
]


# --- when ---------------------------------------------------------------------------------------


def waited(grid: Grid, seen: Callable[[], bool], pause: float = 0.0) -> bool:
    """Wait until something is seen; whether it was before the command ended."""
    end = time.monotonic() + 90
    while time.monotonic() < end and grid.running.poll() is None:
        if seen():
            time.sleep(pause)
            return grid.running.poll() is None
        time.sleep(0.0005)
    return False


def starting(grid: Grid) -> bool:
    time.sleep(random.uniform(0, 1.5))
    return grid.running.poll() is None


def between_checkpoints(grid: Grid) -> bool:
    """A while after a new checkpoint: in the next epoch's training or evaluation."""
    begun = time.time()
    folder = grid.results.folder / "checkpoints"

    def written() -> bool:
        return any(_modified(path) > begun for path in folder.glob("*.pt"))

    return waited(grid, written, random.uniform(0, 0.4))


def writing_checkpoint(grid: Grid) -> bool:
    folder = grid.results.folder / "checkpoints"
    return waited(grid, lambda: any(folder.glob("*.pt.*.part")))


def recording(grid: Grid) -> bool:
    """From the first byte of a run's weights to the end of its record."""
    results = grid.results
    begun = len(list(results.folder.glob("weights/*")))
    seen = waited(grid, lambda: len(list(results.folder.glob("weights/*"))) > begun)
    time.sleep(random.uniform(0, 0.06))
    return seen and grid.running.poll() is None


def rendering(grid: Grid) -> bool:
    time.sleep(random.uniform(0, 2.5))
    return grid.running.poll() is None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


# --- and what must then hold --------------------------------------------------------------------

# Phase: its protocol, the moment, and how many kills.
PHASES: dict[str, tuple[str, Callable[[Grid], bool], int]] = {
    "starting": ("training", starting, 40),
    "training": ("training", between_checkpoints, 20),
    "writing a checkpoint": ("training", writing_checkpoint, 16),
    "evaluating": ("evaluating", between_checkpoints, 16),
    "recording": ("many", recording, 16),
    "rendering": ("training", rendering, 12),
    "streaming": ("streamed", between_checkpoints, 6),
}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Untouched:
    """The grids to compare with."""
    return untouched_in(tmp_path_factory.mktemp("grids"))


def check(
    grid: Grid,
    untouched: Untouched,
    whom: Whom,
    number: signal.Signals,
    before: dict[str, str],
    drawing: bool,
) -> str:
    """See that a kill has left what it may, and say how the command ended.

    A failure that was there before stays until its run has been computed again.
    """
    status, _, err = grid.ended()
    worker_killed = (whom, number) == (worker, signal.SIGKILL)
    failures = grid.failures()
    if worker_killed:
        assert len(failures.keys() - before.keys()) <= 1
        assert set(failures.values()) <= {"the worker process died (killed by SIGKILL)"}
        assert status == bool(failures)
    else:
        assert failures.items() <= before.items()
    for name, checksum in grid.checksums().items():
        assert checksum == untouched.of(grid.protocol)[name]
    assert "Traceback" not in err, err
    if number == signal.SIGKILL and not worker_killed:
        assert status == -signal.SIGKILL
        return "killed in a write" if any(grid.results.folder.rglob("*.part")) else "killed"
    # At once: a second signal, or any once the records are there.
    at_once = {-number, 128 + signal.SIGINT if number == signal.SIGINT else -number}
    expected = (
        {0}
        if worker_killed or whom is worker
        else {0, *(at_once if drawing or whom is twice else ())}
    )
    assert status in expected | {int(bool(failures))}, (status, err)
    if status == 0:
        left = [path.name for path in grid.results.folder.rglob("*.part")]
        assert left == [], (whom.__name__, number, err)
    return "failed" if failures else "stopped" if "stopped by" in err else f"status {status}"


@pytest.mark.parametrize("phase", PHASES)
def test_the_same_bits_whenever_and_however_a_grid_is_killed(
    untouched: Untouched, phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol, moment, count = PHASES[phase]
    random.seed(phase)
    untouched.of(protocol)
    number = 1000 * (list(PHASES).index(phase) + 1)
    grid, kills, came_to = Grid(untouched.root, protocol, number), 0, Counter[str]()
    drawing = phase == "rendering"
    count = max(1, count // 10) if SAMPLE else count
    if drawing:
        completed(grid, untouched)
    while kills < count:
        before, line = grid.failures(), grid.start("--retry-failed")
        if ("All " in line) != drawing or not moment(grid):
            assert grid.ended()[0] == 0
            completed(grid, untouched)  # it was faster; another begins
            number += 1
            grid = Grid(untouched.root, protocol, number) if not drawing else grid
            continue
        whom, sent = KILLS[kills % len(KILLS)] if not SAMPLE else random.choice(KILLS)
        whom(grid, sent)
        kills += 1
        came_to[check(grid, untouched, whom, sent, before, drawing)] += 1
    completed(grid, untouched)
    with capsys.disabled():
        grids = number % 1000 + 1
        print(f"\n{phase}: {kills} kills over {grids} grids: {dict(came_to)}")


def test_a_terminal_that_is_closed_ends_a_grid_in_its_order(untouched: Untouched) -> None:
    """SIGHUP comes, and from then on not a word can be written."""
    grid = Grid(untouched.root, "training", 9000)
    begun = len(untouched.of("training"))
    ours, theirs = pty.openpty()
    command, environment = grid.command("--retry-failed")
    setsid = ["setsid", "--ctty", "--wait", *command]
    grid.process = subprocess.Popen(
        setsid, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, text=True
    )
    os.close(theirs)
    end = time.monotonic() + 120
    while (
        len(list(grid.results.folder.glob("checkpoints/*.pt"))) < begun and time.monotonic() < end
    ):
        if select.select([ours], [], [], 0.05)[0]:
            os.read(ours, 2**16)
    os.close(ours)
    status, _, _ = grid.ended()
    assert status == 0
    assert grid.failures() == {}
    completed(grid, untouched)
