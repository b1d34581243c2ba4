"""A worker process: makes itself ready, then computes one run after the other. Without torch.

It hears its driver through one connection, whose end is its own end: the driver has closed it, or
has died.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from cardinality.common.errors import one_line
from cardinality.execution.attempt import attempt
from cardinality.execution.contract import Broken, Compute, Progress, Report
from cardinality.experiment.run import Run
from cardinality.host.machine import Device, check_usable
from cardinality.host.processes import STOPS
from cardinality.host.provenance import Place
from cardinality.training.ends import Stopped

# How often a worker tells how far it is, in parts of an epoch.
PROGRESS_STEP = 0.05


@dataclass(frozen=True)
class Task:
    """A run to be computed, and where that happens."""

    run: Run
    place: Place


@dataclass(frozen=True)
class Halt:
    """The driver asks the run that is under way to end."""


@dataclass(frozen=True)
class Ready:
    """The worker can compute: its imports and its device are there."""


class Line:
    """The worker's end of the connection.

    Args:
        connection: to the driver.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.asked_to_stop = threading.Event()
        self.busy = False
        threading.Thread(target=self._listen, daemon=True).start()

    def say(self, message: Ready | Broken | Progress | Report) -> None:
        """Tell the driver; without one there is nothing left to do."""
        try:
            self.connection.send(message)
        except OSError:
            os._exit(1)

    def _listen(self) -> None:
        while True:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                self.tasks.put(None)
                if self.busy:  # there is nobody to compute for
                    os._exit(1)
                return
            if isinstance(message, Halt):
                self.asked_to_stop.set()
            else:
                self.busy = True
                self.tasks.put(message)


def serve(connection: Connection, folder: Path, make_ready: Callable[[], Compute]) -> None:
    """All that a worker process does.

    Args:
        connection: to the driver.
        folder: of the protocol's results.
        make_ready: imports what computes a run; whatever it raises ends the grid.
    """
    # It began with these masked (`start_shielded`), and whoever lets them through finds them
    # ignored. What it starts inherits both.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    line = Line(connection)
    line.busy = True  # nothing is lost by whoever dies while starting
    try:
        compute = make_ready()
    except BaseException as error:  # an import may end in any way, SystemExit among them
        line.say(_told(error))
        return
    line.busy = False
    line.say(Ready())
    while (task := line.tasks.get()) is not None:
        report = _attempt(compute, task, folder, line)
        line.busy = False
        line.say(report)


def torch_on(device: Device) -> Compute:
    """Import torch and start the device that runs are computed on."""
    import torch

    from cardinality.execution.worker import compute
    from cardinality.host.memory import keep_freed_memory

    check_usable(device)
    torch.zeros(1, device=device).item()
    keep_freed_memory()
    return compute


def on_gpu(visible: str, make_ready: Callable[[], Compute]) -> Compute:
    """Get ready where one GPU alone is seen: CUDA reads this when torch first asks for it."""
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    return make_ready()


def _attempt(compute: Compute, task: Task, folder: Path, line: Line) -> Report | Broken:
    """Compute a run, and tell how far it is."""
    said = -1.0

    def on_step(epochs: float) -> None:
        nonlocal said
        if line.asked_to_stop.is_set():
            raise Stopped
        if epochs - said >= PROGRESS_STEP:
            said = epochs
            line.say(Progress(task.run.name, epochs))

    try:
        return attempt(compute, task.run, folder, task.place, on_step)
    except BaseException as error:  # what concerns the run alone has been told by the report
        return _told(error)


def _told(error: BaseException) -> Broken:
    """The error in a line; in whole on standard error where that was asked for."""
    if os.environ.get("CARDINALITY_DEBUG"):
        traceback.print_exception(error)
    return error if isinstance(error, Broken) else Broken(one_line(error))
