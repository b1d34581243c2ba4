"""Files: looked at first, whole afterwards, and nothing written where a stranger's link leads."""

import errno
import os
import re
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.common.files import aside_of, guard, look, read_bytes, read_text, written_aside
from cardinality.common.locks import held
from tests.places import ROOT


def put(path: Path) -> None:
    with written_aside(path) as aside:
        aside.write_text("ours")


def test_text_is_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in ("é\n".encode(), b"\xef\xbb\xbf" + "é\n".encode()):
        path.write_bytes(content)
        assert read_text(path, 100) == "é\n"
    path.write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"a\.txt: not UTF-8 text \(byte 3\); allowed: UTF-8"):
        read_text(path, 100)


def test_kinds_and_sizes_come_first(tmp_path: Path) -> None:
    pipe, folder, loop, large = (tmp_path / name for name in ("pipe", "folder", "loop", "large"))
    os.mkfifo(pipe)
    folder.mkdir()
    loop.symlink_to(loop)
    large.write_bytes(bytes(11))
    for path, words in (
        (pipe, "is a pipe"),
        (folder, "is a folder"),
        (loop, "Too many levels of symbolic links"),
        (large, "larger than 10 bytes"),
        (Path("/dev/zero"), "is a device"),
        (tmp_path / "nope", "No such file"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "a\0b", "no name that a file can have"),
    ):
        for read in (look, read_bytes):
            with pytest.raises(UserError, match=words):
                read(path, 10)
    # What the system makes as it is read has no size.
    with pytest.raises(UserError, match="larger than 10 bytes"):
        read_bytes(Path("/proc/cpuinfo"), 10)


@pytest.mark.parametrize("place", ["tables", "quick", "tables/a.md"])
def test_nothing_is_written_through_a_link_in_a_guarded_folder(tmp_path: Path, place: str) -> None:
    root, outside = tmp_path / "results", tmp_path / "outside"
    target = root / "quick" / "tables" / "a.md"
    (outside / "tables").mkdir(parents=True)
    (outside / "a.md").write_text("theirs")
    link = {"quick": root / "quick", "tables": target.parent, "tables/a.md": target}[place]
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "a.md" if place == "tables/a.md" else outside)
    guard(root / "quick")
    with pytest.raises(UserError, match="is a link, and nothing is written through one"):
        put(target)
    assert sorted(path.name for path in outside.rglob("*")) == ["a.md", "tables"]
    assert (outside / "a.md").read_text() == "theirs"


def test_the_guarded_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "scratch")
    guard(tmp_path / "results/quick")
    put(tmp_path / "results/quick/tables/a.md")
    assert (tmp_path / "scratch/quick/tables/a.md").read_text() == "ours"


def test_a_link_in_the_place_of_the_file_aside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("theirs")
    (tmp_path / aside_of(tmp_path / "a.md").name).symlink_to(tmp_path / "outside")
    put(tmp_path / "a.md")
    assert (tmp_path / "outside").read_text() == "theirs"
    assert (tmp_path / "a.md").read_text() == "ours"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    lock = held(tmp_path / "a.lock", "elsewhere")
    with pytest.raises(UserError, match=r"a\.lock: the disk has no locks .*; allowed: elsewhere"):
        lock.__enter__()


def test_a_path_that_leads_out_of_a_guarded_folder_is_refused(tmp_path: Path) -> None:
    guard(tmp_path / "results/quick")
    with pytest.raises(UserError, match="leads out of"):
        put(tmp_path / "results/quick/../../outside")


# Who reads files by itself, and not by `read_bytes` or `read_text`: what the system or the suite
# itself has written, or after `look`.
READERS = {
    "common/files.py", "common/workspace.py", "data/decoding.py", "data/patches.py",
    "data/store.py", "evaluation/record.py", "host/energy.py", "host/limits.py",
    "host/machine.py", "host/memory.py", "host/processes.py", "host/provenance.py",
    "report/pages/serve.py", "report/pages/write.py", "results/manifest.py",
    "results/progress.py", "training/weights.py", "training/wrappings.py",
}  # fmt: skip


def test_nobody_reads_a_file_without_looking_at_it_first() -> None:
    """A pipe would be waited for, and a device would fill the memory."""
    package = ROOT / "src" / "cardinality"
    reading = re.compile(
        r"\.read_(text|bytes)\(|\.open\(\"rb?\"|read_csv\(path|safe_open\(|Image\.open\("
    )
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if reading.search(path.read_text())
    }
    assert found <= READERS
