"""Several processes compute what one does, and none waits for one that is lost.

Run by ``make test-together``.
"""

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.processes import LOST_PEER
from cardinality.results.progress import read_header
from tests.training.together import Task, outcomes, start

pytestmark = pytest.mark.together

# In batches of 32 these are 7 steps, the last of 20 images: in groups of 8 three of them, so that
# of four processes one has nothing and another 4 images.
IMAGES, STEPS = 212, 7


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture
def run(tiny: Plan) -> Run:
    """Three epochs, 21 steps, of the grouped net, as fast as it goes on a CPU."""
    run = tiny.runs()[0]
    update = {"norm_images": 8, "epochs": 3}
    data = run.data.model_copy(update={"train": IMAGES, "test": 39})
    return replace(run, data=data, training=run.training.model_copy(update=update))


@pytest.fixture
def alone(run: Run, root: Path) -> dict[str, Any]:
    """What one process comes to."""
    task = Task(run, root / "data", root / "alone")
    if not task.outcome(0, 1).exists():
        outcomes(task, 1)
    return dict(torch.load(task.outcome(0, 1)))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Losses and weights to 1e-8, and the same images right."""
    assert found["right"] == expected["right"]
    for one, other in zip(found["figures"], expected["figures"], strict=True):
        assert one == pytest.approx(other, abs=1e-8)
    for name, tensor in expected["net"].items():
        assert tensor.dtype in (torch.float64, torch.int64)
        torch.testing.assert_close(found["net"][name], tensor, rtol=0, atol=1e-8)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_losses_and_weights_are_those_of_one_process(
    run: Run, alone: dict[str, Any], root: Path, count: int
) -> None:
    assert len(alone["losses"]) > 3 * STEPS >= 20
    found = outcomes(Task(run, root / "data", root / f"by-{count}"), count)
    for one in found:
        assert one["losses"] == pytest.approx(alone["losses"], abs=1e-8)
        assert_same(one, alone)


def test_a_checkpoint_goes_on_with_any_other_number(
    run: Run, alone: dict[str, Any], root: Path
) -> None:
    """Each of these stops inside an epoch."""
    checkpoint = root / "changing"
    for count, stop in ((4, 3), (2, 10), (1, 17)):
        found = outcomes(Task(run, root / "data", checkpoint, stop), count)
        assert all(one["stopped"] for one in found)
        header = read_header(checkpoint)
        assert header.epochs == stop // STEPS
        assert header.part == pytest.approx(stop % STEPS / STEPS)
    for one in outcomes(Task(run, root / "data", checkpoint), 3):
        assert_same(one, alone)


def test_as_many_processes_give_the_same_bits_stopped_or_not(run: Run, root: Path) -> None:
    whole = outcomes(Task(run, root / "data", root / "whole"), 2)
    parts = Task(run, root / "data", root / "parts", stop=10)
    assert outcomes(parts, 2)[0]["stopped"]
    for one, other in zip(outcomes(replace(parts, stop=None), 2), whole, strict=True):
        assert one["figures"] == other["figures"]
        assert all(torch.equal(one["net"][name], other["net"][name]) for name in other["net"])


@pytest.mark.parametrize(
    ("hurt", "patience"),
    [(signal.SIGKILL, 40.0), (signal.SIGSTOP, 3.0)],
    ids=["killed", "silent"],
)
def test_a_lost_process_is_the_end_of_all(
    run: Run, root: Path, hurt: signal.Signals, patience: float
) -> None:
    task = Task(run, root / "data", root / hurt.name, patience=patience, hurt=hurt)
    *others, last = start(task, 3)
    began = time.monotonic()
    try:
        for process in others:
            process.join(60)
            # By gloo, which sees that a connection ends; or by the signs of life.
            assert process.exitcode in (1, LOST_PEER)
        assert time.monotonic() - began < 60
        if hurt == signal.SIGSTOP:
            # Gloo sees nothing of it. Who misses the silent one first ends, and that gloo sees.
            assert LOST_PEER in {process.exitcode for process in others}
    finally:  # one that is stopped would be waited for when the tests end
        last.kill()
        last.join()
