"""One run in a worker process: from its plan to its record on disk."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from cardinality.common.notes import note
from cardinality.data.store import DataSet, load_images
from cardinality.experiment.datasets import DataSpec
from cardinality.experiment.plan import Run
from cardinality.host.provenance import Place
from cardinality.results.folder import Report, Results
from cardinality.results.images import TestImages
from cardinality.results.images import checksum as checksum_of
from cardinality.results.progress import Unsound, set_aside
from cardinality.results.records import Sitting, make_record
from cardinality.training.checkpoint import restore, train
from cardinality.training.ends import Diverged, Stopped
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer
from cardinality.training.weights import save_weights, weights_checksum


@lru_cache(maxsize=1)
def _images(data: DataSpec) -> DataSet:
    """The data set, kept for the worker's next run."""
    return load_images(data)


def compute(run: Run, folder: Path, place: Place, on_step: Callable[[float], None]) -> Report:
    """Train one run and write its record; a failure is recorded as one.

    Args:
        run: what to train.
        folder: of the protocol's results.
        place: where, for the record.
        on_step: told how many epochs are done; it may raise `Stopped`.
    """
    results = Results(folder)
    checkpoint = results.checkpoint(run.name)
    trainer: Trainer | None = None
    sittings: tuple[Sitting, ...] = ()
    diverged = False
    try:
        watch = Watch(place, torch.device(run.numerics.device))
        trainer, sittings = begin(run, _images(run.data), checkpoint)
        sittings = train(trainer, checkpoint, on_step, watch, sittings)
        write_done(trainer, results, sittings)
        _forget(results, run)
        return Report(run, "done")
    except Stopped:
        return Report(run, "stopped")
    except Diverged as error:
        failure, diverged = str(error), True
        _forget(results, run)  # it would diverge again
    except Exception as error:  # whatever went wrong in one run must not end the others
        if os.environ.get("CARDINALITY_DEBUG"):
            raise
        # A full disk or another's use of the GPU passes: the checkpoint stays for a retry.
        failure = f"{type(error).__name__}: {error}"
    epochs = [] if trainer is None else trainer.epochs
    identity = None if trainer is None else trainer.identity
    record = make_record(run, identity, epochs, sittings, failure=failure, diverged=diverged)
    results.write(record, epochs)
    return Report(run, record.status, failure)


def begin(run: Run, images: DataSet, checkpoint: Path) -> tuple[Trainer, tuple[Sitting, ...]]:
    """A run as its checkpoint left it, with its sittings so far; else as it begins.

    A checkpoint that does not hold together is set aside.
    """
    trainer = Trainer(run, images)
    if not checkpoint.exists():
        return trainer, ()
    try:
        return trainer, restore(trainer, checkpoint)
    except Unsound as error:
        aside = set_aside(checkpoint)
        note(f"{checkpoint}: {error}; set aside as {aside.name}, and the run begins anew")
        return Trainer(run, images), ()


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
