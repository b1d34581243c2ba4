"""A run's state as a file, from which it goes on, and the way from there to its last epoch."""

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cardinality.results.epochs import Epoch, write_epochs
from cardinality.results.progress import Header, Unsound, read_checkpoint, write_checkpoint
from cardinality.results.records import Sitting
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer


def save(trainer: Trainer, path: Path, sittings: Sequence[Sitting]) -> None:
    """Write a run's state, and its epochs so far as CSV beside it."""
    buffer = io.BytesIO()
    torch.save(trainer.state_dict(), buffer)
    content = buffer.getvalue()
    header = Header(
        format=1,
        run=trainer.run.name,
        data_checksum=trainer.identity.checksum,
        data_kind=trainer.identity.kind,
        epochs=len(trainer.epochs),
        sittings=tuple(sittings),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    write_checkpoint(path, header, content)
    write_epochs(path.with_suffix(".csv"), trainer.epochs)


def restore(trainer: Trainer, path: Path) -> tuple[Sitting, ...]:
    """Put a run, as it begins, into the state of a checkpoint.

    Returns:
        The sittings in which the run came so far.

    Raises:
        Unsound: it is another run's, of other images, or does not hold together. The run may then
            be in no state at all.
    """
    try:
        header, content = read_checkpoint(path)
        if header.run != trainer.run.name:
            raise Unsound(f"it is of the run {header.run[:100]}")
        if header.identity != trainer.identity:
            raise Unsound(f"it was trained on images {header.identity}, not {trainer.identity}")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        _check(trainer, header, state)
        trainer.load_state_dict(state)
    except (Unsound, OSError):
        raise
    except Exception as error:  # whatever a state that is not ours leads to in torch
        raise Unsound(f"its state cannot be taken up ({type(error).__name__})") from None
    return header.sittings


def _check(trainer: Trainer, header: Header, state: dict[str, Any]) -> None:
    """See that the parts of a state tell of the same moment of this run."""
    epochs = [Epoch(**epoch) for epoch in state["epochs"]]
    done, run = len(epochs), trainer.run
    if [epoch.epoch for epoch in epochs] != list(range(1, done + 1)) or done != header.epochs:
        raise Unsound("its epochs are not those that it says it has")
    if done > run.epochs:
        raise Unsound(f"it has {done} epochs of {run.epochs}")
    steps = min(done * trainer.steps, run.training.all_steps(run.data.training_images))
    if state["scheduler"]["last_epoch"] != steps:
        raise Unsound(f"its schedule is not where {done} epochs end")


def train(
    trainer: Trainer,
    path: Path,
    on_step: Callable[[float], None],
    watch: Watch,
    before: Sequence[Sitting] = (),
    check: Callable[[], None] = lambda: None,
) -> tuple[Sitting, ...]:
    """Train a run to its end, and keep its state after each epoch.

    Args:
        trainer: the run, as it begins or as `restore` left it; it ends with every epoch.
        path: file that the state is kept in; it is left there.
        on_step: told after each batch how many epochs are done; it may raise `Stopped`.
        watch: measures this sitting.
        before: the sittings before this one.
        check: asked before the state is kept; it may raise `Lost`.

    Returns:
        Every sitting.

    Raises:
        Diverged: the loss is not finite.
    """
    first, sittings = len(trainer.epochs) + 1, tuple(before)
    while len(trainer.epochs) < trainer.run.epochs:
        on_step(len(trainer.epochs))
        trainer.train_epoch(on_step)
        sittings = (*before, watch.sitting(first, len(trainer.epochs)))
        check()
        save(trainer, path, sittings)
    return sittings
