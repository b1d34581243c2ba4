"""One driver in a folder, whatever the one before has left there."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.execution.lock import locked, tidy
from cardinality.experiment.plan import Plan
from cardinality.results.folder import Results


def test_two_drivers_do_not_compute_in_one_folder(tmp_path: Path) -> None:
    results = Results(tmp_path)
    with locked(results):
        assert results.lock.exists()
        with pytest.raises(UserError, match="another `cardinality run`"), locked(results):
            pass
    assert not results.lock.exists()
    with locked(results):
        pass


def test_a_lock_whose_holder_was_killed_is_taken_over(tmp_path: Path) -> None:
    results = Results(tmp_path)
    program = (
        "import os, sys; from pathlib import Path; from cardinality.results.folder import Results;"
        "from cardinality.execution.lock import locked;"
        "lock = locked(Results(Path(sys.argv[1]))); lock.__enter__(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert results.lock.exists()
    with locked(results):
        pass
    assert not results.lock.exists()


def test_a_lock_that_its_holder_has_just_removed_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, opened = Results(tmp_path), os.open

    def removed(path: Path, flags: int, mode: int) -> int:
        """Open a file that is gone a moment later, as another driver's is."""
        descriptor = opened(path, flags, mode)
        if len(seen) == 0:
            path.unlink()
        seen.append(descriptor)
        return descriptor

    seen: list[int] = []
    monkeypatch.setattr("cardinality.execution.lock.os.open", removed)
    with locked(results):
        assert len(seen) == 2
        with results.lock.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_the_dead_have_left_is_removed(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    results = Results(tmp_path / "results")
    done, going = tiny.runs()
    put_records(tiny, results, skip=1)
    left = f".{2**22 + 1}@{socket.gethostname()}.part"  # no process has such a number
    checkpoints = [results.checkpoint(run.name) for run in (done, going)]
    files = [
        *checkpoints,
        *(results.progress(run.name) for run in (done, going)),
        Path(f"{checkpoints[1]}{left}"),
        Path(f"{results.weights(going.name)}{left}"),
        results.tables / f"two.md{left}",
        tmp_path / "data" / "cache" / f"patches.npz{left}",
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    tidy(results)
    assert [path for path in files if path.exists()] == [checkpoints[1], files[3]]
