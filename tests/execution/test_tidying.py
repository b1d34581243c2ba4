"""What the dead have left in a results folder."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.common.files import aside_of
from cardinality.execution.holds import Hold, Holds
from cardinality.execution.tidying import tidy
from cardinality.experiment.plan import Plan
from cardinality.results.folder import Results

LEFT = f".{2**22 + 1}@{socket.gethostname()}"  # no process has such a number


def test_what_the_dead_have_left_is_removed(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    results = Results(tmp_path / "results")
    done, going = tiny.runs()
    put_records(tiny, results, skip=1)
    checkpoints = [results.checkpoint(run.name) for run in (done, going)]
    files = [
        *checkpoints,
        *(results.progress(run.name) for run in (done, going)),
        Path(f"{checkpoints[1]}{LEFT}.part"),
        Path(f"{results.weights(going.name)}{LEFT}.part"),
        results.tables / f"two.md{LEFT}.part",
        tmp_path / "data" / "cache" / f"digits.npz{LEFT}.part",
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    taken = [Holds(results).take(run.name) for run in (done, going)]
    tidy(results)
    assert [isinstance(hold, Hold) and hold.own.exists() for hold in taken] == [False, True]
    assert [path for path in files if path.exists()] == [checkpoints[1], files[3]]


WRITTEN_TO = [
    ".", "quick", "evaluations", "quick/checkpoints", "quick/images", "quick/jobs", "quick/kept",
    "quick/numbers", "quick/plots", "quick/tables", "quick/weights",
]  # fmt: skip


@pytest.mark.parametrize("place", WRITTEN_TO)
def test_it_is_removed_wherever_something_is_written(
    place: str, tmp_path: Path, data_root: Path
) -> None:
    """But what a living process writes is left alone, or one of another machine, or people."""
    folder = tmp_path / "results" / place
    folder.mkdir(parents=True)
    stay = [aside_of(folder / "page.html"), folder / "page.5@elsewhere.part", folder / "my.part"]
    for path in (*stay, folder / f"page{LEFT}.part"):
        path.touch()
    (folder / f"run{LEFT}.old").mkdir()
    before = {*folder.iterdir()}
    tidy(Results(tmp_path / "results/quick"))
    assert {path.name for path in before - {*folder.iterdir()}} == {
        f"page{LEFT}.part",
        f"run{LEFT}.old",
    }


def test_nothing_is_removed_by_way_of_a_link(tmp_path: Path, data_root: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (theirs := elsewhere / f"page{LEFT}.part").touch()
    (folder := tmp_path / "results/quick").mkdir(parents=True)
    (folder / "kept").symlink_to(elsewhere)
    tidy(Results(folder))
    assert theirs.exists()
