"""A file that one process holds at a time, where the disk can do that; else a line that says so."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cardinality.common.errors import UserError
from cardinality.common.files import refuse_links

# What flock answers on network disks without a lock daemon, and where it was never built.
MISSING = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def held(path: Path, way_out: str, seconds: float = -1) -> Iterator[None]:
    """Hold a lock while the block runs; the folder is made.

    Args:
        path: the lock's file.
        way_out: what a user can do where its disk has no locks.
        seconds: to wait for another holder; by default as long as it takes, 0 not at all.

    Raises:
        Timeout: another process holds it.
        UserError: the disk has no locks, with the way out; or a link is in the way.
    """
    refuse_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        # Newer versions warn and take the file's being there for the lock, which a killed process
        # leaves for ever.
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "flock not supported")
            lock.acquire(timeout=seconds)
    except Timeout:
        raise
    except (OSError, NotImplementedError, UserWarning) as error:
        number = getattr(error, "errno", None) or errno.ENOSYS
        if number not in MISSING:
            raise
        raise UserError(
            f"{path}: the disk has no locks ({errno.errorcode[number]}), so that two processes"
            f" could write the same file; allowed: {way_out}"
        ) from None
    try:
        yield
    finally:
        lock.release()
