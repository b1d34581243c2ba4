"""Records with made figures of a stated size, and with the bits that sum to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cardinality.data.images import Identity
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run, digest
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results
from cardinality.results.images import Correct, TestImages, checksum
from cardinality.results.records import make_record
from tests.tiny import sitting

# All claims, at a scale of its own for records that are made up.
SCALE = "made"
PROTOCOL = """\
based_on: cifar10-small
title: A made scale
evidence: Of nothing.
seeds: 3
"""
DATA = "0123456789abcdef"
IMAGES = 2000
Error = Callable[[Run], float | None]


def workspace_of(folder: Path) -> Results:
    """Make a folder a workspace that has the made scale, and say where its results go."""
    path = folder / "ablations" / "protocols" / f"{SCALE}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(PROTOCOL)
    return Results(folder / "results" / SCALE)


def falling(run: Run) -> float:
    """An error that falls by 0.5 a doubling of C, and that dropping the shortcuts raises by 8."""
    net = run.architecture
    key = [run.seed, net.setting.cardinality, net.setting.width, net.depth, net.residual]
    jitter = np.random.default_rng(key).normal(0, 0.15)
    doublings = np.log2(net.setting.cardinality)
    error = 30 - 0.5 * doublings - net.setting.width / 100 + (0 if net.residual else 8)
    return float(error + jitter + 0.3 * run.seed)


def put(plan: Plan, results: Results, error: Error = falling) -> None:
    """Write the runs of a plan; one that has no error diverged, one that has -1 is left out."""
    for run in plan.runs():
        value = error(run)
        if value == -1 or results.status(run.name) != "missing":
            continue
        right = np.ones(IMAGES, bool)
        if value is not None:
            wrong = np.random.default_rng(run.seed).permutation(IMAGES)
            right[wrong[: round(value / 100 * IMAGES)]] = False
        _write(run, results, Correct(right), diverged=value is None)
    sources = tuple(number // 2 for number in range(IMAGES))
    labels = tuple(number % 10 for number in range(IMAGES))
    images = TestImages(classes=tuple("abcdefghij"), labels=labels, sources=sources)
    images.write(results.images(DATA))


def configured_otherwise(folder: Path, configuration: dict[str, Any]) -> str:
    """Give a run's record another configuration and the name that follows from it.

    Returns:
        The name, which its folder has, too.
    """
    content = json.loads((folder / "run.json").read_text())
    content |= {"configuration": configuration, "name": f"other-{digest(configuration)}"}
    (folder / "run.json").write_text(json.dumps(content))
    folder.rename(folder.with_name(content["name"]))
    return str(content["name"])


def of_a_later_net(folder: Path) -> str:
    """Make a run one of a net that cannot be built here; see `configured_otherwise`."""
    configuration = json.loads((folder / "run.json").read_text())["configuration"]
    configuration["net"]["later"] = "option"
    return configured_otherwise(folder, configuration)


def _write(run: Run, results: Results, correct: Correct, diverged: bool) -> None:
    count = run.epochs
    epochs = [
        Epoch(n, 0.1, 2 / n, correct.error, 2 / n, correct.error, 1.0, IMAGES, 1.5, 0.1)
        for n in range(1, count + 1)
    ]
    record = make_record(
        run,
        Identity(DATA, "pixels"),
        epochs,
        [sitting(1, count)],
        weights_checksum="fedcba9876543210",
        correct_checksum=checksum(correct.pack()),
        failure="loss nan" if diverged else None,
        diverged=diverged,
    )
    results.write(record, [] if diverged else epochs, None if diverged else correct)
