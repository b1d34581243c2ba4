"""One run in a worker process: from its plan to its record on disk."""

import os
import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from cardinality.common.errors import one_line
from cardinality.common.notes import note
from cardinality.data.store import DataSet, load_images
from cardinality.execution.contract import Broken, Report
from cardinality.execution.failure import failure_of
from cardinality.experiment.datasets import DataSpec
from cardinality.experiment.run import Run
from cardinality.host import limits
from cardinality.host.launched import sharing_here
from cardinality.host.provenance import Place
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results
from cardinality.results.images import TestImages
from cardinality.results.images import checksum as checksum_of
from cardinality.results.progress import Unsound, set_aside
from cardinality.results.records import Record, Sitting, make_record
from cardinality.training.checkpoint import restore, train
from cardinality.training.ends import Diverged, Lost, Stopped
from cardinality.training.peers import ALONE, Peers
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer
from cardinality.training.weights import save_weights, weights_checksum


@lru_cache(maxsize=1)
def _images(data: DataSpec) -> DataSet:
    """The data set, kept for the worker's next run."""
    return load_images(data)


def _nobody_else() -> None:
    """What is asked before anything is written where no other process can have the run."""


def compute(
    run: Run,
    folder: Path,
    place: Place,
    on_step: Callable[[float], None],
    check: Callable[[], None] = _nobody_else,
    peers: Peers = ALONE,
) -> Report:
    """Train one run and write its record; that of a failure is left to the driver.

    Where several processes share it, all call this, and the first writes.

    Args:
        run: what to train.
        folder: of the protocol's results.
        place: where, for the record.
        on_step: told how many epochs are done; it may raise `Stopped`.
        check: asked before anything is written; raises `Lost` where another has the run by now.
        peers: the processes that share it.

    Raises:
        Lost: another has the run.
        Broken: whatever went wrong before there were images, as it would with any other run; and
            in one of several processes, since the others cannot go on without it.
    """
    results = Results(folder)
    watch, images = _open(run, place)
    trainer: Trainer | None = None
    try:
        trainer, sittings = begin(run, images, results.checkpoint(run.name), peers)
        sittings = train(trainer, results.checkpoint(run.name), on_step, watch, sittings, check)
        if not peers.first:
            return Report(run, "done")
        check()
        write_done(trainer, results, sittings)
        _forget(results, run)
        return Report(run, "done")
    except Lost:
        raise
    except Stopped:
        return Report(run, "stopped")
    except Diverged as error:
        if not peers.first:
            return Report(run, "diverged", str(error))
        check()
        return _diverged(run, results, trainer, str(error))
    except Exception as error:  # whatever went wrong in one run must not end the others
        if peers.count > 1:
            told = one_line(error)
            raise Broken(f"process {peers.number + 1} of {peers.count}: {told}") from error
        return _failed(run, results, trainer, error)


def _diverged(run: Run, results: Results, trainer: Trainer | None, reason: str) -> Report:
    """Record a run that diverged; where that cannot be written, it has failed instead."""
    record, epochs = _failure(run, results, trainer, reason, diverged=True)
    try:
        results.write(record, epochs)
        _forget(results, run)  # it would diverge again
    except Exception as error:
        return _failed(run, results, trainer, error)
    return Report(run, "diverged", reason)


def _failed(run: Run, results: Results, trainer: Trainer | None, error: Exception) -> Report:
    """The report of a run that failed: a full disk or another's use of the GPU passes.

    So its checkpoint stays for a retry.
    """
    if os.environ.get("CARDINALITY_DEBUG"):
        traceback.print_exception(error)
    reason = one_line(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
    return Report(run, "failed", reason, *_failure(run, results, trainer, reason))


def _open(run: Run, place: Place) -> tuple[Watch, DataSet]:
    """The sitting's measures and the run's images."""
    limits.share_among((place.here or place.side_by_side or 1) * sharing_here())
    try:
        return Watch(place, torch.device(run.numerics.device)), _images(run.data)
    except Exception as error:
        raise Broken(one_line(error)) from error


def _failure(
    run: Run, results: Results, trainer: Trainer | None, reason: str, diverged: bool = False
) -> tuple[Record, Sequence[Epoch]]:
    """The record of a run that failed, and its epochs until then."""
    epochs = [] if trainer is None else trainer.epochs
    identity = None if trainer is None else trainer.identity
    return failure_of(run, results, reason, identity, epochs, diverged), epochs


def begin(
    run: Run, images: DataSet, checkpoint: Path, peers: Peers = ALONE
) -> tuple[Trainer, tuple[Sitting, ...]]:
    """A run as its checkpoint left it, with its sittings so far; else as it begins.

    A checkpoint that does not hold together is set aside. Of several processes the first reads it
    and tells the others, with the weights of the beginning as well.
    """
    trainer, sittings = Trainer(run, images, peers), tuple[Sitting, ...]()
    if peers.first and checkpoint.exists():
        try:
            sittings = restore(trainer, checkpoint)
        except Unsound as error:
            aside = set_aside(checkpoint)
            note(f"{checkpoint}: {error}; set aside as {aside.name}, and the run begins anew")
            trainer = Trainer(run, images, peers)
    if peers.count > 1:
        state = peers.tell(trainer.state_dict() if peers.first else None)
        if not peers.first:
            trainer.load_state_dict(state)
    return trainer, sittings


def write_done(trainer: Trainer, results: Results, sittings: tuple[Sitting, ...]) -> None:
    """Write a finished run's weights, its record, and the labels of the test images."""
    run, correct = trainer.run, trainer.correct
    if correct is None:
        raise RuntimeError("a run that is done has been evaluated")
    images = _images(run.data)
    labels, sources = images.evaluated
    known = TestImages(
        classes=images.classes,
        labels=tuple(labels),
        sources=None if sources is None else tuple(sources),
    )
    known.write(results.images(trainer.identity.checksum))
    save_weights(trainer, results.weights(run.name))
    record = make_record(
        run,
        trainer.identity,
        trainer.epochs,
        sittings,
        weights_checksum=weights_checksum(trainer.net),
        correct_checksum=checksum_of(correct.pack()),
    )
    results.write(record, trainer.epochs, correct)


def _forget(results: Results, run: Run) -> None:
    """Remove what an unfinished run would go on from."""
    results.checkpoint(run.name).unlink(missing_ok=True)
    results.progress(run.name).unlink(missing_ok=True)
