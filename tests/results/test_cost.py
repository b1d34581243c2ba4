"""What runs cost on a machine that others have measured, held to what it was not fitted on."""

from pathlib import Path

import pytest

from cardinality.architecture.settings import Setting
from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.results.cost import Measured, costs, known

# Hours of pycls's model zoo on 8 V100, 100 epochs: the rates are fitted on depth 50 alone.
DEPTH_50 = {"1x64d": 12.2, "32x4d": 18.0}
DEPTH_101 = {"1x64d": 20.4, "32x4d": 31.8}


@pytest.fixture
def imagenet() -> Plan:
    return make_plan("table3", "imagenet", known("8xV100").machine())


def test_hours_of_pycls_depth_101_are_foretold_from_its_depth_50(imagenet: Plan) -> None:
    told = {
        (str(cost.run.architecture.setting), cost.run.architecture.depth): cost
        for cost in costs(imagenet.runs(), known("8xV100"))
    }
    for setting, hours in DEPTH_50.items():
        assert told[setting, 50].hours == pytest.approx(hours)
    assert told["32x4d", 101].basis == "as another depth"
    for setting, hours in DEPTH_101.items():
        assert told[setting, 101].hours == pytest.approx(hours, rel=0.2)
    # Energy: 8 GPUs of 300 W at most.
    assert told["1x64d", 50].kwh == pytest.approx(12.2 * 8 * 0.3)


def test_of_several_depths_the_one_that_is_asked_for_is_taken() -> None:
    """Else the nearest, whatever their order."""
    hours = {50: 18.0, 101: 31.8, 152: 40.0}
    made = [
        Measured(setting=Setting(32, 4), depth=depth, hours=hours[depth], epochs=100)
        for depth in (50, 152, 101)
    ]
    machine = known("8xV100").model_copy(update={"measured": tuple(made)})
    rates = {one.depth: one.rate for one in made}
    for depth in hours:
        assert machine.rate(Setting(32, 4), depth) == (rates[depth], "measured")
    assert machine.rate(Setting(32, 4), 110) == (rates[101], "as another depth")


def test_between_and_beyond_what_was_measured_is_said_and_in_order(imagenet: Plan) -> None:
    told = {
        str(cost.run.architecture.setting): cost
        for cost in costs(imagenet.runs(), known("8xV100"))
        if cost.run.architecture.depth == 50
    }
    assert [told[one].basis for one in ("1x64d", "8x14d", "32x4d")] == [
        "measured",
        "interpolated",
        "measured",
    ]
    rates = [told[one].run.cost / told[one].hours for one in ("1x64d", "2x40d", "8x14d", "32x4d")]
    assert rates == sorted(rates, reverse=True)
    wide = make_plan("table4", "imagenet", known("8xV100").machine())
    bases = {str(c.run.architecture.setting): c.basis for c in costs(wide.runs(), known("8xV100"))}
    assert bases["64x4d"] == "beyond what was measured"
    assert bases["1x100d"] == "interpolated"


def test_a_machine_that_nobody_has_measured_is_named_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"--machine 'mine': not in .*; allowed: 8xV100"):
        known("mine")


def test_a_table_of_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from cardinality.cli.cost import show_costs

    show_costs("table3", "imagenet", None, None, tmp_path, "8xV100", 20.0)
    out = capsys.readouterr().out
    first = next(line for line in out.splitlines() if line.startswith("1x64d-depth50"))
    assert first.split()[1:4] == ["12.2", "29", "244.00"]
    assert "all 10 runs" in out
    show_costs(None, "imagenet", None, None, tmp_path, "8xV100", None)
    every = capsys.readouterr().out
    assert "1x64d-depth50-noshortcut" in every  # of the residual table
    assert "16x64d-depth50" in every  # of Fig. 7's
