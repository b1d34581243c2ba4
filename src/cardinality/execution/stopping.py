"""When a grid is to end: signals and a time limit."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from cardinality.host.processes import STOPS

# `timeout` and `make` send a signal to their process and to its group as well: within so many
# seconds a second one is the first once more.
ECHO = 0.2
# Descriptors of standard output and error.
OUTPUTS = (1, 2)


def _nothing() -> None:
    """Done before a second signal ends the process, unless something else is to be."""


class Stop:
    """Whether a grid is to end, and why. Signals are heard in its context, in the main thread.

    SIGINT, SIGTERM and SIGHUP are noted and everything ends in its order. A second one ends the
    process at once, by that signal. SIGHUP stays ignored where it was, as under ``nohup``; where it
    says that the terminal is gone, what would be printed there goes nowhere.

    Args:
        after: seconds from now on; without them there is no limit.

    Attributes:
        at_once: what is done before a second signal ends the process.
    """

    def __init__(self, after: float | None = None) -> None:
        self.deadline = None if after is None else time.monotonic() + after
        self.at_once: Callable[[], object] = _nothing
        self._noted, self._heard = "", 0.0
        self._before: dict[signal.Signals, object] = {}
        self._terminals: list[int] = []

    @property
    def reason(self) -> str:
        """Why the grid is to end; empty while it is not."""
        if not self._noted and self.deadline is not None and time.monotonic() > self.deadline:
            self._noted = "the time given by --stop-after is over"
        return self._noted

    def within(self, seconds: float) -> bool:
        """Wait so long for a reason to end, and say whether there is one."""
        end = time.monotonic() + seconds
        while not self.reason and time.monotonic() < end:
            time.sleep(0.02)
        return bool(self.reason)

    def __enter__(self) -> Self:
        self._terminals = [number for number in OUTPUTS if os.isatty(number)]
        for number in STOPS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what it has given
        self._before.clear()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._print_nowhere()
        if not self._heard:
            self._heard = time.monotonic()
            self._noted = f"stopped by {signal.Signals(number).name}"
        elif time.monotonic() - self._heard > ECHO:
            for heard in self._before:  # a third one has nothing to wait for
                signal.signal(heard, signal.SIG_DFL)
            try:
                self.at_once()
            finally:
                os.kill(os.getpid(), number)

    def _print_nowhere(self) -> None:
        """Let go of a terminal that was closed: the next word there would be an error."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminals:
            if not os.isatty(number):
                os.dup2(nowhere, number)
        os.close(nowhere)
