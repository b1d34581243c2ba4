"""One driver in a results folder, and what drivers before it have left there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import remove_leftovers
from cardinality.data.store import cache_folder, data_root
from cardinality.results.folder import Results


@contextmanager
def locked(results: Results) -> Iterator[None]:
    """Have a results folder to oneself.

    The system gives the lock back when the process has ended, however it did; the file that one
    that was killed has left is taken over.

    Raises:
        UserError: another driver is computing there.
    """
    results.folder.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(results.lock)
    if descriptor is None:
        raise UserError(
            f"{results.folder}: another `cardinality run` is computing here; wait for it, or give"
            " another folder with --results"
        )
    try:
        yield
    finally:
        results.lock.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int | None:
    """Lock a file and give its descriptor; nothing where another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            raise UserError(
                f"{path}: cannot be locked: {error.strerror}; allowed: --results with a folder on"
                " a disk that has locks, such as this machine's own"
            ) from None
        # Its holder may have removed the file between these two lines: then another has it.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)


def tidy(results: Results) -> None:
    """Remove what drivers and workers that were killed have left; only with the folder locked."""
    mine = (results.folder / kind for kind in ("checkpoints", "weights", "images"))
    for folder in (*mine, results.tables, results.plots, cache_folder(data_root())):
        remove_leftovers(folder)
    for checkpoint in (results.folder / "checkpoints").glob("*.pt"):
        with suppress(UserError):  # of a record that cannot be read the reader is told elsewhere
            if results.status(checkpoint.stem) in ("done", "diverged"):  # killed after its record
                results.progress(checkpoint.stem).unlink(missing_ok=True)
                checkpoint.unlink(missing_ok=True)
