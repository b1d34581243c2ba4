"""What the dead have left in a results folder."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.execution.holds import Hold, Holds
from cardinality.execution.tidying import tidy
from cardinality.experiment.plan import Plan
from cardinality.results.folder import Results


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
        tmp_path / "data" / "cache" / f"digits.npz{left}",
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    taken = [Holds(results).take(run.name) for run in (done, going)]
    tidy(results)
    assert [isinstance(hold, Hold) and hold.own.exists() for hold in taken] == [False, True]
    assert [path for path in files if path.exists()] == [checkpoints[1], files[3]]
