"""One run from its plan to its result: the same loop for every scale and device."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from cardinality.common.files import written_aside
from cardinality.data.device import Waited, batches, channel_statistics
from cardinality.data.store import DataSet
from cardinality.experiment.configuration import Training
from cardinality.experiment.plan import Run
from cardinality.nets.fast import use_fast_paths
from cardinality.nets.network import ResNeXt
from cardinality.nets.variants import use_ghost_batch_norm

EVALUATION_BATCH = 500
# Steps after which the loss is looked at: a GPU has to be waited for, which it should be seldom.
CHECKED_EVERY = 20


class Stopped(Exception):
    """The run was asked to stop; it goes on from its last checkpoint when it is run again."""


class Diverged(Exception):
    """The loss stopped being finite: the run has failed, and its message says where."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave; losses are means, errors are in percent.

    The training loss and error are running averages over the epoch, under augmentation, as in
    the paper's Fig. 5; the test loss and errors are of the net as the epoch left it. With fewer
    than five classes there is no top-5 error. Of the seconds, ``input_seconds`` went by while
    training waited for its batches.
    """

    epoch: int
    rate: float
    train_loss: float
    train_error: float
    test_loss: float
    top1_error: float
    top5_error: float | None
    seconds: float
    input_seconds: float


class Tally:
    """Sums loss, top-1 and top-5 errors on the device; they cross to the CPU when asked for."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.images = 0
        self.classes = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss (), logits (B, classes) and labels (B,)."""
        self.classes = logits.shape[1]
        ranked = logits.detach().topk(min(5, logits.shape[1])).indices == labels[:, None]
        wrong1 = len(labels) - ranked[:, 0].sum()
        wrong5 = len(labels) - ranked.sum()
        self.sums += torch.stack([loss.detach().double() * len(labels), wrong1, wrong5])
        self.images += len(labels)

    def check(self, when: str) -> None:
        """See that every loss so far was finite; a sum keeps what was not.

        Raises:
            Diverged: one was not.
        """
        total = self.sums[0].item()
        if not math.isfinite(total):
            raise Diverged(f"loss {total} {when}")

    def means(self) -> tuple[float, float, float | None]:
        """Mean loss, top-1 and top-5 error in percent; the last only with five classes or more."""
        loss, top1, top5 = (self.sums / self.images).tolist()
        return loss, 100 * top1, 100 * top5 if self.classes >= 5 else None


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


def exact_float32() -> None:
    """Make float32 mean float32 on GPUs too, where convolutions default to the shorter TF32."""
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined] # of run time


class Trainer:
    """The state of one run, which a checkpoint holds completely.

    Args:
        run: what to train.
        images: its data set.
    """

    def __init__(self, run: Run, images: DataSet) -> None:
        self.run = run
        self.device = torch.device(run.numerics.device)
        torch.set_num_threads(run.numerics.threads)
        exact_float32()
        torch.manual_seed(run.seed)
        self.net = ResNeXt(run.architecture).to(self.device)
        if run.training.norm_images is not None:
            use_ghost_batch_norm(self.net, run.training.norm_images)
        self.net = self.net.to(memory_format=torch.channels_last)
        use_fast_paths(self.net, run.numerics)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            lr=run.training.rate,
            momentum=run.training.momentum,
            nesterov=run.training.momentum > 0,
            weight_decay=run.training.decay,
            fused=True,  # one kernel for all tensors, not a loop over them: 7 % of a step on a CPU
        )
        # Order and augmentation have a generator of their own, so that they are the same for
        # every net with this seed, however many numbers its initialisation took.
        self.generator = torch.Generator().manual_seed(run.seed)
        self.statistics = channel_statistics(images)
        self.train_images, self.test_images = batches(images, run.training, self.device)
        self.steps = -(-len(self.train_images) // run.training.batch)
        self.scheduler = scheduler(self.optimizer, run.training, self.steps)
        self.epochs: list[Epoch] = []

    def train_epoch(self, on_step: Callable[[float], None]) -> None:
        """Train one epoch and evaluate after it.

        Args:
            on_step: told after each batch how many epochs are done; it may raise `Stopped`.

        Raises:
            Diverged: the loss is not finite.
        """
        start = time.perf_counter()
        training, number = self.run.training, len(self.epochs) + 1
        rate = self.optimizer.param_groups[0]["lr"]
        tally = Tally(self.device)
        self.net.train()
        waited = Waited(self.train_images.epoch(self.generator, training.batch))
        for step, (images, labels) in enumerate(waited, start=1):
            self.step(images, labels, tally)
            if step % CHECKED_EVERY == 0 or step == self.steps:
                tally.check(f"by step {step} of epoch {number}")
            on_step(number - 1 + step / self.steps)
        train_loss, train_error, _ = tally.means()
        test_loss, top1, top5 = self.evaluate()
        if not math.isfinite(test_loss):
            raise Diverged(f"test loss {test_loss} after epoch {number}")
        seconds = time.perf_counter() - start
        self.epochs.append(
            Epoch(
                number,
                rate,
                train_loss,
                train_error,
                test_loss,
                top1,
                top5,
                seconds,
                waited.seconds,
            )
        )

    def step(self, images: Tensor, labels: Tensor, tally: Tally) -> None:
        """Train on one batch, as the data set gives it, and count it."""
        loss, logits = self._loss(images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        tally.add(loss, logits, labels)

    @torch.no_grad()
    def evaluate(self) -> tuple[float, float, float | None]:
        """Mean loss, top-1 and top-5 error in percent on the test images."""
        self.net.eval()
        tally = Tally(self.device)
        for images, labels in self.test_images.plain(EVALUATION_BATCH):
            loss, logits = self._loss(images, labels)
            tally.add(loss, logits, labels)
        return tally.means()

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy, in float32 whatever the net's precision, and the logits."""
        mixed = self.run.numerics.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            logits = self.net(images)
        logits = logits.float()
        return cross_entropy(logits, labels), logits

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "run": self.run.name,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "order": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["torch"])
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]


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


def weights_checksum(net: nn.Module) -> str:
    """SHA-256 over the bytes of every weight and buffer; 16 hexadecimal digits of it."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
