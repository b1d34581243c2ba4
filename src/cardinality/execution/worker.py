"""One run in a worker process: from its plan to its record on disk."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from cardinality.data.store import DataSet, load_images
from cardinality.experiment.datasets import DataSpec
from cardinality.experiment.plan import Run
from cardinality.host.memory import peak, start_peak
from cardinality.host.provenance import Provenance
from cardinality.results.records import Report, Results, make_record
from cardinality.training.checkpoint import train
from cardinality.training.ends import Diverged, Stopped
from cardinality.training.trainer import Trainer
from cardinality.training.weights import save_weights, weights_checksum


@lru_cache(maxsize=1)
def _images(data: DataSpec) -> tuple[DataSet, str]:
    """The data set and its checksum, kept for the worker's next run."""
    images = load_images(data)
    return images, images.checksum()


def compute(
    run: Run, folder: Path, provenance: Provenance, on_step: Callable[[float], None]
) -> Report:
    """Train one run and write its record; a failure is recorded as one.

    Args:
        run: what to train.
        folder: of the protocol's results.
        provenance: for the record.
        on_step: told how many epochs are done; it may raise `Stopped`.
    """
    results = Results(folder)
    checkpoint = results.checkpoint(run.name)
    checksum, trainer = "", None
    device = torch.device(run.numerics.device)
    try:
        measured = start_peak(device)
        images, checksum = _images(run.data)
        trainer = Trainer(run, images)
        train(trainer, checkpoint, on_step)
        save_weights(trainer, results.weights(run.name))
        weights = weights_checksum(trainer.net)
        most = peak(device) if measured else None
        record = make_record(run, provenance, checksum, trainer.epochs, weights, most)
        results.write(record, trainer.epochs)
        checkpoint.unlink(missing_ok=True)
        return Report(run, "done")
    except Stopped:
        return Report(run, "stopped")
    except Diverged as error:
        failure = str(error)
        checkpoint.unlink(missing_ok=True)  # it would diverge again
    except Exception as error:  # whatever went wrong in one run must not end the others
        if os.environ.get("CARDINALITY_DEBUG"):
            raise
        # A full disk or another's use of the GPU passes: the checkpoint stays for a retry.
        failure = f"{type(error).__name__}: {error}"
    epochs = trainer.epochs if trainer is not None else []
    record = make_record(run, provenance, checksum, epochs, failure=failure)
    results.write(record, epochs)
    return Report(run, "failed", failure)
