"""Who computes a run: any number of processes, on any number of machines, and each run has one.

    results/PROTOCOL/holds/RUN/1, 2, 3 ...      the run's holds; the highest number counts
    results/PROTOCOL/holds/RUN/HOST-...-NUMBER  a file of the holder's own, the same as its hold

A process that wants a run writes a file of its own and links it to the next number, which the file
system gives to one alone. Whether it was given is read off the own file, which then has two links:
over a network the answer to the link itself may be lost. Neither locks nor clocks of machines are
asked, since on shared file systems one cannot trust them. A hold is as old as its file by the file
server's time, which its holder renews; and "now" is the time that the server puts on the folder
of the run's holds when it is touched, for which there is room on a full disk.

Nothing is taken away from a holder, so there is no moment at which two could take it: whoever finds
a hold too old takes the next number, and the one before, should it still live, sees that before it
writes anything. Where both are processes of one system, one that has ended is known to have.
"""

import errno
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from cardinality.common.errors import UserError
from cardinality.common.files import read_bytes, refuse_links
from cardinality.common.strict import Strict
from cardinality.host.processes import Identity, identity
from cardinality.results.folder import Results
from cardinality.training.ends import Lost

# Seconds after which a hold that was not renewed is nobody's. Clients of NFS and Lustre may show
# what was true a minute ago, so that less than five would be too near to the renewals.
LEASE = 300.0
# Seconds between two renewals.
RENEWED = 60.0
LARGEST = 10_000  # bytes
# What link(2) says where there are no hard links.
MISSING = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV}


class Holder(Strict):
    """What stands in a hold's file: which process computes the run, and in which job of Slurm."""

    process: Identity
    job: str | None = None

    def __str__(self) -> str:
        return f"{self.process}{f', job {self.job}' if self.job else ''}"


class Server:
    """The times that a file system puts on files and folders; a test has one of its own."""

    def touch(self, path: Path) -> None:
        """Put the server's present time on a file or folder."""
        os.utime(path)  # without a time: the server takes its own

    def time(self, path: Path) -> float:
        """When it was touched."""
        return self._status(path).st_mtime

    def links(self, path: Path) -> int:
        """How many names a file has."""
        return self._status(path).st_nlink

    def _status(self, path: Path) -> os.stat_result:
        # Opening asks the server, which stat may not; a pipe is not waited for.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.fstat(number)
        finally:
            os.close(number)

    def numbers(self, folder: Path) -> list[int]:
        """The numbers of the holds in a folder."""
        try:
            return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        except FileNotFoundError:
            return []


@dataclass(frozen=True)
class Hold:
    """A run that is one's own.

    Attributes:
        folder: of the run's holds.
        own: the file of one's own.
        number: of the hold.
        server: whose times count.
    """

    folder: Path
    own: Path
    number: int
    server: Server = field(default_factory=Server)

    def check(self) -> None:
        """See that the run still is one's own; to be asked before anything is written.

        Raises:
            Lost: it is not.
        """
        if (self.folder / str(self.number + 1)).exists() or not self.own.exists():
            holder = _read(self.folder / str(self.number + 1))
            raise Lost(f"{holder or 'another process'} has taken it over")

    def renew(self) -> None:
        """Say that the holder lives."""
        with suppress(OSError):  # a server that is away for a while, or it is lost
            self.server.touch(self.own)

    def release(self) -> None:
        """Give the run up, so that anybody may take it at once."""
        with suppress(OSError):
            os.utime(self.own, (0, 0))

    def finish(self) -> None:
        """Forget who had the run: it has its record."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew it as long as the block runs and this process is let run."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEWED):
                self.renew()

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Holds:
    """The holds of a protocol's runs, as one process sees and takes them.

    Args:
        results: of the protocol.
        server: whose times count.
        process: that takes them; by default this one.

    Attributes:
        guessed: whether the last look had to take this machine's clock for the server's.
    """

    def __init__(
        self, results: Results, server: Server | None = None, process: Identity | None = None
    ) -> None:
        self.results, self.server = results, server or Server()
        self.holder = Holder(process=process or identity(), job=os.environ.get("SLURM_JOB_ID"))
        self.guessed = False

    def look(self, name: str) -> Holder | None:
        """Who computes a run; nobody if it is free.

        Whoever may only read cannot ask for the server's time, and has a guess (`guessed`).
        """
        self.guessed = False
        folder = self.results.holds(name)
        numbers = self.server.numbers(folder)
        if not numbers:
            return None
        try:
            self.server.touch(folder)
            now = self.server.time(folder)
        except FileNotFoundError:  # the run is done, and its holds were removed
            return None
        except OSError:  # another's folder, or one that is mounted to be read
            now, self.guessed = time.time(), True
        return self._holder(folder / str(max(numbers)), now)

    def lost(self, name: str) -> bool:
        """Whether a run is nobody's because its holder has died, and not because it gave it up."""
        folder = self.results.holds(name)
        numbers = self.server.numbers(folder)
        try:
            last = self.server.time(folder / str(max(numbers))) if numbers else 0
        except OSError:
            return False
        return last > 0 and self.look(name) is None

    def take(self, name: str) -> Hold | Holder | None:
        """Take a run if it is free.

        Returns:
            The hold; or who has the run, as far as that is known.

        Raises:
            UserError: the disk has no hard links.
        """
        folder = self.results.holds(name)
        own = self._write(folder)
        numbers = self.server.numbers(folder)
        number = max(numbers, default=0)
        holder = self._holder(folder / str(number), self.server.time(own)) if numbers else None
        if holder is None and self._linked(own, folder / str(number + 1)):
            return Hold(folder, own, number + 1, self.server)
        own.unlink(missing_ok=True)
        return holder or _read(folder / str(number + 1))

    def _write(self, folder: Path) -> Path:
        """Write a file of one's own into a folder, which somebody may just be removing."""
        process = self.holder.process
        path = folder / f"{process.host}-{process.number}-{secrets.token_hex(8)}"
        refuse_links(path)
        for last in (False, False, True):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                path.write_text(self.holder.model_dump_json(), encoding="utf-8")
                self.server.touch(path)
                break
            except FileNotFoundError:
                if last:
                    raise
        return path

    def _holder(self, hold: Path, now: float) -> Holder | None:
        """Whose a hold is; nobody's if it is too old or its process has ended."""
        try:
            fresh = now - self.server.time(hold) <= LEASE
        except OSError:  # it is being removed
            return None
        holder = _read(hold) if fresh else None
        return None if holder is None or holder.process.is_gone else holder

    def _linked(self, own: Path, hold: Path) -> bool:
        """Whether this process is the one that the next number was given to.

        Raises:
            UserError: the disk has no hard links.
        """
        try:
            os.link(own, hold)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno in MISSING:
                own.unlink(missing_ok=True)
                raise UserError(
                    f"{hold.parent}: the disk has no hard links ({error.strerror}), so that two"
                    " processes could compute the same run; allowed: --results on a disk that has"
                ) from None
        try:
            return self.server.links(own) == 2
        except FileNotFoundError:  # the run is done, and its holds were removed
            return False


def _read(hold: Path) -> Holder | None:
    """What stands in a hold; nothing where it is no hold of ours, or is being removed."""
    try:
        return Holder.model_validate_json(read_bytes(hold, LARGEST))
    except (UserError, ValidationError):
        return None
