"""What anybody who sees a results folder is told of its runs."""

import errno
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cardinality.cli.app import app
from cardinality.execution.holds import LEASE, Hold, Holds
from cardinality.execution.state import GUESS, states
from cardinality.host.processes import Identity
from cardinality.results.folder import Results

RUNNING, LOST, STOPPED = (f"32x4d-depth11-seed{seed}-0a1b2c3d4e" for seed in range(3))
ELSEWHERE = Identity(host="node7", system="boot", number=17, began=1)


def test_what_is_no_record_is_nobodys_run(tmp_path: Path) -> None:
    """As a copy that was broken off leaves it; `plan` calls the run missing, `verify` says why."""
    results = Results(tmp_path / "quick")
    (results.folder / "runs" / RUNNING).mkdir(parents=True)
    (results.folder / "runs" / RUNNING / "epochs.csv").write_text("epoch\n")
    (results.folder / "runs" / "loop").symlink_to(".")
    assert states(results) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_whoever_may_only_read_is_told_a_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As a colleague, or on a read-only mount: the server's time cannot be asked for there."""
    results = Results(tmp_path / "quick")
    holds = [Holds(results, process=ELSEWHERE).take(name) for name in (RUNNING, LOST, STOPPED)]
    running, lost, stopped = (hold for hold in holds if isinstance(hold, Hold))
    old = running.server.time(running.own) - LEASE - 60
    os.utime(lost.own, (old, old))
    stopped.release()

    def refused(path: Path, *_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "utime", refused)
    assert [(one.name, one.state, one.note) for one in states(results)] == [
        (RUNNING, "running", f"process 17 on node7; {GUESS}"),
        (STOPPED, "stopped", ""),  # given up, by whatever clock
        (LOST, "lost", GUESS),
    ]
    told = CliRunner().invoke(app, ["status", "--results", str(tmp_path)])
    assert told.exit_code == 0
    assert told.output.endswith("quick: 1 running, 1 stopped, 1 lost\n")
