"""Processes that share a run, as a launcher would start them, in float64."""

import os
import socket
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from cardinality.data.store import load_images
from cardinality.execution import together
from cardinality.execution.together import join
from cardinality.execution.worker import begin
from cardinality.experiment.run import Run
from cardinality.host.launched import Launched
from cardinality.training.checkpoint import train
from cardinality.training.ends import Stopped
from cardinality.training.peers import ALONE, Peers
from cardinality.training.sittings import Watch
from tests.tiny import PLACE


@dataclass(frozen=True)
class Task:
    """What processes are to do.

    Attributes:
        run: what they train.
        data: the folder for data.
        checkpoint: what they go on from.
        stop: after so many steps in all, if they are to.
        patience: seconds after which a silent one is given up.
        hurt: what the last process does to itself after its third step.
    """

    run: Run
    data: Path
    checkpoint: Path
    stop: int | None = None
    patience: float = 40.0
    hurt: int | None = None

    def outcome(self, number: int, count: int) -> Path:
        """What a process leaves: a loss for each step, figures and weights."""
        return self.checkpoint.with_name(f"{self.checkpoint.name}-{number}-of-{count}")


def start(task: Task, count: int) -> list[ForkServerProcess]:
    """Start the processes; they are forked from one that has imported torch."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.training.together"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        context.Process(target=take_part, args=(task, number, count, port))
        for number in range(count)
    ]
    for process in started:
        process.start()
    return started


def outcomes(task: Task, count: int) -> list[dict[str, Any]]:
    """What so many processes come to."""
    for process in start(task, count):
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(task.outcome(number, count)) for number in range(count)]


def take_part(task: Task, number: int, count: int, port: int) -> None:
    """All that one of them does."""
    os.environ |= {"CARDINALITY_DATA": str(task.data)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_default_dtype(torch.float64)
    together.PATIENCE, together.BEAT = task.patience, 0.2
    peers = join("cpu", Launched(number, count, number)) if count > 1 else ALONE
    torch.save(computed(task, peers), task.outcome(number, count))


def computed(task: Task, peers: Peers) -> dict[str, Any]:
    """Train, from a checkpoint if there is one, and say what came of it."""
    trainer, before = begin(task.run, load_images(task.run.data), task.checkpoint, peers)
    trainer.net.double()
    losses, done = [0.0], 0

    def on_step(epochs: float) -> None:
        nonlocal done
        if trainer.part is None or epochs == int(epochs) - 1:
            return
        done += 1
        losses.append(float(peers.total(trainer.part.tally.sums[0])))
        if done == 3 and task.hurt is not None and peers.number == peers.count - 1:
            os.kill(os.getpid(), task.hurt)
        # One alone is asked, as a driver asks the first.
        if trainer.scheduler.last_epoch == task.stop and peers.first:
            raise Stopped

    stopped = False
    try:
        train(trainer, task.checkpoint, on_step, Watch(PLACE, trainer.device), before)
    except Stopped:
        stopped = True
    return {
        "losses": losses,
        "stopped": stopped,
        "figures": [
            (e.train_loss, e.train_error, e.test_loss, e.top1_error) for e in trainer.epochs
        ],
        "right": None if trainer.correct is None else trainer.correct.right.tolist(),
        "net": {name: tensor.clone() for name, tensor in trainer.net.state_dict().items()},
    }
