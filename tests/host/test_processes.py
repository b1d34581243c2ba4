"""What a process died of, and what the system says of memory."""

from pathlib import Path

import pytest

from cardinality.host import limits, processes
from cardinality.host.processes import how_it_ended, oom_kills


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit status 0"),
        (7, "exit status 7"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-40, "killed by signal 40"),
        (None, "still there"),
    ],
)
def test_how_a_process_ended(code: int | None, words: str) -> None:
    assert how_it_ended(code) == words


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what a system says, which is nothing yet."""
    monkeypatch.setattr(limits, "PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(processes, "MACHINE", tmp_path / "vmstat")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_system_that_does_not_count(system: Path) -> None:
    assert oom_kills() is None
    write(system / "vmstat", "nr_free_pages 5\n")
    assert oom_kills() is None


def test_the_nearest_count_is_taken(system: Path) -> None:
    write(system / "vmstat", "nr_free_pages 5\noom_kill 9\n")
    assert oom_kills() == 9
    write(system / "cgroup", "4:memory:/job/7\n3:cpuset:/\n0::/\n")
    write(system / "groups/memory/memory.oom_control", "oom_kill_disable 0\noom_kill 4\n")
    assert oom_kills() == 4  # of a container whose own group is what is mounted
    write(system / "groups/memory/job/7/memory.oom_control", "under_oom 0\noom_kill 2\n")
    assert oom_kills() == 2


def test_the_count_of_a_group_of_version_2(system: Path) -> None:
    write(system / "cgroup", "0::/user.slice/session-1.scope\n")
    write(system / "groups/user.slice/session-1.scope/memory.events", "oom 1\noom_kill 1\n")
    assert oom_kills() == 1
    write(system / "groups/user.slice/session-1.scope/memory.events", "nonsense\n")
    write(system / "vmstat", "oom_kill 3\n")
    assert oom_kills() == 3


def test_a_group_that_lies_outside_what_is_mounted_counts_nothing(system: Path) -> None:
    """So a container is told of groups beside its own; what lies there is not read."""
    write(system / "cgroup", "0::/../elsewhere\n")
    (system / "groups").mkdir()
    write(system / "elsewhere/memory.events", "oom_kill 7\n")
    assert oom_kills() is None
    write(system / "groups/memory.events", "oom_kill 3\n")
    assert oom_kills() == 3


def test_this_system_can_be_asked() -> None:
    count = oom_kills()
    assert count is None or count >= 0
