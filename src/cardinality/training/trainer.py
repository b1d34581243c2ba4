"""One run's net, optimiser and data: an epoch at a time, the same for every scale and device."""

import math
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cardinality.data.device import Waited, batches, channel_statistics
from cardinality.data.loaders import EVALUATION_BATCH
from cardinality.data.store import DataSet
from cardinality.experiment.plan import Run
from cardinality.nets.fast import use_fast_paths
from cardinality.nets.ghost import use_ghost_batch_norm
from cardinality.nets.network import ResNeXt
from cardinality.results.epochs import Epoch
from cardinality.results.images import Correct
from cardinality.training.ends import Diverged
from cardinality.training.numerics import forward, prepare_process
from cardinality.training.part import Part
from cardinality.training.schedule import scheduler
from cardinality.training.tally import Tally

# Steps after which the loss is looked at: a GPU has to be waited for, which it should be seldom.
CHECKED_EVERY = 20


class Trainer:
    """The state of one run, which a checkpoint holds completely.

    Args:
        run: what to train.
        images: its data set.
    """

    def __init__(self, run: Run, images: DataSet) -> None:
        self.run = run
        self.device = torch.device(run.numerics.device)
        prepare_process(run.numerics)
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
        self.identity, self.statistics = images.identity(), channel_statistics(images)
        self.train_images, self.test_images = batches(images, run.training, self.device)
        self.steps = run.training.steps_an_epoch(len(self.train_images))
        self.scheduler = scheduler(self.optimizer, run.training, len(self.train_images))
        self.epochs: list[Epoch] = []
        self.part: Part | None = None
        # Which of the test images the last epoch got right.
        self.correct: Correct | None = None

    @property
    def done(self) -> float:
        """How many epochs are done, and which part of the next."""
        number = len(self.epochs)
        return number if self.part is None else number + self.part.steps / self.steps_of(number + 1)

    def steps_of(self, epoch: int) -> int:
        """Batches of an epoch: the last one of a training by steps may be cut short."""
        left = self.run.training.all_steps(len(self.train_images)) - (epoch - 1) * self.steps
        return min(self.steps, left)

    def train_epoch(self, on_step: Callable[[float], None]) -> None:
        """Train an epoch, or what is left of one that is under way, and evaluate after it.

        Args:
            on_step: told after each batch how many epochs are done; it may take a checkpoint, and
                it may raise `Stopped`.

        Raises:
            Diverged: the loss is not finite.
        """
        number = len(self.epochs) + 1
        if self.part is None:
            rate = self.optimizer.param_groups[0]["lr"]
            self.part = Part(self.generator.get_state(), rate, self.device)
        part = self.part
        train_loss, train_error = self._train(part, number, on_step)
        count = self._evaluated_after(number)
        test_loss, top1, top5, self.correct = self.evaluate(count, lambda: on_step(number))
        if not math.isfinite(test_loss):
            raise Diverged(f"test loss {test_loss} after epoch {number}")
        self.part = None
        self.epochs.append(
            Epoch(
                epoch=number,
                rate=part.rate,
                train_loss=train_loss,
                train_error=train_error,
                test_loss=test_loss,
                top1_error=top1,
                top5_error=top5,
                images=len(self.correct.right),
                seconds=part.seconds,
                input_seconds=part.waited,
            )
        )

    def _train(
        self, part: Part, number: int, on_step: Callable[[float], None]
    ) -> tuple[float, float]:
        """Train what is left of an epoch: its mean loss and error in percent."""
        steps, first, before = self.steps_of(number), part.steps, part.waited
        self.net.train()
        batches = self.train_images.epoch(self.generator, self.run.training.batch, skip=first)
        waited = Waited(batches)
        taken = waited if steps == self.steps else islice(waited, steps - first)
        for step, (images, labels) in enumerate(taken, start=first + 1):
            self.step(images, labels, part.tally)
            part.steps, part.waited = step, before + waited.seconds
            if step % CHECKED_EVERY == 0 or step == steps:
                part.tally.check(f"by step {step} of epoch {number}")
            on_step(number - 1 + step / steps)
        part.waited = before + waited.seconds
        loss, error, _ = part.tally.means()
        return loss, error

    def step(self, images: Tensor, labels: Tensor, tally: Tally) -> None:
        """Train on one batch, as the data set gives it, and count it."""
        loss, logits = self.loss(images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        tally.add(loss, logits, labels)

    def _evaluated_after(self, epoch: int) -> int:
        """On how many of the test images the error is measured after an epoch."""
        curve = self.run.training.curve
        if curve is None or epoch == self.run.epochs:
            return len(self.test_images)
        return min(curve, len(self.test_images))

    @torch.no_grad()
    def evaluate(
        self, count: int, between: Callable[[], None] = lambda: None
    ) -> tuple[float, float, float | None, Correct]:
        """Mean loss, top-1 and top-5 error in percent, and which are right.

        Args:
            count: how many test images, from the first on.
            between: called between two batches.
        """
        self.net.eval()
        tally, right = Tally(self.device), []
        for images, labels in self.test_images.plain(EVALUATION_BATCH):
            left = count - tally.images
            loss, logits = self.loss(images[:left], labels[:left])
            right.append(tally.add(loss, logits, labels[:left]))
            if left <= len(labels):
                break
            between()
        return *tally.means(), Correct(torch.cat(right).cpu().numpy())

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy and the logits, in float32 whatever the net's precision."""
        logits = forward(self.net, images, self.run.numerics.precision)
        return cross_entropy(logits, labels), logits

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            # Inside an epoch where its order is drawn from: it is drawn again.
            "order": self.generator.get_state() if self.part is None else self.part.order,
            "torch": torch.get_rng_state(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "part": None if self.part is None else self.part.state_dict(),
            "correct": None if self.correct is None else torch.from_numpy(self.correct.right),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["torch"])
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        part = state.get("part")  # none in checkpoints of format 1
        self.part = None if part is None else Part.from_state(state["order"], part, self.device)
        self.correct = None if state["correct"] is None else Correct(state["correct"].numpy())
