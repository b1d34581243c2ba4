"""How many processes decode: as many as are wanted, or as have room where memory is shared."""

from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.data import loaders
from cardinality.data.loaders import LABELS, Loaders, fitting, largest_batch, most_side_by_side
from cardinality.execution import beforehand
from cardinality.experiment.grid import make_plan
from cardinality.host import limits
from cardinality.host.machine import Machine

MIB = 2**20
BATCH = 10 * MIB - LABELS


@pytest.mark.parametrize(
    ("room", "found"),
    [
        (None, Loaders(16, 4)),  # not known: as wanted
        (661, Loaders(16, 4)),  # 64 that are ready, one in use, one asked for, and the queues
        (660, Loaders(16, 3)),
        (64, Loaders(4, 1)),
        (31, Loaders(1, 1)),
    ],
)
def test_room_decides(room: int | None, found: Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "shared_memory", lambda: room and room * MIB)
    monkeypatch.setattr(loaders, "note", lambda _text: None)
    assert fitting(BATCH, workers=16) == found


def test_several_runs_have_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: (100, 30, 70))
    monkeypatch.setattr(limits, "_sharers", 1)
    assert limits.shared_memory() == 70
    limits.share_among(4)
    assert limits.shared_memory() == 25
    monkeypatch.setattr(limits, "shared_memory", lambda: 100 * MIB)
    assert most_side_by_side(BATCH) == 3


def test_none_decodes_where_none_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "shared_memory", lambda: 0)
    assert fitting(BATCH, workers=0) == Loaders(0, 4)


def test_too_little_is_said_before_hours_are_spent(
    tmp_path: Path, data_root: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation's 500 images of 224 x 224 pixels are 72 MiB, whatever the batch in training."""
    monkeypatch.setattr(limits, "shared_memory", lambda: 64 * MIB)
    runs = make_plan("table3", "imagenet", machine).runs()
    data = runs[0].data
    assert data.name == "folders"
    assert largest_batch(data, 32) == 500 * 3 * 224**2
    assert largest_batch(data, 600) == 600 * 3 * 224**2
    with pytest.raises(UserError, match=r"64.0 MiB are free.*at least 215.5 MiB.*--shm-size=8g"):
        beforehand.check(runs, tmp_path / "results")


def test_a_folder_for_temporary_files_that_is_too_long_is_said_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Processes that decode are reached by sockets in it."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/" + "t" * 90)
    with pytest.raises(UserError, match=r"TMPDIR /t*: 91 bytes long.*at most 75"):
        fitting(BATCH, workers=1)
