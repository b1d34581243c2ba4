"""How processes start and end: whom a signal reaches, who ends with whom, and what one died of."""

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.host.limits import groups_of

# A socket's path has 107 bytes, of which multiprocessing's names take /pymp-xxxxxxxx/listener-...
LONGEST_TMPDIR = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")

# With which a terminal, a scheduler or a user asks a program to end.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The status of a process that has given up one that shared its run.
LOST_PEER = 69

# Where Linux counts the processes that it has ended for want of memory, on the whole machine.
MACHINE = Path("/proc/vmstat")


def start_shielded(process: BaseProcess) -> None:
    """Start a process that no stop signal reaches, from its first instruction on.

    Ctrl-C reaches every process of a terminal, and a scheduler's SIGTERM every one of a job; yet
    only the one that started the others can end them in their order. A handler would come too
    late, since starting Python and importing torch takes seconds. A mask is inherited: the process
    begins with it, and so does all that it starts.
    """
    with _masked():
        # Python's tracker of shared memory comes along with the first process. Its start lets
        # SIGINT and SIGTERM through again, so it comes first.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        process.start()


def check_sockets() -> None:
    """See that the folder for temporary files leaves room for the names of sockets in it.

    Raises:
        UserError: it does not, so that processes of loaders could not be started.
    """
    folder = tempfile.gettempdir()
    length = len(os.fsencode(folder))
    if length > LONGEST_TMPDIR:
        raise UserError(
            f"TMPDIR {folder}: {length} bytes long, too many for sockets in it; allowed: a folder"
            f" of at most {LONGEST_TMPDIR}, as TMPDIR=/tmp"
        )


@contextmanager
def _masked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process, whatever it is doing, when the one that started it has died.

    A process that was killed tells nobody; its orphans would compute on, or wait for ever.
    """
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def how_it_ended(code: int | None) -> str:
    """What an exit code of `multiprocessing` says, in words."""
    if code is None:
        return "still there"
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-code}"


def oom_kills() -> int | None:
    """How many processes Linux has ended for want of memory so far, by the nearest count."""
    for path in _counters():
        try:
            lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
            found = next((int(line[1]) for line in lines if line[0] == "oom_kill"), None)
        except (OSError, ValueError, IndexError):
            continue
        if found is not None:
            return found
    return None


def _counters() -> Iterator[Path]:
    """Files with a count: of this process's control groups, its own first, then the machine's."""
    for folder in groups_of("memory"):
        yield folder / "memory.events"  # version 2
        yield folder / "memory.oom_control"  # version 1
    yield MACHINE


class Identity(Strict):
    """A process, told from every other one, on other machines and after a restart, too.

    Attributes:
        host: what its machine calls itself, for people to read.
        system: which start of which system, and which container's numbers of processes.
        number: of the process there.
        began: when it did, in the system's ticks; numbers are given again.
    """

    host: str
    system: str | None
    number: int
    began: int | None

    def __str__(self) -> str:
        return f"process {self.number} on {self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether it is known to have ended; of another system's process nothing is known."""
        if self.system is None or self.system != _system() or self.began is None:
            return False
        return _began(self.number) != self.began


def identity() -> Identity:
    """Of this process."""
    number = os.getpid()
    return Identity(
        host=socket.gethostname(), system=_system(), number=number, began=_began(number)
    )


@lru_cache(maxsize=1)
def _system() -> str | None:
    """Linux's name for its present start, and for the numbers of processes that are seen here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _began(number: int) -> int | None:
    """When a process began, the 22nd value in proc(5)'s stat; nothing if it has ended."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second value is a name in brackets, which may hold anything.
    state, *others = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else int(others[18])
