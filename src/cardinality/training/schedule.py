"""How the rate changes while a net is trained."""

import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from cardinality.experiment.configuration import Training


def scheduler(optimizer: torch.optim.Optimizer, training: Training, steps: int) -> LRScheduler:
    """Torch's own scheduler for a protocol's schedule, stepped once a batch.

    Args:
        steps: batches an epoch.
    """
    schedule = training.schedule
    if schedule.name == "steps":
        return MultiStepLR(optimizer, [steps * drop for drop in schedule.drops], schedule.factor)
    return OneCycleLR(
        optimizer,
        max_lr=training.rate,
        total_steps=steps * training.epochs,
        pct_start=schedule.warmup,
        cycle_momentum=False,
    )
