"""A run's state as a file, from which it goes on, and the way from there to its last epoch."""

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from cardinality.results.epochs import Epoch, write_epochs
from cardinality.results.progress import Header, Unsound, read_checkpoint, write_checkpoint
from cardinality.results.records import Sitting
from cardinality.training.ends import Lost, Stopped
from cardinality.training.peers import Peers
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer

# What a process wishes after a step; of several the greatest counts.
GO_ON, KEEP, STOP = range(3)
# Seconds between two checkpoints inside an epoch: so much a machine that dies takes with it.
EVERY = 600.0


def save(trainer: Trainer, path: Path, sittings: Sequence[Sitting]) -> None:
    """Write a run's state, and its epochs so far as CSV beside it; of several processes the first.

    All of them call it.
    """
    trainer.gather()
    if not trainer.peers.first:
        return
    buffer = io.BytesIO()
    torch.save(trainer.state_dict(), buffer)
    content = buffer.getvalue()
    header = Header(
        format=2,
        run=trainer.run.name,
        data_checksum=trainer.identity.checksum,
        data_kind=trainer.identity.kind,
        epochs=len(trainer.epochs),
        part=trainer.done - len(trainer.epochs),
        sittings=tuple(sittings),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    write_checkpoint(path, header, content)
    if trainer.epochs:
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
    steps, part = _steps(trainer, done), state.get("part")
    if part is not None:
        if done == run.epochs or not 0 < part["steps"] <= trainer.steps_of(done + 1):
            raise Unsound(f"{part['steps']} steps of epoch {done + 1} are more than it has")
        steps += part["steps"]
        trained = min(part["steps"] * run.training.batch, len(trainer.train_images))
        if sum(images for _, images in part["sums"]) != trained:
            raise Unsound(f"its sums are not of {part['steps']} steps")
    if state["scheduler"]["last_epoch"] != steps:
        raise Unsound(f"its schedule is not where {steps} steps end")


def _steps(trainer: Trainer, epochs: int) -> int:
    """Batches of the first epochs of a run."""
    training = trainer.run.training
    return min(epochs * trainer.steps, training.all_steps(len(trainer.train_images)))


def _wish(on_step: Callable[[float], None], epochs: float) -> int:
    """Tell how many epochs are done, and whether it is to go on."""
    try:
        on_step(epochs)
    except Stopped:
        return STOP
    return GO_ON


def _check_together(peers: Peers, check: Callable[[], None]) -> None:
    """See that the run is still one's own; if one of several processes has lost it, all have."""
    lost: Lost | None = None
    try:
        check()
    except Lost as error:
        lost = error
    if peers.agree(lost is not None):
        raise lost or Lost("another process has taken it over")


def train(
    trainer: Trainer,
    path: Path,
    on_step: Callable[[float], None],
    watch: Watch,
    before: Sequence[Sitting] = (),
    check: Callable[[], None] = lambda: None,
) -> tuple[Sitting, ...]:
    """Train a run to its end, and keep its state: after each epoch, in time, and where it stops.

    Of several processes all call it.

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
        Stopped: it was asked to; its state is kept.
    """
    first, start, part = len(trainer.epochs) + 1, trainer.done, trainer.part
    sittings, kept = tuple(before), time.monotonic()

    def keep() -> None:
        nonlocal sittings, kept
        whole = part is None and trainer.part is None
        last = len(trainer.epochs) + (trainer.part is not None)
        sittings = (
            *before,
            watch.sitting(first, last, None if whole else round(trainer.done - start, 6)),
        )
        _check_together(trainer.peers, check)
        save(trainer, path, sittings)
        kept = time.monotonic()

    def after_step(epochs: float) -> None:
        late = time.monotonic() - kept >= EVERY
        wish = trainer.peers.agree(_wish(on_step, epochs) or (KEEP if late else GO_ON))
        if wish != GO_ON:
            keep()
        if wish == STOP:
            raise Stopped

    while len(trainer.epochs) < trainer.run.epochs:
        if trainer.peers.agree(_wish(on_step, trainer.done)) == STOP:
            raise Stopped
        trainer.train_epoch(after_step)
        keep()
    return sittings
