"""Files that are whole or not there, and what the dead have left of them."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cardinality.common import files
from cardinality.common.files import aside_of, remove_leftovers, written_aside


def test_a_file_is_as_it_was_until_it_is_as_it_is_to_be(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with written_aside(path) as aside:
        aside.write_text("old")
        assert not path.exists()
    with pytest.raises(RuntimeError), written_aside(path) as aside:  # noqa: PT012 -- both belong in it
        aside.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bool]] = []
    path = tmp_path / "file"

    def note(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), path.exists()))

    monkeypatch.setattr("cardinality.common.files.os.fsync", note)
    with written_aside(path) as aside:
        aside.write_text("new")
    assert synced == [(aside, False), (tmp_path, True)]


def test_a_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("cardinality.common.files.os.fsync", refuse)
    files.sync(tmp_path)
    (tmp_path / "file").write_text("new")
    with pytest.raises(OSError, match="Invalid argument"):
        files.sync(tmp_path / "file")


def test_leftovers_of_the_dead_are_removed_and_no_others(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead, host = gone.stdout.decode().strip(), socket.gethostname()
    unwaited = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(unwaited.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    removed = [
        f"a.pt.{dead}@{host}.part",
        f"run.{dead}@{host}.part",
        f"run.{dead}@{host}.old",
        f"b.pt.{unwaited.pid}@{host}.part",
        f"c.pt.{os.getpid()}@{host}.part",  # older than this process, which has got its number
    ]
    kept = [
        aside_of(Path("a.pt")).name,  # this process lives
        f"a.pt.1@{host}.part",  # and so does the first
        f"a.pt.{dead}@{host}x.part",
        f"a.pt.{dead}@node.of.a.cluster.part",
        "somebody.part",
        "a.pt",
    ]
    for name in (*removed, *kept):
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / removed[4], (1e9, 1e9))
    (tmp_path / removed[1]).unlink()
    (tmp_path / removed[1]).mkdir()
    (tmp_path / removed[1] / "run.json").write_text("half")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
    unwaited.wait()
    remove_leftovers(tmp_path / "that is not there")
