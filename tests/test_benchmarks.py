"""The benchmark compares like with like, and reports what was measured."""

import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import report, speed
from benchmarks.contenders import made_images, plain, suite, timm_net, with_timm
from benchmarks.measure import Measurement, Where, failed, in_turns
from benchmarks.neighbours import PATIENCE, side_by_side
from benchmarks.report import write
from benchmarks.variants import variants
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.host.provenance import provenance
from cardinality.nets.network import ResNeXt
from tests.places import ROOT


@pytest.mark.parametrize("protocol", ["quick", "cifar10"])
@pytest.mark.parametrize("setting", range(5))
def test_timms_net_is_ours(protocol: str, setting: int, machine: Machine) -> None:
    run = make_plan("table3", protocol, machine, seeds=1).entries[setting].runs[0]
    ours, theirs = ResNeXt(run.architecture).double(), timm_net(run.architecture).double()
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(mine)
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(theirs(images), ours(images), rtol=1e-9, atol=1e-9)


def test_every_contender_trains_in_its_turn(tiny: Plan) -> None:
    run = tiny.runs()[0]
    images = made_images(run)
    makers = {
        "suite": lambda: suite(run, images),
        "plain": lambda: plain(run, images, workers=0),
        "timm": lambda: with_timm(run, images, workers=0, own_input=False),
        "timm's net": lambda: with_timm(run, images, workers=0, own_input=True),
        "broken": lambda: [][0],
        "breaks": lambda: iter([0] * 3).__next__,  # in its second turn
    }
    lines = {line.what: line for line in in_turns(Where("steps"), makers, "cpu", 2, 0)}
    assert lines.pop("broken").failure == "IndexError: list index out of range"
    assert lines.pop("breaks").failure.startswith("StopIteration")
    assert set(lines) == {"suite", "plain", "timm", "timm's net"}
    for line in lines.values():
        assert 0 < line.lowest <= line.value <= line.highest
        assert line.rounds == 2


def test_every_variant_of_a_step_can_be_taken(tiny: Plan, machine: Machine) -> None:
    makers = variants(tiny.runs()[-1], machine)
    makers.pop("torch's, compiled")  # takes half a minute
    lines = in_turns(Where("paths"), makers, "cpu", 1, 0)
    assert [line.failure for line in lines] == [""] * len(makers)


def test_the_page_has_the_ratios_of_the_medians(machine: Machine, tmp_path: Path) -> None:
    def line(setting: str, what: str, seconds: float, section: str = "steps") -> Measurement:
        of = Where(section, "quick", 11, setting, 32)
        return Measurement(of, what, "s", seconds, seconds, seconds, 5)

    lines = [
        line("1x64d", "suite", 0.01),
        line("1x64d", "plain", 0.04),
        line("32x4d", "suite", 0.0125),
        line("32x4d", "plain", 0.0625),
        line("1x64d", "suite", 0.010, "cardinality"),
        line("32x4d", "suite", 0.013, "cardinality"),
    ]
    made = provenance(machine).model_copy(update={"commit": "12345e6789", "clean": True})
    page = write(lines, ["steps", "cardinality"], machine, made, tmp_path)
    assert "| quick      |      11 | 1x64d     |      32 |             3,200 |" in page
    assert "5.00" in page  # 32x4d, times as fast as the plain loop
    assert "1.30" in page  # the cost of 32x4d, between steps that took turns
    assert (tmp_path / "cpu-a-cpu-2-cores-float32.md").read_text() == page
    assert len(pd.read_csv(tmp_path / "cpu-a-cpu-2-cores-float32.csv")) == 6
    assert (tmp_path / "cpu-a-cpu-2-cores-float32.png").stat().st_size > 10_000
    assert "Not measured" not in page

    # Another section later leaves this one as it was.
    later = Measurement(Where("start"), "--help", "s", 0.1, 0.1, 0.1, 3)
    both = write([later], ["start"], machine, provenance(machine), tmp_path)
    assert "3,200" in both
    assert "12345e6789" in both
    assert "`--help`" in both


def test_sections_of_two_batches_are_not_mixed(machine: Machine, tmp_path: Path) -> None:
    """Whole steps measured anew with another batch, before the other sections are."""

    def lines(section: str, batch: int, ratio: float) -> list[Measurement]:
        return [
            Measurement(
                Where(section, "quick", 11, setting, batch), "suite", "s", time, time, time, 5
            )
            for setting, time in (("1x64d", 0.01), ("32x4d", 0.01 * ratio))
        ]

    made = provenance(machine)
    both = ["steps", "cardinality"]
    write(
        [*lines("steps", 32, 1.25), *lines("cardinality", 32, 1.3)], both, machine, made, tmp_path
    )
    page = write(lines("steps", 64, 1.45), ["steps"], machine, made, tmp_path)
    costs = page.partition("## What cardinality costs")[2]
    assert "1.30" in costs
    assert "1.45" not in costs
    page = write(lines("cardinality", 64, 1.4), ["cardinality"], machine, made, tmp_path)
    costs = page.partition("## What cardinality costs")[2]
    assert "1.40" in costs
    assert "1.45" in costs


def test_the_committed_speed_figures_are_of_the_committed_measurements() -> None:
    """What cardinality costs, beside the paper's 0.95 s against 0.70 s."""
    texts = dict.fromkeys(("protocol", "setting", "failure", "code"), str)
    measured = [*(ROOT / "results/bench").glob("*cores.csv")]
    assert measured
    for path in measured:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=report.NUMBERS)
        found = pd.read_csv(path.with_name(f"{path.stem}-speed.csv"), keep_default_na=False)
        pd.testing.assert_frame_equal(report.costs(table), found, rtol=1e-4)
        paper = found[found.hardware != ""]
        assert list(paper.seconds) == [0.70, 0.95]
        ours = found[found.hardware == ""]
        (at, *_) = ours[(ours.source == "cifar10-small") & (ours.setting == "32x4d")].itertuples()
        steps = table[(table.section == "cardinality") & (table.protocol == at.source)]
        one, many = (
            float(steps[(steps.depth == at.depth) & (steps.setting == setting)].value.iloc[0])
            for setting in ("1x64d", "32x4d")
        )
        assert at.ratio == pytest.approx(many / one, rel=1e-4)


def test_a_section_that_failed_leaves_the_others(machine: Machine, tmp_path: Path) -> None:
    of = Where("input", "quick", 11, "1x64d", 32)
    lines = [Measurement(of, "resident", "s", 0.001, 0.001, 0.001, 3)]
    lines += [
        failed(Where(name), "the whole section", "", ValueError(f"of {name}"))
        for name in report.SECTIONS
    ]
    page = write(lines, list(report.SECTIONS), machine, provenance(machine), tmp_path)
    assert "| quick" in page
    for name in report.SECTIONS:
        assert f"of {name}" in page


def test_a_neighbour_that_fails_is_told_at_once(tiny: Plan) -> None:
    run = tiny.runs()[0]
    wrong = replace(run, training=run.training.model_copy(update={"batch": -1}))
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="ValueError"):
        side_by_side("suite", wrong, 2)
    assert time.monotonic() - start < PATIENCE


def test_a_page_of_one_section_alone(machine: Machine, tmp_path: Path) -> None:
    of = Where("input", "quick", 11, "1x64d", 32)
    line = Measurement(of, "resident", "s", 0.001, 0.001, 0.001, 3)
    page = write([line], ["input"], machine, provenance(machine), tmp_path)
    assert "| quick" in page
    assert "Whole training steps" not in page


def test_the_page_has_every_section_that_is_measured() -> None:
    assert report.SECTIONS.keys() == speed.SECTIONS.keys()
