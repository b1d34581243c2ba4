"""Who computes runs: worker processes that are used again for the next run.

Each worker is a pool of one process, so that it is known which run a worker died of, and so that
its death touches no other run. Importing torch is paid once a worker.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty

import psutil

from cardinality.experiment.plan import Run
from cardinality.host.machine import Machine
from cardinality.host.processes import end_with_parent
from cardinality.host.provenance import Provenance
from cardinality.results.folder import Report, Results
from cardinality.results.records import make_record

# What one small run takes at most (torch itself, the images, a net of some million parameters).
MEMORY_PER_RUN = 1.5 * 2**30
# How often a worker tells how far it is, in parts of an epoch.
PROGRESS_STEP = 0.05

Progress = tuple[str, float]


def side_by_side(machine: Machine, threads: int) -> int:
    """How many runs go side by side: on a CPU as many as have cores and memory, else one.

    Args:
        machine: where they are computed.
        threads: of one run.
    """
    if machine.device != "cpu":
        return 1
    memory = int(psutil.virtual_memory().available / MEMORY_PER_RUN)
    return max(1, min(machine.cores // threads, memory))


class Pool:
    """A fixed number of workers, each with at most one run.

    Args:
        jobs: how many workers.
        folder: of the protocol's results.
        provenance: for the records.
    """

    def __init__(self, jobs: int, folder: Path, provenance: Provenance) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.progress: Queue[Progress] = self.context.Queue()
        self.stop: Event = self.context.Event()
        self.folder, self.provenance = folder, provenance
        self.workers = [self._start() for _ in range(jobs)]
        self.busy: dict[Future[Report], tuple[int, Run]] = {}

    def _start(self) -> ProcessPoolExecutor:
        """Start a worker; it imports torch while nobody waits for it."""
        arguments = (self.progress, self.stop)
        worker = ProcessPoolExecutor(1, self.context, initializer=_begin, initargs=arguments)
        worker.submit(_nothing)
        return worker

    @property
    def idle(self) -> int:
        """How many workers have nothing to do."""
        return len(self.workers) - len(self.busy)

    def submit(self, run: Run) -> None:
        """Give a run to an idle worker."""
        taken = {number for number, _ in self.busy.values()}
        number = next(n for n in range(len(self.workers)) if n not in taken)
        task = partial(_work, run, self.folder, self.provenance, len(self.workers))
        try:
            future = self.workers[number].submit(task)
        except BrokenProcessPool:  # it died while it had nothing to do
            self._restart(number)
            future = self.workers[number].submit(task)
        self.busy[future] = (number, run)

    def poll(self, seconds: float) -> Iterator[Report]:
        """Wait for that long, or until a run ends, and give the runs that have ended."""
        finished, _ = wait(self.busy, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in finished:
            number, run = self.busy.pop(future)
            try:
                report = future.result()
                if report.outcome == "failed" and run.numerics.device == "cuda":
                    self._restart(number)  # some errors leave a process without its GPU
                yield report
            except BrokenProcessPool:
                self._restart(number)
                yield self._record_failure(
                    run, "the worker process died (out of memory, or killed)"
                )
            except OSError as error:  # a full disk, where not even the failure could be written
                yield Report(run, "failed", str(error))

    def _restart(self, number: int) -> None:
        self.workers[number].shutdown(wait=False)
        self.workers[number] = self._start()

    def _record_failure(self, run: Run, reason: str) -> Report:
        """A worker that dies cannot say so itself; its run goes on from its checkpoint on retry."""
        record = make_record(run, None, [], [], failure=reason)
        Results(self.folder).write(record, [])
        return Report(run, "failed", reason)

    def updates(self) -> Iterator[Progress]:
        """What the workers have said since the last time: a run's name and its epochs done."""
        while True:
            try:
                yield self.progress.get_nowait()
            except Empty:
                return

    def close(self) -> None:
        """Ask every worker to end, and wait until it has."""
        self.stop.set()
        for worker in self.workers:
            worker.shutdown(wait=True, cancel_futures=True)


# --- in the worker ---------------------------------------------------------------------------

_say: Callable[[Progress], None]
_asked_to_stop: Callable[[], bool]


def _begin(progress: "Queue[Progress]", stop: Event) -> None:
    """Prepare a worker process: only the driver hears signals and tells it to stop."""
    import signal

    global _say, _asked_to_stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say, _asked_to_stop = progress.put, stop.is_set
    end_with_parent()
    import cardinality.execution.worker  # noqa: F401 -- torch, now
    from cardinality.host.memory import keep_freed_memory

    keep_freed_memory()


def _nothing() -> None:
    """The first task, which makes the worker start."""


def _work(run: Run, folder: Path, provenance: Provenance, side_by_side: int) -> Report:
    from cardinality.execution.worker import compute
    from cardinality.host.provenance import Place
    from cardinality.training.ends import Stopped

    said = -1.0

    def on_step(epochs: float) -> None:
        nonlocal said
        if _asked_to_stop():
            raise Stopped
        if epochs - said >= PROGRESS_STEP:
            said = epochs
            _say((run.name, epochs))

    return compute(run, folder, Place(provenance, side_by_side), on_step)
