"""A checkpoint is held to its run, its images and its bytes; what is not sound is set aside."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cardinality.data.images import Images, ImageSet
from cardinality.data.store import load_images
from cardinality.execution.worker import begin, compute
from cardinality.experiment.datasets import Patches
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.results.epochs import read_epochs
from cardinality.results.folder import Results
from cardinality.results.progress import Header, Unsound, read_checkpoint, write_checkpoint
from cardinality.training.checkpoint import restore, train
from cardinality.training.ends import Stopped
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer
from cardinality.training.weights import weights_checksum
from tests.tiny import PLACE


@pytest.fixture
def run(tiny: Plan) -> Run:
    return tiny.runs()[0]


@pytest.fixture
def images(run: Run, data_root: Path) -> Images:
    assert isinstance(run.data, Patches)
    return load_images(run.data)


@pytest.fixture
def path(run: Run, images: Images, tmp_path: Path) -> Path:
    """The checkpoint of a run in its second epoch."""
    path = tmp_path / "checkpoints" / f"{run.name}.pt"
    stop_after_first(run, images, path)
    return path


def stop_after_first(run: Run, images: Images, path: Path) -> None:
    def stop(epochs: float) -> None:
        if epochs > 1:
            raise Stopped

    trainer = Trainer(run, images)
    with pytest.raises(Stopped):
        train(trainer, path, stop, Watch(PLACE, trainer.device))


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a checkpoint's state and give it the checksum of what it has become."""
    header, content = read_checkpoint(path)
    state = torch.load(io.BytesIO(content), weights_only=True)
    change(state)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    write_checkpoint(path, header.model_copy(update={"sha256": sha256}), buffer.getvalue())


def test_the_epochs_so_far_can_be_read_while_a_run_goes_on(run: Run, path: Path) -> None:
    (row,) = read_epochs(path.with_suffix(".csv"))
    assert row["epoch"] == 1
    assert row["images"] == 40


def test_another_seeds_checkpoint_is_refused(run: Run, images: Images, path: Path) -> None:
    other = Trainer(replace(run, seed=1), images)
    with pytest.raises(Unsound, match=r"it is of the run .*-seed0-"):
        restore(other, path)


def test_a_checkpoint_of_other_images_is_refused(run: Run, images: Images, path: Path) -> None:
    pixels = images.train.pixels.copy()
    pixels[0, 0, 0, 0] ^= 1
    others = replace(images, train=ImageSet(pixels, images.train.labels))
    with pytest.raises(Unsound, match=r"it was trained on images .* \(of pixels\), not"):
        restore(Trainer(run, others), path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 1.0])
def test_one_flipped_bit_is_noticed(run: Run, images: Images, path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(Unsound):
        restore(Trainer(run, images), path)


def _fewer_errors(state: dict[str, Any]) -> None:
    state["epochs"][0]["epoch"] = 2


def _one_epoch_too_many(state: dict[str, Any]) -> None:
    state["epochs"] += [{**state["epochs"][0], "epoch": 2}] * 1


def _another_schedule(state: dict[str, Any]) -> None:
    state["scheduler"]["last_epoch"] += 1


def _another_step(state: dict[str, Any]) -> None:
    state["part"]["steps"] += 1
    state["scheduler"]["last_epoch"] += 1


def _more_steps_than_an_epoch_has(state: dict[str, Any]) -> None:
    state["part"]["steps"] += 3
    state["scheduler"]["last_epoch"] += 3


def _another_net(state: dict[str, Any]) -> None:
    state["net"]["fc.weight"] = state["net"]["fc.weight"][:, :1]


def _nothing(state: dict[str, Any]) -> None:
    state.clear()


@pytest.mark.parametrize(
    "change",
    [
        _fewer_errors,
        _one_epoch_too_many,
        _another_schedule,
        _another_step,
        _more_steps_than_an_epoch_has,
        _another_net,
        _nothing,
    ],
)
def test_a_state_that_does_not_hold_together_is_refused(
    run: Run, images: Images, path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edited(path, change)
    with pytest.raises(Unsound):
        restore(Trainer(run, images), path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b"PK\x03\x04" * 99, b"x" * 2_000_000, b"\xff\xfe\n\n"]
)
def test_what_is_no_checkpoint_is_set_aside_and_the_run_begins_anew(
    run: Run, tmp_path: Path, data_root: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    results = Results(tmp_path)
    checkpoint = results.checkpoint(run.name)
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(content)
    assert compute(run, tmp_path, PLACE, lambda _epochs: None).outcome == "done"
    kept = checkpoint.with_name(f"{checkpoint.name}.unsound-1")
    assert kept.read_bytes() == content
    assert capsys.readouterr().err.count(kept.name) == 1


def test_sittings_tell_where_each_part_of_a_run_was_computed(
    run: Run, images: Images, tmp_path: Path
) -> None:
    results = Results(tmp_path)
    stop_after_first(run, images, results.checkpoint(run.name))
    elsewhere = PLACE.provenance.model_copy(update={"machine": "another", "clean": False})
    report = compute(run, tmp_path, replace(PLACE, provenance=elsewhere), lambda _epochs: None)
    assert report.outcome == "done"
    record = results.read(run.name)
    assert record is not None
    parts = [(s.device, s.clean, s.first_epoch, s.last_epoch) for s in record.sittings]
    # It was stopped after the first of three steps of the second epoch.
    assert parts == [("a CPU", True, 1, 2), ("another", False, 2, 2)]
    assert [sitting.passes for sitting in record.sittings] == pytest.approx([4 / 3, 2 / 3])
    assert all((s.cpu_seconds or 0) > 0 for s in record.sittings)
    assert not results.checkpoint(run.name).exists()
    assert not results.progress(run.name).exists()


def test_a_run_that_was_killed_before_its_record_keeps_its_bits(
    run: Run, images: Images, tmp_path: Path
) -> None:
    # Every epoch is done and the record is not written: which images were right is in the
    # checkpoint, since nothing is evaluated again.
    results = Results(tmp_path)
    path = results.checkpoint(run.name)
    trainer = Trainer(run, images)
    train(trainer, path, lambda _epochs: None, Watch(PLACE, trainer.device))
    again, sittings = begin(run, images, path)
    assert len(sittings) == 1
    assert again.correct is not None
    assert trainer.correct is not None
    assert np.array_equal(again.correct.right, trainer.correct.right)
    assert compute(run, tmp_path, PLACE, lambda _epochs: None).outcome == "done"
    record = results.read(run.name)
    assert record is not None
    assert len(record.sittings) == 1


def test_a_checkpoint_of_format_1_is_gone_on_from(run: Run, images: Images, tmp_path: Path) -> None:
    """It was taken at an epoch's end alone, and knew no parts."""
    path, old = tmp_path / "new.pt", tmp_path / "old.pt"
    trainer = Trainer(run, images)

    def copied(epochs: float) -> None:
        if epochs == 1 and len(trainer.epochs) == 1:
            _as_format_1(path, old)

    train(trainer, path, copied, Watch(PLACE, trainer.device))
    again = Trainer(run, images)
    before = restore(again, old)
    train(again, old, lambda _epochs: None, Watch(PLACE, again.device), before)
    assert weights_checksum(again.net) == weights_checksum(trainer.net)
    assert [epoch.train_loss for epoch in again.epochs] == [
        epoch.train_loss for epoch in trainer.epochs
    ]


def _as_format_1(path: Path, old: Path) -> None:
    """A checkpoint as it was written before."""
    header, content = read_checkpoint(path)
    state = torch.load(io.BytesIO(content), weights_only=True)
    assert state.pop("part") is None
    buffer = io.BytesIO()
    torch.save(state, buffer)
    keys = header.model_dump(mode="json") | {
        "format": 1,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    del keys["part"]
    old.write_bytes(json.dumps(keys).encode() + b"\n" + buffer.getvalue())


def test_a_header_is_read_without_the_rest(path: Path) -> None:
    header, _ = read_checkpoint(path)
    assert isinstance(header, Header)
    assert header.epochs == 1
    assert header.part == pytest.approx(1 / 3)
    assert path.stat().st_size > 100_000
