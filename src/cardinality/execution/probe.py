"""How fast this machine trains a plan's nets, found by some steps of them."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from cardinality.experiment.configuration import Steps
from cardinality.experiment.plan import Plan, Run
from cardinality.host.machine import Machine
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
    start = time.monotonic()
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(_begin).result()
            began = time.monotonic() - start
            speeds = [pool.submit(_speed, run).result() for run in {costs[0], costs[-1]}]
    except Exception:  # too little memory, a torch that is broken: told when runs begin
        return guess
    return Rate(sum(speeds) / len(speeds), "from a probe of some steps here", began)


def _begin() -> None:
    import cardinality.training.trainer  # noqa: F401 -- torch, now


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
