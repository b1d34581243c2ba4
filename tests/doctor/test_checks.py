"""The doctor passes a sound machine, and each thing that may be wrong fails its own check."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor, nn

from cardinality.cli.app import main
from cardinality.common.errors import UserError
from cardinality.doctor import checks
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.host.machine import Machine


def test_a_sound_machine_passes(
    files: tuple[Path, Path],
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["doctor", "--protocol", str(files[1]), "--device", "cpu", "--results"]
    # 8x14d and 1x100d have no whole width at base 16.
    files[1].write_text(files[1].read_text().replace("base: 16", "base: 32"))
    monkeypatch.setattr(sys, "argv", ["cardinality", *arguments, str(tmp_path / "results")])
    with pytest.raises(SystemExit) as caught:
        main()
    out = capsys.readouterr().out
    assert caught.value.code == 0, out
    for check in ("torch", "device", "convolution 8x14d", "same bits twice", "disk", "data"):
        assert f"pass  {check}" in out


def test_without_a_table_those_are_checked_that_the_scale_can_have(
    files: tuple[Path, Path],
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At base 16 there is no 8x14d, which Tables 2 and 3 have; and no depth is the residual one."""
    files[1].write_text(files[1].read_text().replace(", residual: 11", ""))
    seen: list[str] = []

    def examine(plans: list[Plan], *_: object) -> list[checks.Finding]:
        seen.extend(plan.ablation_name for plan in plans)
        return []

    monkeypatch.setattr(checks, "examine", examine)
    arguments = ["doctor", "--protocol", str(files[1]), "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["cardinality", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    notes = capsys.readouterr().err.splitlines()
    assert caught.value.code == 0
    assert {"table4", "table7"} <= set(seen)
    assert not {"table2", "table3", "residual"} & set(seen)
    for name, why in (("table3", "8x14d at base 16"), ("residual", "depths.residual: is missing")):
        assert any(f"note: {name} is left out: " in line and why in line for line in notes)


def test_what_a_user_must_mend_is_said_first_and_by_writing(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results" / "tiny"
    assert checks.writable(results).passed
    assert not results.exists()  # nothing is left behind

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    machine = Machine("cpu", "a CPU", 2, False)
    found = list(checks.examine([tiny], machine, results))
    order = [finding.check for finding in found]
    assert order.index("data") < order.index("convolution 1x64d")
    wrong = found[order.index("writable")]
    assert not wrong.passed
    assert "the disk is full" in wrong.detail


def test_a_long_tmpdir_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/" + "t" * 90)
    with pytest.raises(UserError, match=r"TMPDIR /t*: 91 bytes long.*at most 75"):
        checks.sockets()
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    assert checks.sockets().passed


def test_unknown_figures_of_the_paper_fail(tiny: Plan, machine: Machine, tmp_path: Path) -> None:
    update = {"paper": "nope"}
    wrong = replace(tiny, ablation=tiny.ablation.model_copy(update=update))
    found = {finding.check: finding for finding in checks.examine([wrong], machine, tmp_path)}
    assert not found["paper"].passed
    assert "no figures 'nope'" in found["paper"].detail
    assert checks.paper([tiny]).passed


def test_every_shape_of_every_setting_is_checked(machine: Machine) -> None:
    plan = make_plan("table3", "imagenet", machine)
    shapes = checks.convolutions(plan.runs())
    assert set(shapes) == {"1x64d", "2x40d", "4x24d", "8x14d", "32x4d"}
    # Four stages, and the first block of three of them has a stride.
    assert all(len(layers) == 7 for layers in shapes.values())
    assert {layer.side for layer in shapes["32x4d"]} == {56, 28, 14, 7}


def test_a_convolution_that_computes_otherwise_is_found(
    tiny: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny.runs()[0]
    layer = checks.convolutions([run])[str(run.architecture.setting)][0]
    assert checks.convolution_error(layer, run) < checks.TOLERANCE["float32"]

    def wrong(convolution: nn.Module, _numerics: Numerics) -> Callable[[Tensor], Tensor]:
        return lambda x: convolution(x) * 1.001

    monkeypatch.setattr(checks, "faster", wrong)
    finding = checks.grouped_convolution("1x64d", [layer], run)
    assert not finding.passed


def test_bfloat16_is_held_to_what_bfloat16_can(tiny: Plan) -> None:
    run = tiny.runs()[0]
    run = replace(run, numerics=replace(run.numerics, precision="bfloat16"))
    layer = checks.convolutions([run])[str(run.architecture.setting)][0]
    error = checks.convolution_error(layer, run)
    assert 1e-4 < error < checks.TOLERANCE["bfloat16"]


def test_a_library_that_is_too_old_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "version", lambda name: "0.0.1" if name == "torch" else "999")
    found = {finding.check: finding for finding in checks.versions()}
    assert not found["torch"].passed
    assert "needs >=" in found["torch"].detail
    assert found["numpy"].passed
    assert "pytest" not in found  # only what runs need


def test_a_full_disk_and_missing_data_fail(
    tiny: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _path: Full)
    assert not checks.free_disk(tiny.runs(), tmp_path / "not" / "yet").passed
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path))
    plan = make_plan("table3", "cifar10", Machine("cpu", "a CPU", 2, False))
    finding = checks.data(plan.protocol)
    assert not finding.passed
    assert "CIFAR-10: looked for" in finding.detail


def test_bfloat16_without_instructions_fails(tiny: Plan) -> None:
    run = tiny.runs()[0]
    run = replace(run, numerics=replace(run.numerics, precision="bfloat16"))
    assert not checks.device(Machine("cpu", "a CPU", 2, False), run).passed
    assert checks.device(Machine("cpu", "a CPU", 2, True), run).passed


def test_a_check_that_cannot_be_made_has_failed_and_the_others_are_made(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> checks.Finding:
        raise RuntimeError("no memory\nand more")

    monkeypatch.setattr(checks, "determinism", broken)
    machine = Machine("cpu", "a CPU", 2, False)
    found = {finding.check: finding for finding in checks.examine([tiny], machine, tmp_path)}
    assert not found["same bits twice"].passed
    assert found["same bits twice"].detail == "RuntimeError: no memory"
    assert found["disk"].passed
    assert found["data"].passed


def test_bits_that_differ_fail_on_a_cpu(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = iter("ab")
    monkeypatch.setattr(checks, "weights_checksum", lambda _net: next(bits))
    finding = checks.determinism(tiny.runs())
    assert not finding.passed
    assert "differ: a, b" in finding.detail
