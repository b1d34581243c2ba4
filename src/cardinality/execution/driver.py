"""Computes the runs of a plan that are missing: which, in what order, and what became of each."""

import time
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
from cardinality.execution.holds import Holds
from cardinality.execution.stopping import Stop
from cardinality.execution.tidying import tidy
from cardinality.execution.together import together_on
from cardinality.experiment.run import Run
from cardinality.host.launched import Launched
from cardinality.host.machine import usable_gpus
from cardinality.host.provenance import Provenance
from cardinality.results.folder import Results

# Seconds between a failure and its record. Whoever ends a whole job may reach a worker, or what it
# has started, before the driver; then that was a stop and no failure.
GRACE = 1.0
# Seconds at most between two looks at whether the grid is to end.
LOOK = 0.2
# Seconds between two looks at the runs that others have, at least and at most; and for each of
# them, so that many are hardly more work for the file server a second than a few.
ELSEWHERE, SELDOM, EACH = 5.0, 60.0, 0.2


@dataclass
class Summary:
    """What a grid came to: how many runs were computed, which failed, whether it was stopped.

    Those that other drivers have computed meanwhile are counted by themselves.
    """

    done: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    stopped: str = ""
    others: int = 0


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
    which: Launched | None = None,
) -> Summary:
    """Compute runs in worker processes, ``jobs`` side by side; see `compute_with`.

    Where several processes share a run, this is the driver of the first of them.
    """
    device = runs[0].numerics.device
    start = partial(Pool, jobs, results.folder, provenance, device)
    if which is not None:
        ready = partial(together_on, device, which)
        start = partial(start, make_ready=ready, processes=which.count)
    elif device == "cuda":
        start = partial(start, gpus=usable_gpus(runs[0].numerics.precision))
    return compute_with(start, runs, results, display, stop or Stop())


def compute_with(
    start: Callable[[], Executor],
    runs: Sequence[Run],
    results: Results,
    display: Display,
    stop: Stop,
) -> Summary:
    """Compute runs in their order until they are done or it is stopped.

    Any number of drivers may do so in one folder: a run that another computes is waited for, and
    taken over should that one die. A stop lets no run begin and ends those under way; each goes on
    where it stopped another time. A run that fails is recorded and stops no other.

    Args:
        start: starts what computes the runs.
        runs: which.
        results: where records go.
        display: what is told of it.
        stop: when to end before.

    Raises:
        UserError: nothing can be computed here.
    """
    with display:
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
        holds: who else computes; a test has some of its own, as it has a clock.
        clock: seconds.
        waits: whether runs that others compute are waited for.
    """

    def __init__(
        self,
        results: Results,
        executor: Executor,
        display: Display,
        stop: Stop,
        holds: Holds | None = None,
        clock: Callable[[], float] = time.monotonic,
        waits: bool = True,
    ) -> None:
        self.results, self.executor, self.display, self.stop = results, executor, display, stop
        self.holds, self.clock, self.waits = holds or Holds(results), clock, waits
        self.summary = Summary()
        self.waiting: deque[Run] = deque()
        self.under_way = 0
        # What others compute, and when that was looked at.
        self.elsewhere: dict[str, Run] = {}
        self.looked = 0.0
        self.retried: set[str] = set()
        self.told: set[str] = set()

    def drive(self, runs: Sequence[Run]) -> Summary:
        """Compute runs in their order, until all have ended or it is stopped.

        Raises:
            Broken: nothing can be computed here, and it was not stopped either.
        """
        self.begin(runs)
        while self.step():
            pass
        self.summary.stopped = self.stop.reason
        return self.summary

    def begin(self, runs: Sequence[Run]) -> None:
        """Take on runs; of those that have failed a new failure alone is news."""
        self.waiting.extend(runs)
        self.retried.update(run.name for run in runs if self.results.status(run.name) == "failed")

    def step(self) -> bool:
        """Give runs out, and listen for a while; whether anything is left to do."""
        if self.stop.reason:
            self.waiting.clear()
            self.elsewhere.clear()
            self.executor.stop()
        self._look_elsewhere()
        while self.waiting and self.executor.free:
            self._give(self.waiting.popleft())
        if not self.waiting and not self.under_way and not self.elsewhere:
            return False
        try:
            self._listen()
        except Broken:
            if not self.stop.within(GRACE):
                raise
            return False
        return True

    def _give(self, run: Run) -> None:
        """Give a run to the executor, unless another driver has it or has done it."""
        if not self._is_free(run):
            return
        self.executor.submit(run)
        self.under_way += 1
        self.display.started(run)

    def _is_free(self, run: Run) -> bool:
        """Whether nobody has a run; what others have done is settled, what they do waited for."""
        holder = self.holds.look(run.name)
        if holder is not None:
            self._leave(run, f"computed by {holder}")
            return False
        status = self.results.status(run.name)
        if status == "missing" or (status == "failed" and run.name in self.retried):
            return True
        if status == "done":
            self.summary.others += 1
            self.display.ended(run, status, "by another process")
        else:
            record = self.results.read(run.name)
            reason = (record.failure if record is not None else None) or ""
            self._settle(Report(run, status, reason))
        return False

    def _leave(self, run: Run, reason: str) -> None:
        """Leave a run to another, and tell that once."""
        if self.waits:
            self.elsewhere[run.name] = run
        if run.name not in self.told:
            self.told.add(run.name)
            self.display.ended(run, "taken", reason)

    def _look_elsewhere(self) -> None:
        """From time to time, see what has become of the runs that others compute."""
        pause = max(ELSEWHERE, min(SELDOM, EACH * len(self.elsewhere)))
        if not self.elsewhere or self.clock() < self.looked + pause:
            return
        self.looked = self.clock()
        others, self.elsewhere = self.elsewhere, {}
        # Ahead of what waits: a run whose holder died was begun before.
        self.waiting.extendleft(reversed([run for run in others.values() if self._is_free(run)]))

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
        try:
            return self._failed(report)
        finally:
            if report.hold is not None:
                report.hold.release()

    def _failed(self, report: Report) -> Report:
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
        if report.outcome == "taken":
            self._leave(report.run, report.reason)
            return
        if report.outcome == "done":
            self.summary.done += 1
        elif report.outcome != "stopped":
            self.summary.failed.append((report.run.name, report.reason))
        self.display.ended(report.run, report.outcome, report.reason)
