"""What the driver and an executor say to each other, whoever computes and wherever."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from cardinality.execution.holds import Hold
from cardinality.experiment.run import Run
from cardinality.host.provenance import Place
from cardinality.results.epochs import Epoch
from cardinality.results.records import Record


class Broken(Exception):
    """Nothing can be computed here, whichever the run; the message is the first line of why.

    It says nothing about a run, so nothing is recorded.
    """


@dataclass(frozen=True)
class Progress:
    """A run has done so many of its epochs."""

    name: str
    epochs: float


@dataclass(frozen=True)
class Report:
    """How a run ended.

    Attributes:
        run: which.
        outcome: ``done`` and ``diverged`` are final and have been recorded where they were seen.
            ``stopped`` leaves no record. A run that ``failed`` has none yet: whether it did, or
            was ended with all others, only the driver can know. One that is ``taken`` is
            somebody else's, or has been done by somebody else.
        reason: why it failed or diverged, or who has taken it.
        record: of a run that failed.
        epochs: for the record.
        hold: of a run that failed, to be released when the record is written.
    """

    run: Run
    outcome: Literal["done", "failed", "diverged", "stopped", "taken"]
    reason: str = ""
    record: Record | None = None
    epochs: Sequence[Epoch] = ()
    hold: Hold | None = None


# Computes a run: told where, and what it asks after each step and before it writes anything.
Compute = Callable[[Run, Path, Place, Callable[[float], None], Callable[[], None]], Report]


class Executor(Protocol):
    """Who computes runs: it is given one when it is free, and reports how each ends."""

    @property
    def free(self) -> int:
        """How many runs it could begin now."""

    def submit(self, run: Run) -> None:
        """Begin a run; only while it is free."""

    def poll(self, seconds: float) -> Iterable[Progress | Report]:
        """What has happened since the last time; waits so long for something to happen.

        Raises:
            Broken: nothing can be computed here.
        """

    def stop(self) -> None:
        """Ask every run that is under way to end; each is still reported."""

    def kill(self) -> None:
        """End everything now, whatever it is doing; nothing is reported any more."""

    def close(self) -> None:
        """Leave nothing behind. What is still under way is ended."""
