"""Training: the same bits for the same seed, stopped or not; and what is measured is right."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cardinality.data.images import Images
from cardinality.data.store import load_images
from cardinality.experiment.configuration import Steps, Training
from cardinality.experiment.datasets import Patches
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Precision
from cardinality.nets.network import build
from cardinality.results.progress import read_header
from cardinality.training import checkpoint
from cardinality.training import trainer as trainer_module
from cardinality.training.checkpoint import restore, train
from cardinality.training.ends import Diverged, Stopped
from cardinality.training.numerics import exact_float32, forward
from cardinality.training.schedule import scheduler
from cardinality.training.sittings import Watch
from cardinality.training.tally import Tally, rivals
from cardinality.training.trainer import Trainer
from cardinality.training.weights import weights_checksum
from tests.tiny import PLACE


def nothing(_epochs: float) -> None:
    pass


@pytest.fixture
def run(tiny: Plan) -> Run:
    return tiny.runs()[0]


@pytest.fixture
def images(run: Run, data_root: Path) -> Images:
    assert isinstance(run.data, Patches)
    return load_images(run.data)


def finished(run: Run, images: Images, path: Path) -> Trainer:
    trainer = Trainer(run, images)
    before = restore(trainer, path) if path.exists() else ()
    train(trainer, path, nothing, Watch(PLACE, trainer.device), before)
    return trainer


def figures(trainer: Trainer) -> list[tuple[float | None, ...]]:
    """Every figure of every epoch but the time."""
    return [
        (e.epoch, e.rate, e.train_loss, e.train_error, e.test_loss, e.top1_error, e.top5_error)
        for e in trainer.epochs
    ]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_bits(
    run: Run, images: Images, tmp_path: Path, precision: Precision
) -> None:
    run = replace(run, numerics=replace(run.numerics, precision=precision))
    one, two = (finished(run, images, tmp_path / name) for name in ("one", "two"))
    assert figures(one) == figures(two)
    assert weights_checksum(one.net) == weights_checksum(two.net)
    other = finished(replace(run, seed=1), images, tmp_path / "other")
    assert weights_checksum(one.net) != weights_checksum(other.net)


@pytest.mark.parametrize("stop_at", [0.5, 1.0, 1.7])
def test_stopped_and_resumed_is_as_if_untouched(
    run: Run, images: Images, tmp_path: Path, stop_at: float
) -> None:
    def stop(epochs: float) -> None:
        if epochs >= stop_at:
            raise Stopped

    untouched = finished(run, images, tmp_path / "untouched")
    trainer = Trainer(run, images)
    with pytest.raises(Stopped):
        train(trainer, tmp_path / "stopped", stop, Watch(PLACE, trainer.device))
    torch.manual_seed(99)  # another process would be in another state
    resumed = finished(run, images, tmp_path / "stopped")
    assert figures(resumed) == figures(untouched)
    assert weights_checksum(resumed.net) == weights_checksum(untouched.net)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopped_after_every_step_and_between_evaluations_is_as_if_untouched(
    run: Run,
    images: Images,
    tmp_path: Path,
    precision: Precision,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = replace(run, numerics=replace(run.numerics, precision=precision))
    # The 40 test images in 3 batches, of which a stop is heard between two.
    monkeypatch.setattr(trainer_module, "EVALUATION_BATCH", 16)
    untouched = finished(run, images, tmp_path / "untouched")
    path, told, stops = tmp_path / "stopped", -1.0, set[tuple[float, bool]]()

    def stop(epochs: float) -> None:
        """Once after each step, and once where the same is told again: inside an evaluation."""
        nonlocal told
        place, told = (epochs, epochs == told), epochs
        if epochs > 0 and place not in stops:
            stops.add(place)
            raise Stopped

    stopped = True
    while stopped:
        trainer, told = Trainer(run, images), -1.0
        before = restore(trainer, path) if path.exists() else ()
        torch.manual_seed(99)  # another process would be in another state
        try:
            train(trainer, path, stop, Watch(PLACE, trainer.device), before)
            stopped = False
        except Stopped:
            continue
    assert len(stops) == 2 * (3 + 1)
    assert figures(trainer) == figures(untouched)
    assert weights_checksum(trainer.net) == weights_checksum(untouched.net)
    assert all(epoch.seconds > epoch.input_seconds > 0 for epoch in trainer.epochs)


def test_a_checkpoint_is_taken_inside_an_epoch_when_it_is_time(
    run: Run, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        """It leaves no time to keep anything."""

    def kill(epochs: float) -> None:
        if epochs >= 2:
            raise Killed

    untouched = finished(run, images, tmp_path / "untouched")
    parts: dict[float, list[float]] = {}
    for every in (600.0, 0.0):
        monkeypatch.setattr(checkpoint, "EVERY", every)
        trainer, path = Trainer(run, images), tmp_path / f"{every}"
        with pytest.raises(Killed):
            train(trainer, path, kill, Watch(PLACE, trainer.device))
        header = read_header(path)
        parts[every] = [header.epochs, header.part]
        resumed = finished(run, images, path)
        assert figures(resumed) == figures(untouched)
        assert weights_checksum(resumed.net) == weights_checksum(untouched.net)
    assert parts == {600.0: [1, 0.0], 0.0: [1, pytest.approx(2 / 3)]}


def test_every_step_of_an_epoch_is_told_and_every_image_is_seen(run: Run, images: Images) -> None:
    told: list[float] = []
    trainer = Trainer(run, images)
    trainer.train_epoch(told.append)
    assert told == [1 / 3, 2 / 3, 1.0]  # 80 images in batches of 32, the last one of 16


def test_order_and_augmentation_are_the_same_for_every_net(tiny: Plan, images: Images) -> None:
    states = []
    for run in tiny.runs():  # of one seed
        trainer = Trainer(run, images)
        trainer.train_epoch(nothing)
        states.append(trainer.generator.get_state())
    assert len(states) == 2
    assert torch.equal(states[0], states[1])


def test_a_loss_that_is_not_finite_ends_the_run(run: Run, images: Images) -> None:
    trainer = Trainer(run, images)
    told: list[float] = []
    with torch.no_grad():
        trainer.net.fc.bias.fill_(math.nan)
    with pytest.raises(Diverged, match="loss nan by step 3 of epoch 1"):
        trainer.train_epoch(told.append)
    assert told == [1 / 3, 2 / 3]  # 3 steps, and the loss is looked at after the last


def test_a_test_loss_that_is_not_finite_is_a_failure_too(run: Run, images: Images) -> None:
    trainer = Trainer(run, images)

    def ruin(epochs: float) -> None:
        if epochs == 1:  # after the last step of the epoch
            with torch.no_grad():
                trainer.net.fc.bias.fill_(math.inf)

    with pytest.raises(Diverged, match="test loss nan after epoch 1"):
        trainer.train_epoch(ruin)
    assert trainer.epochs == []


def test_the_first_step_is_sgd_with_nesterov_momentum(run: Run, images: Images) -> None:
    # By hand: with an empty momentum buffer v = g, and the step is rate * (g + momentum * v),
    # where g has the decay of every parameter, batch norm's too.
    run = replace(run, training=run.training.model_copy(update={"batch": 80, "epochs": 1}))
    trainer, twin = Trainer(run, images), Trainer(run, images)
    pixels, labels = next(twin.train_images.epoch(twin.generator, 80))
    rate = trainer.optimizer.param_groups[0]["lr"]
    cross_entropy(twin.net(pixels), labels).backward()
    trainer.train_epoch(nothing)
    for after, before in zip(trainer.net.parameters(), twin.net.parameters(), strict=True):
        assert before.grad is not None
        gradient = before.grad + 5e-4 * before
        torch.testing.assert_close(
            after, before - rate * (1 + 0.9) * gradient, rtol=1e-5, atol=1e-6
        )


def test_the_tally_agrees_with_counting_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 10, generator=generator)
    labels = torch.randint(10, (300,), generator=generator)
    tally = Tally(torch.device("cpu"))
    for part in (slice(0, 128), slice(128, 300)):
        tally.add(cross_entropy(logits[part], labels[part]), logits[part], labels[part])
    loss, top1, top5 = tally.means()
    rank = (logits > logits[torch.arange(300), labels][:, None]).sum(1).numpy()
    assert loss == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-6)
    assert top1 == pytest.approx(100 * np.mean(rank >= 1))
    assert top5 == pytest.approx(100 * np.mean(rank >= 5))


def test_schedules() -> None:
    def rates(training: Training, images: int) -> list[float]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        schedule = scheduler(optimizer, training, images)
        seen = []
        for _ in range(training.all_steps(images)):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return seen

    common = {"batch": 2, "rate": 0.1, "momentum": 0.9, "decay": 0.0, "shift": 0, "flip": False}

    def training(duration: dict[str, int], **schedule: object) -> Training:
        return Training.model_validate(common | duration | {"schedule": schedule})

    drops = training({"epochs": 6}, name="steps", drops=(2, 4), factor=0.1)
    expected = [0.1] * 6 + [0.01] * 6 + [0.001] * 6
    assert rates(drops, 5) == pytest.approx(expected)  # 3 steps an epoch, the last of one image
    by_steps = training({"steps": 18}, name="steps", drops=(6, 12), factor=0.1)
    assert rates(by_steps, 5) == pytest.approx(expected)
    cycle = training({"epochs": 4}, name="one-cycle", warmup=0.5)
    up_and_down = rates(cycle, 10)
    top = up_and_down.index(max(up_and_down))
    assert max(up_and_down) == pytest.approx(0.1)
    assert up_and_down[: top + 1] == sorted(up_and_down[: top + 1])
    assert up_and_down[top:] == sorted(up_and_down[top:], reverse=True)
    assert up_and_down[-1] < 1e-3 * up_and_down[0]


def test_a_training_by_steps_is_one_by_epochs_that_ends_within_one(
    run: Run, images: Images
) -> None:
    drops = Steps(name="steps", drops=(1,), factor=0.1)
    update = {"schedule": drops, "epochs": None, "steps": 4}  # of 3 an epoch
    cut = replace(run, training=run.training.model_copy(update=update))
    assert cut.epochs == 2
    told: list[float] = []
    trainer = Trainer(cut, images)
    while len(trainer.epochs) < cut.epochs:
        trainer.train_epoch(told.append)
    assert told == [1 / 3, 2 / 3, 1.0, 2.0]
    assert trainer.scheduler.last_epoch == 4
    assert cut.cost < run.cost


def test_which_images_are_right_sums_to_the_error(run: Run, images: Images) -> None:
    trainer = Trainer(run, images)
    trainer.train_epoch(nothing)
    assert trainer.correct is not None
    assert trainer.correct.error == trainer.epochs[-1].top1_error
    assert len(trainer.correct.right) == trainer.epochs[-1].images == 40
    # A second way: the plain forward pass, image by image.
    pixels = (batch for batch, _ in trainer.test_images.plain(1))
    with torch.no_grad():
        found = [int(trainer.net(x).argmax()) for x in pixels]
    assert (np.array(found) == images.test.labels).tolist() == trainer.correct.right.tolist()


def test_ties_and_what_is_not_a_number_count_as_wrong() -> None:
    nan = math.nan
    logits = torch.tensor(
        [
            [3.0, 2, 1, 0, 0, 0, 0],  # ahead of all
            [3.0, 3, 1, 0, 0, 0, 0],  # a tie for the first place
            [0.0, 9, 9, 9, 9, 9, -1],  # five are ahead
            [0.0, 9, 9, 9, 9, -1, -1],  # four are
            [0.0, 9, 9, 9, 0, 0, -1],  # a tie for the fifth place
            [nan, 0, 0, 0, 0, 0, 0],
            [1.0, nan, 0, 0, 0, 0, 0],
        ]
    )
    ahead = rivals(logits, torch.zeros(7, dtype=torch.long))
    assert ahead.tolist() == [1, 2, 6, 5, 6, 7, 2]


def test_the_last_layer_is_computed_in_float32() -> None:
    # In bfloat16 these two logits are one.
    net = build("1x64d", 11, "cifar", classes=2, base=16).eval()
    with torch.no_grad():
        net.fc.weight.zero_()
        net.fc.bias.copy_(torch.tensor([1.0, 1.0 + 2**-12]))
        logits = forward(net, torch.zeros(1, 3, 8, 8), "bfloat16")
    assert logits.dtype == torch.float32
    assert logits[0, 1] > logits[0, 0]


def test_a_net_learns(run: Run, data_root: Path) -> None:
    data = run.data.model_copy(update={"train": 600, "test": 200})
    training = run.training.model_copy(update={"epochs": 4})
    easy = replace(run, data=data, training=training)
    trainer = Trainer(easy, load_images(data))
    for _ in range(4):
        trainer.train_epoch(nothing)
    assert trainer.epochs[-1].train_loss < trainer.epochs[0].train_loss - 0.2
    assert trainer.epochs[-1].train_error < 75


def test_float32_means_float32_by_either_of_torchs_names() -> None:
    exact_float32()
    assert torch.backends.cudnn.allow_tf32 is False
    assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined] # of run time
    assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
