"""One run, from its plan to its record: what each way to end leaves on disk."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.execution import worker
from cardinality.execution.contract import Broken, Report
from cardinality.execution.driver import missing
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from cardinality.training.ends import Diverged
from cardinality.training.trainer import Trainer
from tests.tiny import PLACE, TINY_PROTOCOL


def compute(plan: Plan, results: Results) -> Report:
    """Compute the plan's first run in this process."""
    return worker.compute(plan.runs()[0], results.folder, PLACE, lambda _epochs: None)


def test_a_failure_that_passes_keeps_the_checkpoint(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    name = tiny.runs()[0].name
    assert compute(tiny, Results(tmp_path / "untouched")).outcome == "done"
    untouched = Results(tmp_path / "untouched").read(name)
    results = Results(tmp_path / "retried")
    with monkeypatch.context() as patched:
        patched.setattr(worker, "save_weights", full)
        failed = compute(tiny, results)
    assert failed.outcome == "failed"
    assert failed.record is not None
    assert failed.record.failure == "the disk is full; allowed: make room there, or another folder"
    assert results.status(name) == "missing"  # whether it is recorded, the driver decides
    assert results.checkpoint(name).exists()
    assert compute(tiny, results).outcome == "done"
    retried = results.read(name)
    assert retried is not None
    assert untouched is not None
    assert retried.weights_checksum == untouched.weights_checksum
    assert not results.checkpoint(name).exists()


def test_a_run_that_diverges_is_recorded_for_good(
    files: tuple[Path, Path], machine: Machine, tmp_path: Path, data_root: Path
) -> None:
    # A rate this large makes the loss infinite.
    files[1].write_text(TINY_PROTOCOL.replace("rate: 0.05", "rate: 1e20"))
    plan = make_plan(str(files[0]), str(files[1]), machine, seeds=1)
    results, first = Results(tmp_path / "results"), plan.runs()[0]
    report = compute(plan, results)
    assert report.outcome == "diverged"
    assert report.reason.startswith("loss ")
    assert results.status(first.name) == "diverged"
    assert not results.checkpoint(first.name).exists()
    for retry in (False, True):
        assert first not in missing(plan.runs(), results, retry_failed=retry)


def fail_in_the_second_epoch(
    monkeypatch: pytest.MonkeyPatch, error: Exception, before: Callable[[], object] = lambda: None
) -> None:
    """Let a run do one epoch, and fail in the next."""
    train_epoch = Trainer.train_epoch

    def one_epoch(trainer: Trainer, on_step: Callable[[float], None]) -> None:
        if trainer.epochs:
            before()
            raise error
        train_epoch(trainer, on_step)

    monkeypatch.setattr(Trainer, "train_epoch", one_epoch)


@pytest.mark.parametrize("error", [Diverged("loss nan by step 3 of epoch 2"), RuntimeError("made")])
def test_a_record_of_a_failure_says_where_it_was_computed(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """By machine, commit and versions, as far as that was kept: the failed sitting's own, too."""
    fail_in_the_second_epoch(monkeypatch, error)
    results, diverged = Results(tmp_path), isinstance(error, Diverged)
    report = compute(tiny, results)
    record = results.read(tiny.runs()[0].name) if diverged else report.record
    assert record is not None
    assert record.status == report.outcome == ("diverged" if diverged else "failed")
    (sitting,) = record.sittings
    assert (sitting.device, sitting.commit) == (PLACE.provenance.machine, PLACE.provenance.commit)
    assert (sitting.first_epoch, sitting.last_epoch) == (1, 1)
    assert "torch" in sitting.versions


def test_a_checkpoint_that_cannot_be_read_hides_no_failure(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    checkpoint = results.checkpoint(tiny.runs()[0].name)
    torn = partial(checkpoint.write_bytes, b"torn")
    fail_in_the_second_epoch(monkeypatch, Diverged("loss nan"), torn)
    assert compute(tiny, results).reason == "loss nan"
    record = results.read(tiny.runs()[0].name)
    assert record is not None
    assert (record.status, record.sittings) == ("diverged", ())


def test_one_that_cannot_be_recorded_as_diverged_has_failed(
    files: tuple[Path, Path],
    machine: Machine,
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And ends no other run."""
    files[1].write_text(TINY_PROTOCOL.replace("rate: 0.05", "rate: 1e20"))
    plan = make_plan(str(files[0]), str(files[1]), machine, seeds=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Results, "write", full)
    report = compute(plan, Results(tmp_path / "results"))
    assert (report.outcome, report.reason[:16]) == ("failed", "the disk is full")


def test_data_that_cannot_be_loaded_are_no_failure_of_the_run(
    tiny: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_data: object) -> None:
        raise UserError("data/cifar10: not there")

    monkeypatch.setattr(worker, "_images", gone)
    with pytest.raises(Broken, match=r"^data/cifar10: not there$"):
        compute(tiny, Results(tmp_path))
    assert list(tmp_path.glob("failed/*")) == []
