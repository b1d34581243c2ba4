"""Computes the runs of a plan that are missing: which, in what order, and what became of each."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from cardinality.common.errors import UserError, one_line
from cardinality.data.store import prepare
from cardinality.execution.contract import Broken, Executor, Report
from cardinality.execution.display import Display
from cardinality.execution.executors import Pool
from cardinality.execution.lock import locked, tidy
from cardinality.execution.stopping import Stop
from cardinality.experiment.plan import Run
from cardinality.host.provenance import Provenance
from cardinality.results.folder import Results

# Seconds between a failure and its record. Whoever ends a whole job may reach a worker, or what it
# has started, before the driver; then that was a stop and no failure.
GRACE = 1.0
# Seconds at most between two looks at whether the grid is to end.
LOOK = 0.2


@dataclass
class Summary:
    """What a grid came to: how many runs were computed, which failed, whether it was stopped."""

    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: str = ""


def missing(runs: Sequence[Run], results: Results, retry_failed: bool = False) -> list[Run]:
    """The runs that have no record yet; with ``retry_failed`` also those that failed.

    One that diverged would diverge again.
    """
    wanted = ("missing", "failed") if retry_failed else ("missing",)
    return [run for run in runs if results.status(run.name) in wanted]


def compute_all(
    runs: Sequence[Run],
    results: Results,
    jobs: int,
    provenance: Provenance,
    display: Display,
    stop: Stop | None = None,
) -> Summary:
    """Compute runs in worker processes, ``jobs`` side by side; see `compute_with`."""
    start = partial(Pool, jobs, results.folder, provenance, runs[0].numerics.device)
    return compute_with(start, runs, results, display, stop or Stop())


def compute_with(
    start: Callable[[], Executor],
    runs: Sequence[Run],
    results: Results,
    display: Display,
    stop: Stop,
) -> Summary:
    """Compute runs in their order until they are done or it is stopped.

    A stop lets no run begin and ends those under way; each goes on from its last epoch another
    time. A run that fails is recorded and stops no other.

    Args:
        start: starts what computes the runs.
        runs: which.
        results: where records go.
        display: what is told of it.
        stop: when to end before.

    Raises:
        UserError: another driver is computing in the same folder, or nothing can be computed here.
    """
    with locked(results), display:
        tidy(results)
        try:
            # Workers import torch while the data are looked at.
            with closing(start()) as executor:
                stop.at_once = lambda: _in_a_hurry(executor, display)
                prepare(runs[0].data)
                return Driver(results, executor, display, stop).drive(runs)
        except Broken as error:
            raise UserError(f"nothing can be computed here: {error}") from None


def _in_a_hurry(executor: Executor, display: Display) -> None:
    """All that is done when a second signal ends the driver."""
    executor.kill()
    display.restore()


class Driver:
    """Gives runs to an executor and takes in what becomes of them.

    Args:
        results: where records go.
        executor: who computes.
        display: what is told of it.
        stop: when to end.
    """

    def __init__(self, results: Results, executor: Executor, display: Display, stop: Stop) -> None:
        self.results, self.executor, self.display, self.stop = results, executor, display, stop
        self.summary = Summary()
        self.under_way = 0

    def drive(self, runs: Sequence[Run]) -> Summary:
        """Compute runs in their order, until all have ended or it is stopped.

        Raises:
            Broken: nothing can be computed here, and it was not stopped either.
        """
        waiting = deque(runs)
        while True:
            if self.stop.reason:
                waiting.clear()
                self.executor.stop()
            if not waiting and not self.under_way:
                break
            while waiting and self.executor.free:
                self._begin(waiting.popleft())
            try:
                self._listen()
            except Broken:
                if not self.stop.within(GRACE):
                    raise
                break
        self.summary.stopped = self.stop.reason
        return self.summary

    def _begin(self, run: Run) -> None:
        self.executor.submit(run)
        self.under_way += 1
        self.display.started(run)

    def _listen(self) -> None:
        """Take in what the executor says, for a while or until it says something."""
        for news in self.executor.poll(LOOK):
            if isinstance(news, Report):
                self.under_way -= 1
                self._settle(self._judged(news))
            else:
                self.display.advanced(news.name, news.epochs)
        self.display.refresh()

    def _judged(self, report: Report) -> Report:
        """What a report comes to: a failure is none where the run was ended with all others."""
        if report.outcome != "failed":
            return report
        if self.stop.within(GRACE):
            return Report(report.run, "stopped")
        if self.results.status(report.run.name) == "done":  # it died with its record written
            return Report(report.run, "done")
        if report.record is not None:
            try:
                self.results.write(report.record, report.epochs)
            except OSError as error:  # a full disk, where not even a failure can be written
                return replace(report, reason=f"{report.reason}; not recorded: {one_line(error)}")
        return report

    def _settle(self, report: Report) -> None:
        """Count an end and show it."""
        if report.outcome == "done":
            self.summary.done += 1
        elif report.outcome != "stopped":
            self.summary.failed.append((report.run.name, report.reason))
        self.display.ended(report.run, report.outcome, report.reason)
