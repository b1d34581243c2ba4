"""How the rate changes while a net is trained."""

from collections.abc import Callable, Sequence

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR, OneCycleLR

from cardinality.experiment.configuration import Training, Warmup


def scheduler(optimizer: torch.optim.Optimizer, training: Training, images: int) -> LRScheduler:
    """Torch's own scheduler for a protocol's schedule, stepped once a batch.

    Args:
        optimizer: whose rate changes.
        training: the recipe; its drops are in the unit of its duration.
        images: training images, which make an epoch.
    """
    schedule = training.schedule
    if schedule.name == "steps":
        unit = 1 if training.epochs is None else training.steps_an_epoch(images)
        drops = [unit * drop for drop in schedule.drops]
        if schedule.warmup is not None:
            return LambdaLR(optimizer, _warmed(schedule.warmup, unit, drops, schedule.factor))
        return MultiStepLR(optimizer, drops, schedule.factor)
    return OneCycleLR(
        optimizer,
        max_lr=training.rate,
        total_steps=training.all_steps(images),
        pct_start=schedule.warmup,
        cycle_momentum=False,
    )


def _warmed(
    warmup: Warmup, unit: int, drops: Sequence[int], factor: float
) -> Callable[[int], float]:
    """What the rate is multiplied by in each step: lower at first, and after each drop."""

    def multiple(step: int) -> float:
        if step < unit * warmup.until:
            return warmup.factor
        return factor ** sum(step >= drop for drop in drops)

    return multiple
