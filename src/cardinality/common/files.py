"""Files that are whole whenever they are there."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What `aside_of` adds to a name: the process that writes, its host, and an ending.
ASIDE = re.compile(r"\.(?P<process>[0-9]+)@(?P<host>.+)\.(?:part|old)$")

# Seconds by which a file server's clock may be behind.
SKEW = 3600


def aside_of(path: Path) -> Path:
    """A path beside ``path`` that only this process writes to, and by which it can be told."""
    return path.with_name(f"{path.name}.{os.getpid()}@{socket.gethostname()}.part")


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it into place when it is written.

    Whenever the process is killed or the machine loses power, ``path`` is what it was before or
    what it is to be. The folder is made. What an error leaves half written is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = aside_of(path)
    try:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk.

    A file system may move a file into place before it has written its bytes; after a power cut
    the file would then be there and empty.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some shared file systems cannot sync a folder, and need not
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this host that are gone have left half written in a folder.

    What a living process or another host writes is left alone.
    """
    for path in [*folder.glob("*.part"), *folder.glob("*.old")]:
        writer = ASIDE.search(path.name)
        if writer is None or writer["host"] != socket.gethostname():
            continue
        with suppress(OSError):  # somebody else may not be let, or quicker
            if _writes(int(writer["process"]), path):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _writes(number: int, path: Path) -> bool:
    """Whether a process lives, and is the one that began to write a file."""
    import psutil

    try:
        process = psutil.Process(number)
        # One that nobody has waited for yet is still listed, but has ended.
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # Numbers are given again. A file server's clock may be another than this machine's.
        return process.create_time() < path.stat().st_mtime + SKEW
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
