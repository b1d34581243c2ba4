"""One run's net, optimiser and data: an epoch at a time, the same for every scale and device."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from cardinality.data.device import Batch, Waited, batches, channel_statistics
from cardinality.data.loaders import EVALUATION_BATCH
from cardinality.data.store import DataSet
from cardinality.experiment.run import Run
from cardinality.nets.fast import use_fast_paths
from cardinality.nets.ghost import use_ghost_batch_norm
from cardinality.nets.network import ResNeXt
from cardinality.results.epochs import Epoch
from cardinality.results.images import Correct
from cardinality.training.ends import Diverged
from cardinality.training.numerics import forward, prepare_process
from cardinality.training.part import Part
from cardinality.training.peers import ALONE, Peers
from cardinality.training.schedule import scheduler
from cardinality.training.tally import Tally

# Steps after which the loss is looked at: a GPU has to be waited for, which it should be seldom.
CHECKED_EVERY = 20


class Trainer:
    """The state of one run, which a checkpoint holds completely.

    Args:
        run: what to train.
        images: its data set.
        peers: the processes that share it.
    """

    def __init__(self, run: Run, images: DataSet, peers: Peers = ALONE) -> None:
        self.run, self.peers = run, peers
        # Whole groups of batch norm: then it does not matter how many processes there are.
        self.share = peers.share(run.training.norm_images or 1)
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
        self.classes = run.architecture.classes
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
        self.peers.copy_buffers(self.net)
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
        batch, images = self.run.training.batch, len(self.train_images)
        waited = Waited(self.train_images.epoch(self.generator, batch, first, self.share))
        for step in range(first + 1, steps + 1):
            together = min(batch, images - (step - 1) * batch)
            if self.peers.count == 1:
                self.step(*next(waited), part.tally)
            else:  # of an epoch's last batch some may have nothing
                self.step_together(next(waited, None), together, part.tally)
            part.steps, part.waited = step, before + waited.seconds
            if step % CHECKED_EVERY == 0 or step == steps:
                part.tally.check(f"by step {step} of epoch {number}", self.peers)
            on_step(number - 1 + step / steps)
        if steps == self.steps:  # else it is the last one, and cut short
            assert next(waited, None) is None  # noqa: S101 -- ours to keep
        part.waited = before + waited.seconds
        loss, error, _ = part.tally.means(self.peers)
        return loss, error

    def step(self, images: Tensor, labels: Tensor, tally: Tally) -> None:
        """Train on one batch, as the data set gives it, and count it."""
        loss, logits = self.loss(images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        tally.add(loss, logits, labels)

    def step_together(self, share: Batch | None, images: int, tally: Tally) -> None:
        """Train on one batch of so many images, of which this process has a share or nothing.

        Every image weighs the same, wherever it is, as in the mean over the whole batch.
        """
        self.optimizer.zero_grad()
        if share is not None:
            loss, logits = self.loss(*share)
            labels = share[1]
            (loss * (len(labels) / images)).backward()
            tally.add(loss, logits, labels)
        self.peers.add_gradients(self.net.parameters())
        self.optimizer.step()
        self.scheduler.step()

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
        mine, tally = self.peers.share(1).of(count), Tally(self.device, self.classes)
        right = [torch.zeros(0, dtype=torch.bool, device=self.device)]
        batches = self.test_images.plain(EVALUATION_BATCH, mine)
        # The first process has most images; all pass on as often as it.
        most = -(-count // self.peers.count)
        for start in range(0, most, EVALUATION_BATCH):
            if start:
                between()
            if start < len(mine):
                images, labels = next(batches)
                loss, logits = self.loss(images, labels)
                right.append(tally.add(loss, logits, labels))
        assert next(batches, None) is None  # noqa: S101 -- ours to keep
        found = self.peers.gather((mine, torch.cat(right).cpu().numpy()))
        return *tally.means(self.peers), _each_once(found, count)

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy and the logits, in float32 whatever the net's precision."""
        logits = forward(self.net, images, self.run.numerics.precision)
        return cross_entropy(logits, labels), logits

    def gather(self) -> None:
        """Have what all processes know, for `state_dict`; they all call it."""
        if self.part is not None:
            self.part.gather(self.peers)

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as of the last `gather`."""
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
        self.part = None
        if part is not None:
            self.part = Part.from_state(state["order"], part, self.device, self.peers)
        self.correct = None if state["correct"] is None else Correct(state["correct"].numpy())


def _each_once(found: Sequence[tuple[range, NDArray[np.bool_]]], count: int) -> Correct:
    """Which of all images are right, from what each process found of its own.

    Raises:
        AssertionError: an image was not counted once.
    """
    right, times = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.int64)
    for mine, theirs in found:
        right[mine.start : mine.stop] = theirs
        times[mine.start : mine.stop] += 1
    if not (times == 1).all():
        raise AssertionError("an image was not evaluated, or twice")
    return Correct(right)
