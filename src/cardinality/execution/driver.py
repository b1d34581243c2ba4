"""Computes the runs of a plan that are missing, several side by side."""

import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from filelock import FileLock, Timeout

from cardinality.common.errors import UserError
from cardinality.data.store import prepare
from cardinality.execution.display import Display
from cardinality.execution.executors import Pool
from cardinality.experiment.plan import Run
from cardinality.host.machine import check_usable
from cardinality.host.provenance import Provenance
from cardinality.results.folder import Results


@dataclass
class Summary:
    """What a grid came to: how many runs were computed, which failed, whether it was stopped."""

    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: str = ""


def missing(runs: Sequence[Run], results: Results, retry_failed: bool = False) -> list[Run]:
    """The runs that have no record yet; with ``retry_failed`` also those that failed."""
    wanted = ("missing", "failed") if retry_failed else ("missing",)
    return [run for run in runs if results.status(run.name) in wanted]


def compute_all(
    runs: Sequence[Run],
    results: Results,
    jobs: int,
    provenance: Provenance,
    display: Display,
    stop_after: float | None = None,
) -> Summary:
    """Compute runs in their order, ``jobs`` side by side, until they are done or it is stopped.

    SIGINT, SIGTERM and the end of ``stop_after`` seconds let no run begin and end those under
    way; each goes on from its last epoch another time. A run that fails is recorded and stops no
    other.

    Raises:
        UserError: another driver is computing in the same folder, or torch cannot use the device.
    """
    check_usable(runs[0].numerics.device)
    summary = Summary()
    waiting = deque(runs)
    with _locked(results), _signals(summary), display:
        pool = Pool(jobs, results.folder, provenance)
        try:
            prepare(runs[0].data)
            deadline = None if stop_after is None else time.monotonic() + stop_after
            while waiting or pool.busy:
                if deadline is not None and time.monotonic() > deadline and not summary.stopped:
                    summary.stopped = "the time given by --stop-after is over"
                if summary.stopped:
                    pool.stop.set()
                    waiting.clear()
                while waiting and pool.idle:
                    run = waiting.popleft()
                    pool.submit(run)
                    display.started(run)
                _collect(pool, summary, display)
        finally:
            pool.close()
    return summary


def _collect(pool: Pool, summary: Summary, display: Display) -> None:
    """Take in what the workers say, for a fifth of a second or until a run ends."""
    for report in pool.poll(0.2):
        if report.outcome == "done":
            summary.done += 1
        elif report.outcome in ("failed", "diverged"):
            summary.failed.append((report.run.name, report.reason))
        display.ended(report.run, report.outcome, report.reason)
    for name, epochs in pool.updates():
        display.advanced(name, epochs)
    display.refresh()


@contextmanager
def _locked(results: Results) -> Iterator[None]:
    results.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(results.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{results.folder}: another `cardinality run` is computing here; wait for it, or give"
            " another folder with --results"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _signals(summary: Summary) -> Iterator[None]:
    """Note SIGINT and SIGTERM instead of dying of them; a second one has its usual effect."""

    def note(number: int, _frame: FrameType | None) -> None:
        summary.stopped = f"stopped by {signal.Signals(number).name}"
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
