"""Files: whole whenever they are there, looked at before they are read, written to no other place.

What is read was often made by others. So its kind and size come first: a pipe or a device has no
end, and a large file fills the memory.
"""

import os
import re
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cardinality.common.errors import UserError, of_system

# What a file may be instead of a plain one.
KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
}
BOM = "\ufeff"

_guarded: set[Path] = set()


def look(path: Path, limit: int | None = None) -> os.stat_result:
    """See that a path is a plain file, and of no more bytes than ``limit``, before it is opened.

    Raises:
        UserError: it is not there, cannot be reached, is no plain file or is too large.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: {reason(error)}") from None
    except ValueError:  # a null character
        raise UserError(f"{path}: no name that a file can have") from None
    _check(path, status, limit)
    return status


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a plain file.

    Raises:
        UserError: as `look`; or it cannot be read.
    """
    look(path, limit)
    try:
        # What took the file's place since then does not hold us up, either.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(number, "rb") as file:  # noqa: PTH123 -- of a number, not a path
            _check(path, os.fstat(number), limit)
            content = file.read(limit + 1)  # such as /proc has say nothing of their size
    except OSError as error:
        raise UserError(f"{path}: {reason(error)}") from None
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def read_text(path: Path, limit: int) -> str:
    """The text of a plain file in UTF-8, with or without a byte order mark.

    Raises:
        UserError: as `read_bytes`; or it is no UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start:,}); allowed: UTF-8") from None


def check_writable(folder: Path) -> None:
    """See by writing that a folder can be written to, or where it is not there its nearest parent.

    What permissions say is not asked: they say nothing of read-only mounts, quotas and full disks.

    Raises:
        UserError: it cannot.
    """
    refuse_links(folder)
    try:
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.NamedTemporaryFile(dir=place, prefix=".cardinality-") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = None  # the name of what was tried says nothing
        raise UserError(f"{folder}: cannot be written to: {of_system(error)}") from None


def reason(error: OSError) -> str:
    """What the system says was wrong, in its words."""
    return error.strerror or type(error).__name__


def _check(path: Path, status: os.stat_result, limit: int | None) -> None:
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise UserError(f"{path}: is {kind}; allowed: a plain file")
    if limit is not None and status.st_size > limit:
        raise _too_large(path, limit)


def _too_large(path: Path, limit: int) -> UserError:
    return UserError(f"{path}: larger than {limit:,} bytes")


def guard(folder: Path) -> None:
    """From now on nothing is written through a link in a folder, nor through the folder as one.

    Whoever opens a protocol's results says so, since a stranger may have made what lies there. The
    folder that it lies in is the user's, who may well have made that a link.
    """
    _guarded.add(folder.absolute())


def refuse_links(path: Path) -> None:
    """See that from a guarded folder on nothing on the way to a path is a link.

    Raises:
        UserError: something is.
    """
    whole = path.absolute()
    for folder in [place for place in (whole, *whole.parents) if place in _guarded]:
        place = folder.parent
        for part in whole.relative_to(folder.parent).parts:
            if part == "..":
                raise UserError(f"{path}: leads out of {folder}; allowed: what lies in it")
            place = place / part
            if place.is_symlink():
                raise UserError(
                    f"{place}: is a link, and nothing is written through one; allowed: put what it"
                    f" leads to in its place, or make {folder.parent} the link"
                )


# What `aside_of` adds to a name: the process that writes, its thread, its host, and an ending.
ASIDE = re.compile(r"\.(?P<process>[0-9]+)(?:-[0-9]+)?@(?P<host>.+)\.(?:part|old)$")

# Seconds by which a file server's clock may be behind.
SKEW = 3600


def aside_of(path: Path) -> Path:
    """A path beside ``path`` that only this thread writes to, and by which it can be told."""
    process, thread = os.getpid(), threading.get_native_id()
    writer = f"{process}" if thread == process else f"{process}-{thread}"  # the main one is it
    return path.with_name(f"{path.name}.{writer}@{socket.gethostname()}.part")


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it into place when it is written.

    Whenever the process is killed or the machine loses power, ``path`` is what it was before or
    what it is to be. The folder is made. What an error leaves half written is removed.

    Raises:
        UserError: a link is on the way there, see `refuse_links`.
    """
    refuse_links(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = aside_of(path)
    part.unlink(missing_ok=True)  # what stood there may have been a link
    try:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    except OSError as error:  # what a write says has no name
        if error.filename in (None, str(part)):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # the folder may have gone; the error that says so is on its way
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


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it, as far as it may be; a link, not what it is to."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


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
            remove(path)


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
