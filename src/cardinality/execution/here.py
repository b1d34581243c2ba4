"""Computes runs in this process, one after the other: an `Executor`, as a cluster's job has it."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from cardinality.common.errors import one_line
from cardinality.execution.attempt import attempt
from cardinality.execution.contract import Broken, Compute, Progress, Report
from cardinality.execution.stopping import Stop
from cardinality.experiment.run import Run
from cardinality.host.provenance import Place
from cardinality.training.ends import Stopped


class Here:
    """One run at a time, while it is listened to.

    Args:
        compute: trains a run and writes its record.
        folder: of the protocol's results.
        place: where, for the record.
        stop: looked at between steps.
    """

    def __init__(self, compute: Compute, folder: Path, place: Place, stop: Stop) -> None:
        self.compute, self.folder, self.place, self.asked = compute, folder, place, stop
        self.given: deque[Run] = deque()

    @property
    def free(self) -> int:
        """One, unless there is a run to compute."""
        return 0 if self.given else 1

    def submit(self, run: Run) -> None:
        """Keep a run until it is listened."""
        self.given.append(run)

    def poll(self, seconds: float) -> Iterator[Progress | Report]:
        """Compute the run that was given.

        Raises:
            Broken: nothing can be computed here.
        """
        if not self.given:
            self.asked.within(seconds)
            return
        run = self.given.popleft()
        try:
            report = attempt(self.compute, run, self.folder, self.place, self._on_step)
        except Broken:
            raise
        except Exception as error:
            raise Broken(one_line(error)) from error
        yield report

    def _on_step(self, _epochs: float) -> None:
        if self.asked.reason:
            raise Stopped

    def stop(self) -> None:
        """Nothing is under way while nobody listens."""

    def kill(self) -> None:
        """Nothing else has been started."""

    def close(self) -> None:
        """Nothing is left behind."""
