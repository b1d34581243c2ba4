"""What several tests share: a scale at which a run takes a second, and made records."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from cardinality.data.images import Identity
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from cardinality.results.images import Correct, checksum
from cardinality.results.records import make_record
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL, sitting

# A busy machine is no failure. In CI the same examples are drawn every time; elsewhere new ones.
settings.register_profile("suite", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("suite")

# Tests run side by side, one on a core, as runs do.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture
def machine() -> Machine:
    """A machine of two cores without bfloat16 instructions."""
    return Machine("cpu", "a CPU", 2, False)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The tiny ablation and protocol as files."""
    ablation, protocol = tmp_path / "two.yaml", tmp_path / "tiny.yaml"
    ablation.write_text(TINY_ABLATION)
    protocol.write_text(TINY_PROTOCOL)
    return ablation, protocol


@pytest.fixture
def tiny(files: tuple[Path, Path], machine: Machine) -> Plan:
    """The plan of the tiny ablation at the tiny scale, with one seed."""
    return make_plan(str(files[0]), str(files[1]), machine, seeds=1)


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for data."""
    root = tmp_path / "data"
    monkeypatch.setenv("CARDINALITY_DATA", str(root))
    return root


@pytest.fixture
def put_records() -> Callable[..., None]:
    """Write records with made figures, as if the runs of a plan had been computed."""

    def put(plan: Plan, results: Results, skip: int = 0, failures: int = 0) -> None:
        from cardinality.results.epochs import Epoch

        runs = plan.runs()
        for number, run in enumerate(runs[: len(runs) - skip]):
            failure = "loss nan in step 3 of epoch 1" if number < failures else None
            error = (
                30 - run.architecture.setting.cardinality / 8 + run.seed + run.complexity.macs % 7
            )
            count = run.epochs
            # As whole images of those evaluated, since the bits must sum to the error.
            images = run.data.evaluated_images
            correct = Correct(np.arange(images) >= round(error / 100 * images))
            epochs = [
                Epoch(n, 0.1, 2 / n, min(95, 40 * count / n), 2 / n,
                      correct.error + (9 / n - 9 / count), error / 4, images, 1.5, 0.1)
                for n in range(1, count + 1)
            ]  # fmt: skip
            record = make_record(
                run,
                Identity("0123456789abcdef", "pixels"),
                epochs,
                [sitting(1, count)],
                weights_checksum="fedcba9876543210",
                correct_checksum=checksum(correct.pack()),
                failure=failure,
            )
            # As if each had taken the same time and ended at the same moment.
            made = {"seconds": 3.0, "finished": "2026-01-01T00:00:00+00:00"}
            results.write(record.model_copy(update=made), epochs, correct)

    return put
