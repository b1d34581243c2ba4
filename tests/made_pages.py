"""Made results for tests of the pages: a protocol, records, and what strangers may write."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cardinality.data.images import Identity
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results
from cardinality.results.images import Correct, TestImages, checksum
from cardinality.results.records import make_record
from tests.tiny import sitting

# What must stay text wherever it comes from.
NASTY = (
    "<script>alert('x')</script> | a\n- b `c` <img src=x onerror=alert(1)> [d](javascript:e) &lt;"
)
CLASSES = ("<b>zero</b>", "one|two", *map(str, range(2, 10)))
MACHINE = Machine("cpu", "a CPU", 2, False)

PROTOCOL = """\
based_on: cifar10-small
title: {title}
evidence: {evidence}
seeds: {seeds}
training:
  epochs: {epochs}
"""


def write_protocol(folder: Path, seeds: int = 3, epochs: int = 7, nasty: bool = False) -> Path:
    """A protocol's file: other seeds and epochs, and a title that somebody wrote.

    It is based on cifar10-small, which asks every claim.
    """
    import json

    words = json.dumps(NASTY) if nasty else "Made records"
    path = folder / "made.yaml"
    path.write_text(
        PROTOCOL.format(title=words, evidence=words, seeds=seeds, epochs=epochs), encoding="utf-8"
    )
    return path


def plan_of(ablation: str, protocol: Path) -> Plan:
    """A table's plan at such a scale."""
    return make_plan(ablation, str(protocol), MACHINE)


def put(
    plan: Plan,
    results: Results,
    failure: Callable[[int], str | None] = lambda number: None,
    keep: Callable[[int], bool] = lambda number: True,
    diverged: bool = False,
) -> None:
    """Write records with made figures, and which images each got right.

    Args:
        plan: whose runs to make.
        results: where to.
        failure: why the run of a number failed, if it did.
        keep: whether there is a record of it at all.
        diverged: whether those that failed did since their loss diverged.
    """
    identity = Identity("0123456789abcdef", "pixels")
    for number, run in enumerate(plan.runs()):
        if not keep(number):
            continue
        images = run.data.evaluated_images
        labels = tuple(n % 10 for n in range(images))
        TestImages(classes=CLASSES, labels=labels).write(results.images(identity.checksum))
        rng = np.random.default_rng(int(hashlib.sha256(run.name.encode()).hexdigest()[:8], 16))
        setting = run.architecture.setting
        error = 30 - np.log2(setting.cardinality) + run.seed + rng.normal(0, 0.4)
        wrong = np.zeros(images, bool)
        wrong[rng.permutation(images)[: round(error / 100 * images)]] = True
        correct = Correct(~wrong)
        count = run.epochs
        epochs = [
            Epoch(n, 0.1, 2 / n, 35 + 40 / n, 2 / n, correct.error + 20 / n - 20 / count,
                  error / 4, images, 1.5, 0.1)
            for n in range(1, count + 1)
        ]  # fmt: skip
        why = failure(number)
        record = make_record(
            run, identity, epochs, [sitting(1, count)], weights_checksum="fedcba9876543210",
            correct_checksum=checksum(correct.pack()), failure=why,
            diverged=diverged and why is not None,
        )  # fmt: skip
        made = {"seconds": 3.0, "finished": "2026-01-01T00:00:00+00:00", "failure": why}
        results.write(record.model_copy(update=made), epochs, None if why else correct)
