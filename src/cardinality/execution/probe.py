"""How fast this machine trains a plan's nets, found by some steps of them."""

import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import fmean

from cardinality.experiment.configuration import Steps
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine
from cardinality.host.processes import end_with_parent, start_shielded
from cardinality.results.estimate import Rate, stated

# What takes less is not worth the seconds of a probe.
WORTH = 120.0
# Seconds that each net is stepped for, and multiply-adds of a step at most.
LONG, STEP = 1.5, 5e9


def rate(plan: Plan, runs: Sequence[Run], machine: Machine) -> Rate:
    """The rate of this machine for some runs: probed if they are long, else as stated."""
    guess = stated(plan.protocol, machine)
    if sum(run.cost for run in runs) / guess.macs < WORTH:
        return guess
    costs = sorted(runs, key=lambda run: run.complexity.macs)
    context, start = get_context("spawn"), time.monotonic()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, (costs[0], costs[-1])), daemon=True)
    try:
        start_shielded(process)
        theirs.close()
        ours.recv()  # its imports are there
        began, speeds = time.monotonic() - start, ours.recv()
    except (EOFError, OSError):  # too little memory, a torch that is broken: told when runs begin
        return guess
    return Rate(fmean(speeds), "from a probe of some steps here", began)


def _measure(answer: Connection, runs: Sequence[Run]) -> None:
    """All that the process does: says that it is ready, then how fast it computes each run."""
    import os
    import sys

    end_with_parent()
    # What goes wrong here goes wrong again when runs begin, and is told then.
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 -- until it ends
    import cardinality.training.trainer  # noqa: F401 -- torch, now

    answer.send(None)
    answer.send([_speed(run) for run in dict.fromkeys(runs)])


def _speed(run: Run) -> float:
    """Multiply-adds a second of a net's training on made images."""
    import numpy as np

    from cardinality.data.images import Images, ImageSet
    from cardinality.training.trainer import Trainer

    side = run.data.side
    n = int(max(2, min(run.training.batch, STEP / (3 * run.complexity.macs))))
    # So few steps have no room for a cycle.
    constant = Steps(name="steps", drops=(1,), factor=0.5)
    update = {"schedule": constant, "batch": n, "norm_images": None}
    training = run.training.model_copy(update=update)
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(n) % run.data.classes)
    trainer = Trainer(replace(run, training=training), Images(images, images, ()))
    batch = next(trainer.train_images.plain(n))
    trainer.net.train()

    def step() -> float:
        """Train once; reading the loss waits for the device."""
        loss, _ = trainer.loss(*batch)
        trainer.optimizer.zero_grad()
        loss.backward()
        trainer.optimizer.step()
        return loss.item()

    step()
    steps, start = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - start < LONG:
        step()
        steps += 1
    return 3 * run.complexity.macs * n * steps / (time.perf_counter() - start)
