"""A run's state as a file, from which it goes on."""

from collections.abc import Callable
from pathlib import Path

import torch

from cardinality.common.files import written_aside
from cardinality.training.trainer import Trainer


def train(trainer: Trainer, checkpoint: Path, on_step: Callable[[float], None]) -> None:
    """Train a run to its end, from its checkpoint if there is one.

    Args:
        trainer: the run, as it begins; it ends with every epoch and the final weights.
        checkpoint: file that the state is kept in after each epoch; it is left there.
        on_step: told after each batch how many epochs are done; it may raise `Stopped`.

    Raises:
        Diverged: the loss is not finite.
    """
    if checkpoint.exists():
        trainer.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
    while len(trainer.epochs) < trainer.run.training.epochs:
        on_step(len(trainer.epochs))
        trainer.train_epoch(on_step)
        with written_aside(checkpoint) as aside:
            torch.save(trainer.state_dict(), aside)
