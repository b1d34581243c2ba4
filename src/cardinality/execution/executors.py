"""Who computes runs: worker processes on this machine, used again for the next run.

Importing torch is paid once a worker. Each has a connection of its own, so that it is known which
run a worker died of, and so that its death holds up no other.
"""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV

from cardinality.execution.contract import Broken, Compute, Progress, Report
from cardinality.execution.failure import failure_of
from cardinality.execution.process import Halt, Ready, Task, on_gpu, serve, torch_on
from cardinality.experiment.run import Run
from cardinality.host import limits
from cardinality.host.machine import Device, Gpu, Machine
from cardinality.host.processes import LOST_PEER, how_it_ended, oom_kills, start_shielded
from cardinality.host.provenance import Place, Provenance
from cardinality.results.folder import Results

# Workers that may be killed from outside while they start before the grid gives up.
LOST_STARTS = 3
# By what a process ends that has done something wrong itself.
FAULTS = {-SIGABRT, -SIGBUS, -SIGFPE, -SIGILL, -SIGSEGV}
# Seconds that a process gets to end by itself when it has nothing to do any more.
LEAVING = 5.0


# Runs that a GPU computes at once, by its name: each with the multiply-adds of a step (forward, of
# the whole batch) up to which a net counts as that small. A row is put here where the benchmark's
# "side by side" (results/bench) says that so many come to 1.1 times the images a second of one
# or more. No GPU has been measured, so each computes one run at a time.
RUNS_ON_A_GPU: dict[str, tuple[tuple[float, int], ...]] = {}


def runs_on(gpu: Gpu, macs: float) -> int:
    """How many runs go side by side on a GPU whose steps take so many multiply-adds."""
    rows = RUNS_ON_A_GPU.get(gpu.name, ())
    return max((count for most, count in rows if macs <= most), default=1)


def side_by_side(
    machine: Machine,
    threads: int,
    memory: float,
    gpus: Sequence[Gpu] = (),
    macs: float = float("inf"),
) -> int:
    """How many runs go side by side: on a CPU as many as have cores and memory, else one a GPU.

    Args:
        machine: where they are computed.
        threads: of one run.
        memory: bytes that one run takes at most.
        gpus: that compute, where it is not the CPU; several small runs each where that pays.
        macs: multiply-adds of the largest step.
    """
    if machine.device != "cpu":
        return max(1, sum(runs_on(gpu, macs) for gpu in gpus))
    return max(1, min(machine.cores // threads, int(limits.memory() / memory)))


@dataclass
class Worker:
    """A worker process as its driver sees it.

    Attributes:
        process: the process.
        connection: to it.
        ready: whether it can compute.
        run: what it computes.
        oom_kills: the system's count when it began what it does.
        gpu: the only one that it sees, where there are several.
    """

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    run: Run | None = None
    oom_kills: int | None = None
    gpu: Gpu | None = None

    def how_it_died(self) -> str:
        """Wait until the process has ended, and say how it did."""
        self.end(LEAVING)
        before, after = self.oom_kills, oom_kills()
        killed = self.process.exitcode == -SIGKILL
        if killed and before is not None and after is not None and after > before:
            return "out of memory: ended by the system, which counts that"
        return how_it_ended(self.process.exitcode)

    def end(self, seconds: float) -> None:
        """Wait so long for the process to end by itself, then kill it."""
        self.process.join(seconds)
        self.process.kill()
        self.process.join()


class Pool:
    """A fixed number of workers, each with at most one run: an `Executor`.

    Args:
        jobs: how many workers.
        folder: of the protocol's results.
        provenance: for the records.
        device: that runs are computed on.
        make_ready: what a worker imports to compute a run; torch unless something else is given.
        processes: that share a run.
        gpus: the workers', one after the other in turn; without any, each sees all there are.
    """

    def __init__(
        self,
        jobs: int,
        folder: Path,
        provenance: Provenance,
        device: Device,
        make_ready: Callable[[], Compute] | None = None,
        processes: int = 1,
        gpus: Sequence[Gpu] = (),
    ) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.folder, self.device = folder, device
        self.make_ready = make_ready or partial(torch_on, device)
        turns = [gpus[number % len(gpus)] if gpus else None for number in range(jobs)]
        self.beside = Counter(turns)
        self.place = Place(provenance, jobs, processes, here=jobs)
        self.lost_starts, self.stopping = 0, False
        self.workers: list[Worker] = []
        try:
            for gpu in turns:
                self._start(gpu)
        except BaseException:
            self.close()
            raise

    def _start(self, gpu: Gpu | None) -> None:
        """Start a worker; it imports torch while nobody waits for it."""
        ours, theirs = self.context.Pipe()
        ready = self.make_ready if gpu is None else partial(on_gpu, gpu.visible, self.make_ready)
        process = self.context.Process(target=serve, args=(theirs, self.folder, ready))
        try:
            start_shielded(process)
        except OSError as error:
            raise Broken(f"a worker process cannot be started: {error}") from None
        theirs.close()  # so that its death is the end of the connection
        self.workers.append(Worker(process, ours, oom_kills=oom_kills(), gpu=gpu))

    @property
    def free(self) -> int:
        """How many workers are ready and have nothing to do."""
        return sum(worker.ready and worker.run is None for worker in self.workers)

    def submit(self, run: Run) -> None:
        """Give a run to a free worker."""
        worker = next(worker for worker in self.workers if worker.ready and worker.run is None)
        worker.run, worker.oom_kills = run, oom_kills()
        self._tell(worker, Task(run, self._place(worker)))

    def _place(self, worker: Worker) -> Place:
        """Where a worker computes: on a GPU its neighbours there count."""
        if worker.gpu is None:
            return self.place
        made = self.place.provenance.model_copy(update={"machine": worker.gpu.name})
        return replace(self.place, provenance=made, side_by_side=self.beside[worker.gpu])

    def poll(self, seconds: float) -> Iterator[Progress | Report]:
        """What the workers have said; waits so long for one to say something.

        Raises:
            Broken: a worker cannot compute, whatever it is given.
        """
        by_connection: dict[object, Worker] = {one.connection: one for one in self.workers}
        for connection in wait([one.connection for one in self.workers], seconds):
            worker = by_connection[connection]
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._lost(worker)
            else:
                yield from self._hear(worker, message)

    def _hear(
        self, worker: Worker, message: Ready | Broken | Progress | Report
    ) -> Iterator[Progress | Report]:
        """Take in one thing that a worker has said."""
        if isinstance(message, Broken):
            raise message
        if isinstance(message, Ready):
            worker.ready, self.lost_starts = True, 0
            return
        if isinstance(message, Report):
            worker.run = None
            if message.outcome == "failed" and self.device == "cuda":
                self._replace(worker)  # some errors leave a process without its GPU
        yield message

    def _lost(self, worker: Worker) -> Iterator[Report]:
        """A worker has died, or is about to; it cannot say so itself."""
        how = worker.how_it_died()
        if worker.process.exitcode == LOST_PEER:
            raise Broken("a process that shared the run is lost")
        if self.place.processes > 1:  # the others cannot go on without it
            raise Broken(f"the first of the processes that share a run died ({how})")
        if worker.run is not None:
            reason = f"the worker process died ({how})"
            record = failure_of(worker.run, Results(self.folder), reason)
            yield Report(worker.run, "failed", reason, record)
        elif not worker.ready and not self.stopping:
            self.lost_starts += 1
            code = worker.process.exitcode
            if code is None or code >= 0 or code in FAULTS or self.lost_starts > LOST_STARTS:
                raise Broken(f"a worker process ended while it started ({how})")
        self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        """Start another in a worker's place, unless all are to end."""
        self.workers.remove(worker)
        worker.connection.close()
        worker.end(0)
        if not self.stopping:
            self._start(worker.gpu)

    def _tell(self, worker: Worker, message: Task | Halt) -> None:
        """Tell a worker; that one has died is heard at the next poll."""
        try:
            worker.connection.send(message)
        except OSError:
            return

    def stop(self) -> None:
        """Ask every worker that has a run to end it."""
        if not self.stopping:
            self.stopping = True
            for worker in self.workers:
                if worker.run is not None:
                    self._tell(worker, Halt())

    def kill(self) -> None:
        """End every worker now, whatever it is doing."""
        for worker in self.workers:
            worker.process.kill()

    def close(self) -> None:
        """Leave no worker behind; one that has a run is ended."""
        for worker in self.workers:
            if worker.run is not None or not worker.ready:
                worker.process.kill()
            worker.connection.close()
        for worker in self.workers:
            worker.end(LEAVING)
