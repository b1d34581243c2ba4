"""The doctor kills real processes, and sees it where a run comes to something else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cardinality.doctor import preempt
from cardinality.doctor.preempt import Grid, Kills, killed, outcome, verdict
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Device
from tests.made_images import made_folders
from tests.tiny import PLACE


@pytest.fixture(autouse=True)
def in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preempt, "LONG", 0.5)
    monkeypatch.setattr(preempt, "KILLING", 2.0)


@pytest.mark.long
def test_runs_that_are_killed_come_to_the_same_bits(tiny: Plan, tmp_path: Path) -> None:
    grid = Grid(tmp_path, PLACE)
    finding = killed(tiny.runs()[0], "float32", grid)
    assert finding.passed, finding
    assert int(finding.detail.split()[0]) >= 1
    assert finding.detail.endswith("the same bits as one untouched")
    # One figure of one epoch in the last digit, and it would not have passed.
    untouched, killed_one = grid.results("untouched"), grid.results("killed-0")
    assert outcome(untouched) == outcome(killed_one)
    path = next(killed_one.folder.glob("runs/*/epochs.csv"))
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    cells[2] = repr(float(np.nextafter(float(cells[2]), 9)))
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
    assert outcome(untouched) != outcome(killed_one)


@pytest.mark.parametrize(
    ("kills", "device", "passed"),
    [
        (Kills(count=9, runs=1), "cpu", True),
        (Kills(count=9, runs=1, differ=1), "cpu", False),
        (Kills(count=9, runs=1, differ=1), "cuda", True),
        (Kills(count=9, runs=1, unsound=1), "cuda", False),
    ],
)
def test_other_bits_fail_on_a_cpu(tiny: Plan, kills: Kills, device: Device, passed: bool) -> None:
    run = tiny.runs()[0]
    run = replace(run, numerics=replace(run.numerics, device=device))
    assert verdict(run, kills).passed == passed


def test_a_protocol_of_photographs_has_photographs_killed(tiny: Plan, tmp_path: Path) -> None:
    run = replace(tiny.runs()[0], data=made_folders())
    short = preempt._short(run, "float32", 4, Grid(tmp_path, PLACE))
    assert len(list((tmp_path / "data").glob("made31/train/*/*.png"))) == 31
    assert short.data.training_images == 31
    assert short.data.side == preempt.SIDE
