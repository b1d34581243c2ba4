"""What this process may use: a container's limits where there are some, else the machine's."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

GROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self/cgroup")
# Where processes share memory, as loaders do their batches.
SHARED = Path("/dev/shm")  # noqa: S108 -- looked at, not written
# Version 1 writes no limit as a number of pages that no machine has.
UNLIMITED = 2**60
# How many processes share the machine with each other, as `share_among` was told.
_sharers = 1


def cores() -> int:
    """CPU cores that this process may use: those it is bound to, and its containers' share."""
    bound = len(os.sched_getaffinity(0))
    shares = [share for share in map(_share, groups_of("cpu")) if share is not None]
    return max(1, min([bound, *(int(share) for share in shares)]))


def memory() -> int:
    """Bytes that may still be taken without anything being ended for it."""
    left = [psutil.virtual_memory().available]
    left += [room for room in map(_room, groups_of("memory")) if room is not None]
    return max(0, min(left))


def share_among(sharers: int) -> None:
    """Say how many processes that begin at once, this one among them, share the machine."""
    global _sharers
    _sharers = sharers


def shared_memory() -> int | None:
    """Bytes that are free where processes share memory; a container has 64 MB unless told.

    To one of several sharers never more than its part of the whole: what looks free to all of
    them at once is taken by the first.
    """
    try:
        total, _, free = shutil.disk_usage(SHARED)
    except OSError:
        return None
    return min(free, total // _sharers)


def groups_of(controller: str) -> Iterator[Path]:
    """The folders of this process's control groups, from its own up; each limits those below."""
    text = _read(PROCESS) or ""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            root = GROUPS  # version 2
        elif controller in names.split(","):
            root = GROUPS / controller
        else:
            continue
        # Inside a container its own group is mounted as the root, whatever the path says.
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            if folder.is_relative_to(root) and ".." not in folder.parts:
                yield folder


def _share(folder: Path) -> float | None:
    """How many cores a group's quota comes to, if it has one."""
    quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")
    if not quota:
        quota = _read(folder / "cpu.cfs_quota_us") or ""
        period = _read(folder / "cpu.cfs_period_us") or ""
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None  # "max" and -1 are no limit
    return int(quota) / int(period)


def _room(folder: Path) -> int | None:
    """How many bytes a group has left, if it is limited; what the kernel would drop is free."""
    for most, used, dropped in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, taken = _read(folder / most) or "", _read(folder / used) or ""
        if limit.isdigit() and taken.isdigit() and int(limit) < UNLIMITED:
            pairs = (line.split() for line in (_read(folder / "memory.stat") or "").splitlines())
            cache = next((int(pair[1]) for pair in pairs if pair[0] == dropped), 0)
            return int(limit) - int(taken) + cache
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        return None
