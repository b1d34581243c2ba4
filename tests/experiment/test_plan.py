"""Plans: which runs a question needs at a scale, how they are named, and what they share."""

import os
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest

from cardinality.architecture.settings import Architecture, Setting
from cardinality.common.errors import UserError
from cardinality.experiment.configuration import Training
from cardinality.experiment.datasets import Cifar, Folders, Patches
from cardinality.experiment.grid import make_plan
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.host.machine import Machine, detect
from cardinality.report.published import published
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL


def test_seeds_are_no_part_of_a_runs_identity(machine: Machine) -> None:
    few, many = (make_plan("table3", "quick", machine, seeds) for seeds in (2, 5))
    assert {run.name for run in few.runs()} < {run.name for run in many.runs()}


def test_runs_go_seed_by_seed_and_the_costly_ones_first(machine: Machine) -> None:
    runs = make_plan("table3", "quick", machine).runs()
    assert [run.seed for run in runs] == [0] * 10 + [1] * 5 + [2] * 5
    for seed in range(3):
        costs = [run.cost for run in runs if run.seed == seed]
        assert costs == sorted(costs, reverse=True)


def test_tables_share_the_runs_that_they_both_ask_for(machine: Machine) -> None:
    table3, table4, residual = (
        {run.name for run in make_plan(name, "quick", machine, 1).runs()}
        for name in ("table3", "table4", "residual")
    )
    # 1x64d and 32x4d at 20 layers, which are both deep and residual.
    assert len(table3 & table4) == 2
    assert len(table4 & residual) == 2
    assert len(table3) == 10
    assert len(table4) == 6
    assert len(residual) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate: 0.05", "rate: 0.051"),
        ("epochs: 2", "epochs: 3"),
        ("precision: float32", "precision: bfloat16"),
        ("threads: 1", "threads: 2"),
        ("train: 80", "train: 81"),
        ("base: 16", "base: 32"),
    ],
)
def test_what_changes_a_result_changes_the_name(
    files: tuple[Path, Path], machine: Machine, old: str, new: str
) -> None:
    before = make_plan(str(files[0]), str(files[1]), machine).runs()
    files[1].write_text(TINY_PROTOCOL.replace(old, new))
    after = make_plan(str(files[0]), str(files[1]), machine).runs()
    assert not {run.name for run in before} & {run.name for run in after}


@pytest.mark.parametrize(
    ("old", "new"),
    [("speed: 5", "speed: 6"), ("A scale for", "Another"), ("seeds: 2", "seeds: 2 # x")],
)
def test_what_changes_no_result_changes_no_name(
    files: tuple[Path, Path], machine: Machine, old: str, new: str
) -> None:
    before = make_plan(str(files[0]), str(files[1]), machine).runs()
    files[1].write_text(TINY_PROTOCOL.replace(old, new))
    after = make_plan(str(files[0]), str(files[1]), machine).runs()
    assert [run.name for run in before] == [run.name for run in after]


def test_every_departure_from_a_default_is_in_a_runs_configuration(machine: Machine) -> None:
    run = make_plan("table3", "quick", machine).runs()[0]
    net = Architecture(Setting(2, 40), 29, "cifar", 7, 32, False, "preactivation")
    other = Architecture(
        Setting(2, 40), 29, "cifar", 7, 32, shortcut="C", deep_stem=True, pooled_projection=True,
        squeeze=True,
    )  # fmt: skip
    stated = [set(replace(run, architecture=each).configuration["net"]) for each in (net, other)]
    assert set.union(*stated) == set(vars(net))
    # And nothing that is at its default is, so that a new option renames no run.
    plain = replace(run, architecture=Architecture(Setting(1, 64), 50))
    assert set(plain.configuration["net"]) == {"setting", "depth", "residual"}
    assert "norm_images" not in run.configuration["training"]
    assert "fused" not in run.configuration["numerics"]
    photographs = make_plan("table3", "imagenette128", machine).runs()[0]
    assert "class_list" not in photographs.configuration["data"]


def test_no_default_has_changed() -> None:
    # A run's name says nothing of what is at its default: another one would be another run.
    usual = {f.name: f.default for f in fields(Architecture) if f.default is not MISSING}
    assert usual == {
        "stem": "imagenet",
        "classes": 1000,
        "base": 64,
        "residual": True,
        "block": "original",
        "shortcut": "B",
        "deep_stem": False,
        "pooled_projection": False,
        "squeeze": False,
    }
    for model, defaults in (
        (Training, {"epochs": None, "steps": None, "norm_images": None, "curve": None}),
        (Patches, {"evaluate_on": "test"}),
        (Cifar, {"evaluate_on": "test"}),
        (Folders, {"evaluate_on": "test", "class_list": None}),
    ):
        stated = {k: f.default for k, f in model.model_fields.items() if not f.is_required()}
        assert stated == defaults
    assert Numerics("cpu", "float32", 1) == Numerics("cpu", "float32", 1, fused=False)


def test_only_the_deeper_row_of_imagenet_is_preactivation(machine: Machine) -> None:
    entries = make_plan("table4", "imagenet", machine).entries
    assert [e.architecture.block == "preactivation" for e in entries] == [
        e.row.deeper for e in entries
    ]
    assert {e.architecture.block for e in make_plan("table4", "cifar10", machine).entries} == {
        "original"
    }


def test_names_are_stable() -> None:
    # Committed records are found by these names: a change here orphans them.
    machine = Machine("cpu", "any", 2, bfloat16=True, kernel=True)
    first = {
        protocol: make_plan("table3", protocol, machine).select("32x4d", "base", 0)[0].name
        for protocol in ("quick", "cifar10-small")
    }
    assert first == {
        "quick": "32x4d-depth11-seed0-9507b37e99",
        "cifar10-small": "32x4d-depth11-seed0-67dc0262c6",
    }


def test_auto_precision_is_resolved_by_capability(files: tuple[Path, Path]) -> None:
    files[1].write_text(TINY_PROTOCOL.replace("precision: float32", "precision: auto"))
    with_it, without = (
        make_plan(str(files[0]), str(files[1]), Machine("cpu", "a CPU", 2, bfloat16))
        for bfloat16 in (True, False)
    )
    assert with_it.runs()[0].numerics.precision == "bfloat16"
    assert without.runs()[0].numerics.precision == "float32"
    assert with_it.runs()[0].name != without.runs()[0].name


def test_every_line_has_its_reference_and_the_papers_figure(machine: Machine) -> None:
    for name in ("table3", "table4", "residual"):
        plan = make_plan(name, "quick", machine)
        paper = published(plan)
        assert paper is not None
        assert len(paper.lines) == len(plan.entries)
        for entry in plan.entries:
            reference = plan.reference(entry)
            assert reference is not None
            assert str(reference.row.setting) == "1x64d"
            assert reference.row.residual == entry.row.residual
            assert paper.line(entry) is not None
            if not entry.row.deeper:
                assert reference.role == entry.role
    deeper = next(e for e in make_plan("table4", "quick", machine).entries if e.row.deeper)
    reference = make_plan("table4", "quick", machine).reference(deeper)
    assert reference is not None
    assert (deeper.architecture.depth, reference.architecture.depth) == (38, 20)


def test_a_row_is_compared_with_the_one_that_it_names_whatever_its_depth(
    machine: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "named.yaml"
    path.write_text(
        "title: Named\nquestion: Deeper?\nreference: 1x64d\nrows:\n"
        "  - {setting: 1x64d, label: shallow, depth: base}\n"
        "  - {setting: 32x4d, label: paths, depth: deep, against: shallow}\n"
        "  - {setting: 2x40d, label: same, depth: deep, against: paths}\n"
    )
    plan = make_plan(str(path), "quick", machine)
    found = [(each.row.label, plan.reference(each)) for each in plan.entries]
    assert {label: other.row.label for label, other in found if other is not None} == {
        "shallow": "shallow",
        "paths": "shallow",
        "same": "paths",
    }


def test_one_row_is_chosen_by_its_setting_or_by_its_label(machine: Machine) -> None:
    plan = make_plan("tricks", "cifar10-tricks", machine, 1)
    assert len(plan.select("1x64d")) == 5
    (run,) = plan.select("SE-ResNeXt")
    assert (str(run.architecture.setting), run.architecture.squeeze) == ("32x4d", True)
    with pytest.raises(
        UserError, match=r"^--only 8x14d: .* --only 1x64d, 32x4d, ResNet, 'ResNet, "
    ):
        plan.select("8x14d")
    with pytest.raises(UserError, match=r"allowed: --only 1x64d, .* SE-ResNeXt, .*, or a net as"):
        plan.select("SE-Resnext")


@pytest.mark.parametrize(
    ("table", "asked", "wrong"),
    [
        (
            "table3",
            {"only": "1x64d", "role": "deep", "seed": 2},
            "--only 1x64d --depth deep --seed 2: ",
        ),
        ("table3", {"only": "1x64d", "seed": 100}, "--seed 100: "),
        ("table3", {"only": "5x5d", "role": "depe"}, "--only 5x5d --depth depe: "),
        ("table2", {"only": "5x5d"}, "--only 5x5d: "),
        ("table2", {"only": "1x64d", "seed": 0}, "--seed 0: "),
    ],
)
def test_what_stands_for_no_run_is_named(
    machine: Machine, table: str, asked: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(UserError) as caught:
        make_plan(table, "quick", machine).select(**asked)
    assert str(caught.value).startswith(wrong)


def test_lines_without_runs_are_chosen_too(machine: Machine) -> None:
    counted = make_plan("resnet-table6", "resnet-cifar10-small", machine)
    (line,) = counted.lines("ResNet-1202")
    assert not line.runs
    assert [
        str(line.row.setting) for line in make_plan("table2", "quick", machine).lines("32x4d")
    ] == ["32x4d"]


def test_what_is_only_counted_is_not_offered(machine: Machine) -> None:
    """ResNet's Table 3 has deeper nets that no two cores train."""
    plan = make_plan("resnet-table6", "resnet-cifar10-small", machine, 1)
    counted = [entry for entry in plan.entries if not entry.runs]
    with pytest.raises(UserError) as caught:
        plan.select("none")
    assert str(caught.value).endswith("--seed 0")
    assert counted
    assert not [
        entry
        for entry in counted
        if entry.row.label and f", {entry.row.label}," in str(caught.value)
    ]


def test_a_row_whose_setting_and_label_others_have_is_chosen_by_its_net(machine: Machine) -> None:
    plan = make_plan("residual", "cifar10-small", machine, 1)
    for entry in plan.entries:
        assert [*plan.select(entry.runs[0].net)] == [*entry.runs]


def test_a_plan_knows_what_to_type_for_it(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_plan("table3", "quick", machine).typed == ("table3", "quick")
    own = tmp_path / "mine.yaml"
    own.write_text("based_on: quick\ntitle: Mine\n")
    monkeypatch.chdir(tmp_path)
    assert make_plan("table3", "mine.yaml", machine).typed == ("table3", "mine.yaml")
    known = str(find("quick", PROTOCOLS))
    assert make_plan("table3", known, machine).typed == ("table3", "quick")


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        ({}, "table3"), ({"seeds": 3}, "table3-3seeds"), ({"seeds": 1}, "table3-1seed"),
        ({"batch": 64}, "table3"),
        ({"batch": 32}, "table3-batch32"), ({"seeds": 2, "batch": 32}, "table3-2seeds-batch32"),
        ({"seeds": 3, "first_seed": 1000}, "table3-seeds1000to1002"),
    ],
)  # fmt: skip
def test_what_is_asked_for_otherwise_than_stated_has_files_of_its_own(
    machine: Machine, asked: dict[str, int], files: str
) -> None:
    assert make_plan("table3", "quick", machine, **asked).files == files


def test_the_numerics_can_be_those_of_another_machine(tiny: Plan) -> None:
    run = tiny.runs()[0]
    other = tiny.with_numerics(replace(run.numerics, device="cuda", precision="bfloat16"))
    assert other.runs()[0].name != run.name
    assert other.with_numerics(run.numerics) == tiny


@pytest.mark.parametrize(
    "name", ["tabel3", "", "../table3", "a/b", "nope.yaml", ".yaml", "table3\n", "\0"]
)
def test_a_name_that_is_no_file_is_refused_with_the_names_that_are(
    name: str, machine: Machine
) -> None:
    with pytest.raises(UserError, match="allowed"):
        make_plan(name, "quick", machine)
    with pytest.raises(UserError, match="allowed"):
        make_plan("table3", name, machine)


@pytest.mark.parametrize("name", ["mine", "mine.yaml"])
def test_what_is_no_plain_file_is_called_what_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / PROTOCOLS
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path if name == "mine" else folder)
    path = folder / "mine.yaml"
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"mine\.yaml: is a pipe"):
        find(name, PROTOCOLS)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(UserError, match=r"mine\.yaml: Too many levels of symbolic links"):
        find(name, PROTOCOLS)


def test_a_file_name_that_would_make_a_strange_folder_is_refused(
    tmp_path: Path, machine: Machine
) -> None:
    path = tmp_path / "a b$.yaml"
    path.write_text(TINY_ABLATION)
    with pytest.raises(UserError, match="letters, digits"):
        make_plan(str(path), "quick", machine)


def test_a_net_that_cannot_be_built_names_file_and_key(
    files: tuple[Path, Path], machine: Machine
) -> None:
    files[1].write_text(TINY_PROTOCOL.replace("base: 11", "base: 12"))
    with pytest.raises(UserError, match=r"tiny\.yaml: .*depths\.base.*9n \+ 2"):
        make_plan(str(files[0]), str(files[1]), machine)
    files[1].write_text(TINY_PROTOCOL.replace("base: 16", "base: 8"))
    with pytest.raises(UserError, match=r"tiny\.yaml: base"):
        make_plan(str(files[0]), str(files[1]), machine)


def test_this_machine_is_described() -> None:
    machine = detect("cpu")
    assert machine.device == "cpu"
    assert machine.cores >= 1
    assert machine.name


def test_planning_and_rendering_import_no_torch() -> None:
    code = (
        "import sys, cardinality.cli.app;"
        "import cardinality.report.render, cardinality.execution.driver;"
        "from cardinality.host.machine import detect;"
        "from cardinality.experiment.grid import make_plan;"
        "make_plan('table3', 'quick', detect('cpu')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
