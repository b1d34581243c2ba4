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
        if writer is None or writer["host"] != socket.gethostname() or _lives(writer["process"]):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
