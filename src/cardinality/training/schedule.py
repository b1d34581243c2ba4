"""How the rate changes while a net is trained."""

import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from cardinality.experiment.configuration import Training


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
        return MultiStepLR(optimizer, [unit * drop for drop in schedule.drops], schedule.factor)
    return OneCycleLR(
        optimizer,
        max_lr=training.rate,
        total_steps=training.all_steps(images),
        pct_start=schedule.warmup,
        cycle_momentum=False,
    )
