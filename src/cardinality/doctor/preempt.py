"""Proof on this machine that what is killed loses nothing: short runs, killed at random moments."""

import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import numpy as np

from cardinality.doctor.checks import Finding
from cardinality.experiment.configuration import Steps
from cardinality.experiment.datasets import DataSpec, Folders, Patches
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine, Precision
from cardinality.host.processes import end_with_parent, how_it_ended, start_shielded
from cardinality.host.provenance import Place, provenance
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header
from cardinality.results.records import Record

# The run: images a step, their side and classes, those evaluated, and epochs.
BATCH, SIDE, CLASSES, TESTED, EPOCHS = 8, 32, 10, 40, 3
# Steps of an epoch, at least and at most; and how many an evaluation is about worth.
FEWEST, MOST, EVALUATION = 4, 400, 2
# Seconds that one takes when it is left alone, and for which such runs are killed.
LONG, KILLING = 4.0, 14.0
# Seconds between two checkpoints inside an epoch, ten minutes elsewhere.
EVERY = 0.05
# One kill in three comes while a process starts, the others within so many seconds of the first
# checkpoint that it writes.
STARTING, SOON = 1 / 3, 1.0
# Seconds between two looks at whether there is one.
POLLED = 0.01


@dataclass
class Kills:
    """How many there were, and what came of them.

    Attributes:
        count: of the kills.
        inside: after how many of them a run went on from inside an epoch.
        runs: that were killed.
        differ: how many of these came to other bits than one untouched.
        unsound: checkpoints that were set aside.
    """

    count: int = 0
    inside: int = 0
    runs: int = 0
    differ: int = 0
    unsound: int = 0


def preempt(plans: Sequence[Plan], machine: Machine) -> Iterator[Finding]:
    """Kill short runs at random moments, in each precision.

    Args:
        plans: of what is to be run; the net is that of most groups.
        machine: where.
    """
    runs = [run for plan in plans for run in plan.runs()]
    run = max(runs, key=lambda run: (run.architecture.setting.cardinality, -run.cost))
    place = Place(provenance(machine), side_by_side=1)
    for precision in get_args(Precision):
        with tempfile.TemporaryDirectory() as folder:
            yield killed(run, precision, Grid(Path(folder), place))


@dataclass(frozen=True)
class Grid:
    """A folder with data and results of short runs.

    Attributes:
        folder: for all of them.
        place: where they are computed.
    """

    folder: Path
    place: Place

    def results(self, name: str) -> Results:
        """A folder of results; each has the same run."""
        return Results(self.folder / name)

    def start(self, run: Run, name: str) -> "Started":
        """Compute a run, or go on with it, in a process of its own."""
        return Started(run, self.results(name).folder, self.place, self.folder / "data")


class Started:
    """A process that computes a run. They are forked from one that has imported torch."""

    def __init__(self, run: Run, results: Path, place: Place, data: Path) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["cardinality.execution.worker"])
        self.process = context.Process(target=_compute, args=(run, results, place, data))
        start_shielded(self.process)

    def ended(self, seconds: float | None) -> bool:
        """Wait so long for its end; whether it has ended.

        Raises:
            RuntimeError: by itself, and without a result.
        """
        self.process.join(seconds)
        if self.process.exitcode:
            raise RuntimeError(f"a run ended by itself ({how_it_ended(self.process.exitcode)})")
        return self.process.exitcode is not None

    def kill(self) -> None:
        """End it now."""
        self.process.kill()
        self.process.join()


def _compute(run: Run, results: Path, place: Place, data: Path) -> None:
    """All that such a process does."""
    end_with_parent()
    os.environ["CARDINALITY_DATA"] = str(data)
    from cardinality.execution.worker import compute
    from cardinality.training import checkpoint

    checkpoint.EVERY = EVERY
    report = compute(run, results, place, lambda _epochs: None)
    if report.outcome != "done":
        raise RuntimeError(f"{report.outcome}: {report.reason}")


def killed(run: Run, precision: Precision, grid: Grid) -> Finding:
    """Compare runs that were killed with one that nobody touched."""
    trial = _short(run, precision, FEWEST, grid)
    _untouched(grid, trial, "trial")
    *_, last = grid.results("trial").epochs(_record(grid.results("trial")))
    step = last["seconds"] / (FEWEST + EVALUATION)
    short = _short(run, precision, int(min(MOST, max(FEWEST, LONG / EPOCHS / step))), grid)
    overhead = _untouched(grid, short, "untouched")
    expected, kills = outcome(grid.results("untouched")), Kills()
    end = time.monotonic() + KILLING
    while time.monotonic() < end or not kills.count:
        name = f"killed-{kills.runs}"
        _kill(grid, short, name, end, overhead, kills)
        kills.runs += 1
        kills.differ += outcome(grid.results(name)) != expected
    kills.unsound = len(list(grid.folder.rglob("*.unsound-*")))
    return verdict(short, kills)


def verdict(run: Run, kills: Kills) -> Finding:
    """What the kills of a run's short runs came to."""
    if kills.unsound:
        passed, how = False, f"{kills.unsound} checkpoints did not hold together"
    elif kills.differ:
        # On a GPU sums are taken in the order in which they come; runs are sound all the same.
        passed, how = run.numerics.device == "cuda", f"{kills.differ} came to other bits"
    else:
        passed, how = True, "the same bits as one untouched"
    net = f"{run.architecture.setting} at depth {run.architecture.depth}"
    told = f"{kills.count} kills, {kills.inside} of them inside an epoch, in {kills.runs} runs"
    return Finding(f"killed, {run.numerics.precision}", passed, f"{told} of {net}: {how}")


def _short(run: Run, precision: Precision, steps: int, grid: Grid) -> Run:
    """A run of the same net and numerics with so many steps an epoch."""
    groups = None if run.training.norm_images is None else BATCH // 2
    rates = Steps(name="steps", drops=(1,), factor=0.5)
    update = {"epochs": EPOCHS, "steps": None, "batch": BATCH, "rate": 0.01, "schedule": rates}
    training = run.training.model_copy(update=update | {"norm_images": groups, "curve": None})
    return replace(
        run,
        architecture=replace(run.architecture, classes=CLASSES),
        data=_data(run.data, steps * BATCH - 1, grid),  # the last batch has fewer
        training=training,
        numerics=replace(run.numerics, precision=precision),
    )


def _data(data: DataSpec, images: int, grid: Grid) -> DataSpec:
    """So many images: of photographs' kind, as files, if the run's are."""
    if not isinstance(data, Folders):
        return Patches(name="patches", side=SIDE, train=images, test=TESTED)
    name, root = f"made{images}", grid.folder / "data"
    _write(root / name / "train", images)
    _write(root / name / "val", TESTED)
    update = {"folders": (name,), "classes": CLASSES, "train": images, "test": TESTED}
    return data.model_copy(update=update | {"side": SIDE, "resize": SIDE, "evaluate_on": "test"})


def _write(folder: Path, images: int) -> None:
    """Write noise as class folders of PNG files."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(images):
        place = folder / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{number:04d}.png")


def _untouched(grid: Grid, run: Run, name: str) -> float:
    """Compute a run: the seconds that its process took beside its epochs."""
    start = time.monotonic()
    grid.start(run, name).ended(None)
    return max(0.0, time.monotonic() - start - _record(grid.results(name)).seconds)


def _kill(grid: Grid, run: Run, name: str, end: float, overhead: float, kills: Kills) -> None:
    """Compute a run whose process is killed again and again, as long as there is time.

    Args:
        end: until when, by the monotonic clock.
        overhead: seconds that a process takes to start and to write its record.
    """
    path = grid.results(name).checkpoint(run.name)
    while True:
        started, before = grid.start(run, name), _written(path)
        if random.random() < STARTING:
            wait = random.uniform(0, overhead)
        else:
            while not started.ended(POLLED) and _written(path) == before:
                continue
            wait = random.uniform(0, SOON)
        killing = time.monotonic() < end or not kills.count  # a slow machine needs longer
        if started.ended(wait if killing else None):
            return
        started.kill()
        kills.count += 1
        try:
            kills.inside += read_header(path).part > 0
        except (OSError, Unsound):  # there is none yet, or no longer
            continue


def _written(path: Path) -> int:
    """When a file was written, if it is there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def outcome(results: Results) -> dict[str, object]:
    """All that a run came to but the time that it took."""
    record = _record(results)
    rows = [
        {key: value for key, value in row.items() if not key.endswith("seconds")}
        for row in results.epochs(record)
    ]
    return {
        "weights": record.weights_checksum,
        "images": record.correct_checksum,
        "epochs": json.dumps(rows),  # as text, in which what is no number is equal
    }


def _record(results: Results) -> Record:
    (record,) = results.finished()
    return record
