"""What an input or the machine causes is one line; an error of ours keeps its traceback."""

import errno
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from pandas.errors import ParserError

from cardinality.cli.app import main
from cardinality.cli.mistakes import told
from tests.tiny import TINY_ABLATION


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "a"), "a: is on a disk that can only be"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: you have no permission"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a"), "a: is no folder"),
        (FileExistsError(errno.EEXIST, "File exists", "a"), "a: is there and is no folder"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 5000), "the name is longer"),
        (OSError("AF_UNIX path too long"), "AF_UNIX path too long"),
        (MemoryError(), "more memory was needed than there is"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "more memory was needed"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "more memory was"),
        (RecursionError("maximum recursion depth"), "nested too deeply"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "no UTF-8"),
        (yaml.YAMLError("x\x1b[31m"), "an input cannot be read: YAMLError: x\\x1b[31m"),
        (zipfile.BadZipFile("File is not a zip file"), "BadZipFile: File is not a zip file"),
        (pickle.UnpicklingError("x"), "UnpicklingError"),
        (ParserError("Error tokenizing data"), "ParserError"),
    ],
)
def test_causes_that_a_user_can_mend(error: Exception, words: str) -> None:
    assert words in str(told(error))


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), ValueError("x"), AssertionError(), RuntimeError("x")]
)
def test_errors_of_ours_stay_what_they_are(error: Exception) -> None:
    assert told(error) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "table3", "--results", "FILE"],
        ["render", "table3", "--results", "n" * 300],
        ["render", "table3", "--results", "LOOP/deeper"],
        ["plan", "FILE.yaml"],
        ["plan", "PIPE.yaml"],
        ["plan", "table3", "--protocol", "ZERO.yaml"],
        ["compare", "PIPE.csv"],
        ["compare", "/dev/zero"],
        ["compare", "PIPE.csv", "/dev/zero", "--margin", "1"],
        ["claims", "--results", "/dev/zero"],
        ["plan", "table3", "--protocol", "LOOP.yaml"],
        ["evaluate", "--weights", "PIPE.csv", "--data", ".", "--setting", "32x4d", "--depth", "50"],
        ["plan", "a\x1b[31m\u202e"],
        ["plan", "caf\udce9.yaml"],
        ["verify", "--results", "LOOP"],
        ["status", "--results", "FILE"],
        ["plan", "table2", "--seeds", "3"],
        ["plan", "FIGURES.yaml"],
        ["evaluate", "--weights", "FILE", "--data", ".", "--setting", "2x40d", "--resize", "99999"],
        ["plan", "table3", "--results", "PIPE.csv"],
        ["report", "--results", "FILE"],
        ["report", "--results", "NEW"],
        ["render", "table3", "--results", "NEW"],
        ["render", "table2", "--results", ""],
        ["status", "--results="],
        ["--workspace", "", "plan", "table3"],
        ["--workspace", "FILE", "plan", "table3"],
        ["evaluate", "--weights", "FILE", "--data", ".", "--setting", "32x4d", "--depth", "50"],
    ],
)
def test_one_line_and_status_2(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "FILE").write_text("text")
    (tmp_path / "FILE.yaml").write_text("title: \x1b[31m")
    (tmp_path / "FIGURES.yaml").write_text(f"{TINY_ABLATION}paper: nothing\n")
    for name in ("LOOP", "LOOP.yaml"):
        (tmp_path / name).symlink_to(name)
    for name in ("PIPE.yaml", "PIPE.csv"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "ZERO.yaml").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cardinality", *arguments])
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(SystemExit) as caught:
        main()
    told_ = capsys.readouterr().err.removesuffix("\n")
    assert caught.value.code == 2, told_
    assert told_.startswith("error: ")
    assert told_.isprintable()
    assert len(told_) < 500
    assert not (tmp_path / "NEW").exists()
    assert not (tmp_path / "quick").exists()


def test_a_locale_without_our_letters_does_not_end_the_work() -> None:
    # A locale's encoding is what Python takes where nobody says which.
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    code = "from cardinality.cli.mistakes import *; let_everything_be_printed(); print(chr(215))"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == b"\\xd7\n"
