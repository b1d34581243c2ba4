"""What a container allows, in both versions of control groups, made as files."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardinality.common.errors import UserError
from cardinality.data import streamed
from cardinality.host import limits

GIB = 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of control groups on a machine of eight cores and 64 GiB."""
    monkeypatch.setattr(limits, "GROUPS", tmp_path)
    monkeypatch.setattr(limits, "PROCESS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    free = SimpleNamespace(available=64 * GIB)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    return tmp_path


def put(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("_dot_", ".")).write_text(f"{value}\n")


def test_without_limits_the_machine_counts(groups: Path) -> None:
    assert (limits.cores(), limits.memory()) == (8, 64 * GIB)
    put(groups, own="0::/a")
    put(groups / "a", cpu_dot_max="max 100000", memory_dot_max="max", memory_dot_current=5)
    assert (limits.cores(), limits.memory()) == (8, 64 * GIB)
    put(groups, own="not as it should be")
    assert limits.cores() == 8


def test_version_2_and_the_narrowest_of_a_groups_parents(groups: Path) -> None:
    put(groups, own="0::/pod/box")
    put(groups / "pod", cpu_dot_max="250000 100000", memory_dot_max=4 * GIB,
        memory_dot_current=3 * GIB, memory_dot_stat=f"anon 1\ninactive_file {GIB}")  # fmt: skip
    put(groups / "pod/box", cpu_dot_max="400000 100000")
    assert (limits.cores(), limits.memory()) == (2, 2 * GIB)


def test_version_2_inside_a_container(groups: Path) -> None:
    put(groups, own="0::/../../elsewhere", cpu_dot_max="50000 100000",
        memory_dot_max=GIB, memory_dot_current=0)  # fmt: skip
    assert limits.cores() == 1
    put(groups, own="0::/")
    assert (limits.cores(), limits.memory()) == (1, GIB)


def test_version_1(groups: Path) -> None:
    put(groups, own="3:cpu,cpuacct:/box\n2:memory:/box\n1:name=systemd:/x")
    put(groups / "cpu/box", cpu_dot_cfs_quota_us=300000, cpu_dot_cfs_period_us=100000)
    put(groups / "memory/box", memory_dot_limit_in_bytes=2 * GIB,
        memory_dot_usage_in_bytes=GIB)  # fmt: skip
    assert (limits.cores(), limits.memory()) == (3, GIB)
    put(groups / "cpu/box", cpu_dot_cfs_quota_us=-1)
    put(groups / "memory/box", memory_dot_limit_in_bytes=2**63 - 4096)
    assert (limits.cores(), limits.memory()) == (8, 64 * GIB)


def test_a_loader_that_gives_nothing_says_why() -> None:
    def loader(message: str) -> Iterator[int]:
        yield 1
        raise RuntimeError(message)

    got = streamed.patiently(loader("DataLoader timed out after 600 seconds"))
    assert next(got) == 1
    with pytest.raises(UserError, match=r"gave no batch \(DataLoader timed out.*--shm-size"):
        next(got)
    got = streamed.patiently(loader("an error of ours"))
    next(got)
    with pytest.raises(RuntimeError, match="ours"):
        next(got)
