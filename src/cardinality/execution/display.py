"""How far a grid is: bars on a terminal, lines in a log."""

import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, track

from cardinality.experiment.run import Run
from cardinality.results.estimate import duration

Item = TypeVar("Item")

# In a log, a line at least so often (seconds) while nothing ends.
HEARTBEAT = 60.0
# Runs that are shown one by one.
SHOWN = 20


class Display:
    """Shows runs, epochs and the remaining time.

    The remaining time follows from what the runs so far have taken for their multiply-adds; until
    there is enough of that, it is the estimate that was given before the start.

    Args:
        runs: all that are to be computed.
        expected: seconds that they are estimated to take; none where nothing is known of that.
        doing: what is done about a run that has begun.
    """

    def __init__(
        self, runs: Sequence[Run], expected: float | None = None, doing: str = "running"
    ) -> None:
        self.costs = {run.name: run.cost for run in runs}
        self.epochs = {run.name: run.epochs for run in runs}
        self.all_costs = sum(self.costs.values())
        self.expected = expected
        self.doing = doing
        self.parts = dict.fromkeys(self.costs, 0.0)
        # What earlier sittings had done of a run when it went on: no work of this one.
        self.before: dict[str, float] = {}
        # The multiply-adds of both, kept up since there may be ten thousand runs.
        self.there = self.there_before = 0.0
        self.ended_runs = 0
        self.console = Console()
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.total = self.bars.add_task("all runs", total=1.0, state="")

    def __enter__(self) -> Self:
        self.start = self.spoken = time.monotonic()
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def restore(self) -> None:
        """Leave the terminal as it was; in a hurry, in the midst of whatever is shown."""
        if self.console.is_terminal:
            self.console.show_cursor(True)

    def started(self, run: Run) -> None:
        """A worker has taken a run."""
        state, shown = f"epoch 0/{run.epochs}", len(self.tasks) < SHOWN
        task = self.bars.add_task(run.name, total=1.0, state=state, visible=shown)
        self.tasks[run.name] = task

    def advanced(self, name: str, epochs: float) -> None:
        """A run has done so many of its epochs."""
        if name not in self.tasks:
            return  # said before it ended, heard after
        self._has(name, epochs / self.epochs[name])
        if name not in self.before:
            self.before[name] = self.parts[name]
            self.there_before += self.costs[name] * self.parts[name]
        state = f"epoch {int(epochs)}/{self.epochs[name]}"
        self.bars.update(self.tasks[name], completed=self.parts[name], state=state)

    def ended(self, run: Run, outcome: str, reason: str) -> None:
        """A run has ended: done, failed, diverged or stopped; or somebody else has taken it."""
        if run.name in self.tasks:
            self.bars.remove_task(self.tasks.pop(run.name))
        if outcome not in ("stopped", "taken"):
            self._has(run.name, 1.0)
            self.ended_runs += 1
        note = f": {reason}" if reason else ""
        self._say(f"{outcome:7} {run.name}{note}")

    def refresh(self) -> None:
        """Bring the total up to date."""
        self.bars.update(self.total, completed=self.there / self.all_costs, state=self._state())
        if not self.console.is_terminal and time.monotonic() - self.spoken > HEARTBEAT:
            if not self.tasks:
                self._say("waiting for a worker to start")
                return
            more = f" and {len(self.tasks) - SHOWN} more" if len(self.tasks) > SHOWN else ""
            named = map(self._epoch, list(self.tasks)[:SHOWN])
            self._say(f"{self.doing} {', '.join(named)}{more}")

    def _epoch(self, name: str) -> str:
        """Which run, and how many of its epochs are done."""
        done = int(self.parts[name] * self.epochs[name])
        return f"{name.rpartition('-')[0]} epoch {done}/{self.epochs[name]}"

    def _has(self, name: str, part: float) -> None:
        """So much of a run is done."""
        self.there += self.costs[name] * (part - self.parts[name])
        self.parts[name] = part

    def remaining(self) -> float | None:
        """Seconds that are left, if anything is known of that."""
        elapsed = time.monotonic() - self.start
        there, before = self.there / self.all_costs, self.there_before / self.all_costs
        if there - before < 0.02:
            if self.expected is None:
                return None
            left = self.expected * (1 - before) - elapsed
            return left if left > 0 else None  # it takes longer than was thought
        return elapsed * (1 - there) / (there - before)

    def _state(self) -> str:
        seconds = self.remaining()
        left = "" if seconds is None else f", {duration(seconds)} left"
        return f"{self.ended_runs}/{len(self.costs)} runs{left}"

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        self.console.print(
            f"{text}  ({self._state()})", highlight=False, markup=False, soft_wrap=True
        )


def tracked(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Pass items on and show on standard error how many of ``total`` have passed."""
    console = Console(stderr=True)
    yield from track(items, description, total, console=console, disable=not console.is_terminal)
