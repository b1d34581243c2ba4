"""The protocols: what each says, what it is based on, and that its nets train."""

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from cardinality.architecture.complexity import block_parameters
from cardinality.common.errors import UserError
from cardinality.data.images import Images, ImageSet
from cardinality.data.store import load_images
from cardinality.experiment.configuration import Ablation, Protocol, Training
from cardinality.experiment.datasets import Cifar, DataSpec, Patches
from cardinality.experiment.grid import OtherScaleError, make_plan
from cardinality.experiment.places import PROTOCOLS
from cardinality.experiment.plan import Plan
from cardinality.experiment.reading import load
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine
from cardinality.training.schedule import scheduler
from cardinality.training.trainer import Trainer
from tests.made_images import DATA, made_folders, needs, noise
from tests.places import ROOT
from tests.tiny import TINY_ABLATION

FOLDER = ROOT / "ablations" / "protocols"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
ABLATIONS = sorted(path.stem for path in (ROOT / "ablations").glob("*.yaml"))
MACHINE = Machine("cpu", "a CPU", 2, False)


def plan(ablation: str, protocol: str, batch: int | None = None) -> Plan:
    return make_plan(ablation, protocol, MACHINE, batch=batch)


def protocol(name: str) -> Protocol:
    return load(FOLDER / f"{name}.yaml", Protocol, bases=PROTOCOLS)


def test_there_are_the_protocols_of_the_documents() -> None:
    names = {"quick", "cifar10", "cifar100", "cifar10-short", "cifar10-small"}
    assert names | {"imagenet", "imagenette"} <= set(NAMES)


@pytest.mark.parametrize("ablation", ABLATIONS)
@pytest.mark.parametrize("name", NAMES)
def test_every_question_can_be_planned_at_every_scale(name: str, ablation: str) -> None:
    try:
        made = plan(ablation, name)
    except OtherScaleError:  # the other tests of this kind ask what the two list
        return
    for entry in made.entries:
        assert made.reference(entry) is not None
        assert entry.architecture.classes == made.protocol.data.classes
        assert all(run.cost > 0 for run in entry.runs)


@pytest.mark.parametrize(
    ("ablation", "name", "why"),
    [
        ("resnet-table6", "quick", r"protocols: is not for quick; allowed: resnet-cifar10, "),
        ("table3", "resnet-cifar10", r"ablations: is not for table3; allowed: resnet-table6, "),
        ("resnet-table6", "imagenette", "protocols: is not for imagenette"),
    ],
)
def test_what_is_not_for_each_other_says_so(ablation: str, name: str, why: str) -> None:
    with pytest.raises(OtherScaleError, match=why):
        plan(ablation, name)


def test_a_scale_that_is_based_on_another_has_its_tables() -> None:
    assert plan("resnet-table2", "imagenette").entries[0].architecture.classes == 10


def test_the_resnet_papers_parameters() -> None:
    """Table 6 to its digits; 1202 layers are counted and not trained."""
    made = plan("resnet-table6", "resnet-cifar10")
    stated = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7, 1202: 19.4}
    for entry in made.entries:
        net, params = entry.architecture, entry.complexity.params / 1e6
        assert round(params, 2 if net.depth < 100 else 1) == stated[net.depth]
        assert (not entry.runs) == (net.depth == 1202)
    # A plain net and its residual twin have equally many, and Table 1's operations.
    small, large = (plan("resnet-table2", "imagenet").entries[place] for place in (0, 1))
    assert [round(e.complexity.macs / 1e9, 1) for e in (small, large)] == [1.8, 3.6]


def test_only_the_deepest_nets_warm_up() -> None:
    """Section 4.2 of the ResNet paper: 400 steps at a tenth of the rate, of 110 layers."""
    entries = plan("resnet-table6", "resnet-cifar10").entries
    for entry in (entries[0], entries[4]):
        training = entry.runs[0].training
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=training.rate)
        schedule = scheduler(optimizer, training, images=50_000)
        found = {}
        for step in range(48_001):
            found[step] = optimizer.param_groups[0]["lr"]
            if step in (0, 399, 400, 31_999, 32_000, 48_000):
                optimizer.step()
            schedule.step()
        deep = entry.architecture.depth == 110
        expected = {0: 0.01 if deep else 0.1, 399: 0.01 if deep else 0.1, 400: 0.1}
        expected |= {31_999: 0.1, 32_000: 0.01, 48_000: 0.001}
        assert {step: found[step] for step in expected} == pytest.approx(expected)


def test_planning_needs_no_torch() -> None:
    code = (
        "import sys; from cardinality.experiment.grid import make_plan, Machine;"
        "make_plan('table3', 'imagenet', Machine('cpu', 'x', 2, False));"
        "import cardinality.data.store; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def rates(training: Training) -> list[float]:
    """The rate in each epoch, of one step each."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=training.rate)
    schedule = scheduler(optimizer, training, images=training.batch)
    found = []
    for _ in range(training.all_epochs(training.batch)):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("name", "epochs", "first"), [("cifar10", 300, [148, 223]), ("imagenet", 100, [31, 61, 91])]
)
def test_rates_fall_as_in_the_authors_code(name: str, epochs: int, first: list[int]) -> None:
    found = rates(protocol(name).training)
    falls = [n for n, (a, b) in enumerate(pairwise(found), start=2) if b < a]
    assert (len(found), falls) == (epochs, first)
    assert found[-1] == pytest.approx(0.1 ** (1 + len(first)))


def test_cifar100_is_cifar10_with_other_data() -> None:
    ten, hundred = protocol("cifar10"), protocol("cifar100")
    assert (
        ten.model_copy(
            update={"title": hundred.title, "data": hundred.data, "evidence": hundred.evidence}
        )
        == hundred
    )
    assert (ten.data.classes, hundred.data.classes) == (10, 100)


def test_paper_parameters() -> None:
    # Table 7, and the sizes that figure 7's two lines span.
    params = [entry.complexity.params / 1e6 for entry in plan("table7", "cifar10").entries]
    assert params == [pytest.approx(34.4, abs=0.05), pytest.approx(68.1, abs=0.1)]
    lines = plan("figure7", "cifar10").entries
    found = {str(entry.row.setting): entry.complexity.params / 1e6 for entry in lines}
    assert found["1x320d"] == pytest.approx(found["16x64d"], rel=0.01)
    assert min(found, key=lambda setting: found[setting]) == "1x64d"


def test_rows_without_tolerance_are_not_matched(tmp_path: Path) -> None:
    path = tmp_path / "free.yaml"
    text = (
        "{title: T, question: Q, reference: 1x64d, tolerance: TOLERANCE,"
        " rows: [{setting: 1x64d}, {setting: 1x128d}]}"
    )
    path.write_text(text.replace("TOLERANCE", "null"))
    assert load(path, Ablation).tolerance is None
    path.write_text(text.replace("TOLERANCE", "0.5"))
    off = block_parameters(load(ROOT / "ablations/figure7.yaml", Ablation).rows[5].setting)
    with pytest.raises(UserError, match=f"a block of 1x128d has {off:,} parameters"):
        load(path, Ablation)


@pytest.mark.parametrize(("batch", "rate"), [(64, 0.05), (32, 0.025), (256, 0.2)])
def test_another_batch_scales_the_rate_and_says_so(batch: int, rate: float) -> None:
    stated, scaled = plan("table7", "cifar10"), plan("table7", "cifar10", batch)
    training = scaled.runs()[0].training
    assert training.rate == pytest.approx(rate)
    assert (training.batch, training.epochs) == (batch, 300)
    assert f"batch {batch} instead of 128" in (scaled.remark or "")
    assert f"{rate:g} instead of 0.1" in (scaled.remark or "")
    assert stated.remark is None
    assert {run.name for run in stated.runs()}.isdisjoint(run.name for run in scaled.runs())


def test_batch_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match=r"batch 1: allowed are 2 to 100,000"):
        plan("table7", "cifar10", 1)


def write(folder: Path, **files: str) -> Path:
    """Write protocols and return the folder."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def load_from(folder: Path, name: str) -> Protocol:
    return load(folder / f"{name}.yaml", Protocol, bases=PROTOCOLS)


def test_keys_are_merged_deeply(tmp_path: Path) -> None:
    write(
        tmp_path,
        middle="{based_on: cifar10, training: {epochs: 7, schedule: {drops: [3]}}, seeds: 2}",
        last="{based_on: middle, training: {decay: 0.25}, seeds: 4, data: {name: cifar100}}",
    )
    base, last = protocol("cifar10"), load_from(tmp_path, "last")
    expected = base.training.model_dump(mode="json") | {"epochs": 7, "decay": 0.25}
    expected["schedule"] = {"name": "steps", "drops": [3], "factor": 0.1, "warmup": None}
    assert last.training.model_dump(mode="json") == expected
    assert (last.seeds, last.data.name, last.depths) == (4, "cifar100", base.depths)


def test_a_base_that_takes_the_place_of_one_of_the_suites_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = (FOLDER / "cifar10.yaml").read_text()
    write(tmp_path, mine="based_on: cifar10", cifar10=own)
    load_from(tmp_path, "mine")
    assert capsys.readouterr().err == ""  # the same bytes: nothing to be said
    write(tmp_path, cifar10="{based_on: cifar10-short, title: Other}")
    load_from(tmp_path, "mine")
    said = capsys.readouterr().err
    assert said == (
        f"note: {tmp_path / 'cifar10.yaml'} takes the place of the suite's own"
        " ablations/protocols/cifar10.yaml\n"
    )


def test_another_kind_replaces_a_mapping(tmp_path: Path) -> None:
    write(tmp_path, p="{based_on: cifar10, training: {schedule: {name: one-cycle, warmup: 0.5}}}")
    assert load_from(tmp_path, "p").training.schedule.model_dump() == {
        "name": "one-cycle",
        "warmup": 0.5,
    }


@pytest.mark.parametrize(
    ("files", "culprit", "problem"),
    [
        (
            {"p": "{based_on: nothing}"},
            "p",
            r"based_on: 'nothing' is no protocol; allowed: .*quick",
        ),
        ({"p": "{based_on: 3}"}, "p", "based_on: 3 is no protocol"),
        ({"p": "{based_on: ../p}"}, "p", r"based_on: '../p' is no protocol"),
        ({"p": "{based_on: p}"}, "p", "based_on: 'p' leads back to itself"),
        (
            {"p": "{based_on: q}", "q": "{based_on: p}"},
            "q",
            "based_on: 'p' leads back to itself; allowed: no circle",
        ),
        (
            {"p": "{based_on: q, seeds: 1}", "q": "{based_on: cifar10, training: {epochs: none}}"},
            "q",
            "training.epochs: ",
        ),
        (
            {"p": "{based_on: q, seed: 1}", "q": "{based_on: cifar10}"},
            "p",
            "seed: unknown key; allowed: title, ",
        ),
        (
            {"p": "{based_on: cifar10, training: {batch: 64}}"},
            "p",
            "training.batch: another batch .* allowed: together with training.rate",
        ),
        ({"p": "{based_on: imagenet, training: {shift: 4}}"}, "p", "training.shift: images in "),
        ({"p": "{based_on: imagenet, data: {resize: 200}}"}, "p", "data: resize 200: at least"),
        ({"p": "{based_on: imagenet, data: {folders: [../x]}}"}, "p", "data.folders.0: string"),
        ({"p": "{based_on: cifar10, data: {name: mnist}}"}, "p", "data: .*'patches'"),
    ],
)
def test_mistakes_are_named_with_their_file_and_key(
    tmp_path: Path, files: dict[str, str], culprit: str, problem: str
) -> None:
    write(tmp_path, **files)
    with pytest.raises(UserError, match=problem) as error:
        load_from(tmp_path, "p")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / culprit}.yaml: ")


def test_an_ablation_is_based_on_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("{based_on: table3, title: T, question: Q, reference: 1x64d, rows: []}")
    with pytest.raises(UserError, match="based_on: unknown key"):
        load(path, Ablation)


def test_how_to_get_data_is_no_part_of_a_run() -> None:
    run = plan("table3", "imagenet").runs()[0]
    other = run.data.model_copy(update={"how_to_get": "ask"})
    assert replace(run, data=other).name == run.name
    assert replace(run, data=run.data.model_copy(update={"area": 0.1})).name != run.name


@pytest.mark.parametrize(
    ("data", "training", "evaluated"),
    [
        (Patches(name="patches", side=16, train=70, test=30), 70, 30),
        (Cifar(name="cifar10"), 50_000, 10_000),
        (Cifar(name="cifar100", evaluate_on="held-out"), 45_000, 5_000),
        (made_folders(train=109, evaluate_on="held-out"), 99, 10),
    ],
)
def test_numbers_of_images(data: DataSpec, training: int, evaluated: int) -> None:
    assert (data.training_images, data.evaluated_images) == (training, evaluated)


def shortened(run: Run, batch: int, epochs: int) -> Run:
    training = run.training.model_copy(update={"batch": batch, "epochs": epochs})
    return replace(run, training=training)


@pytest.mark.parametrize("name", [name for name in NAMES if protocol(name).ablations is None])
def test_nets_train_a_step_on_images_of_their_shape(name: str) -> None:
    entries = plan("table3", name).entries[:5:4] + plan("residual", name).entries[3:]
    assert [entry.key[::2] for entry in entries] == [
        ("1x64d", True),
        ("32x4d", True),
        ("32x4d", False),
    ]
    for entry in entries:
        run = shortened(entry.runs[0], batch=2, epochs=1)
        made = ImageSet(noise(2, run.data.side), np.arange(2))
        trainer = Trainer(run, Images(made, made, ("a", "b")))
        before = trainer.net.get_parameter("conv1.weight").detach().clone()
        trainer.train_epoch(lambda _: None)
        assert math.isfinite(trainer.epochs[0].test_loss)
        assert not torch.equal(trainer.net.get_parameter("conv1.weight"), before)


@needs("cifar10/train")
@pytest.mark.long
def test_two_epochs_of_cifar10_small_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDINALITY_DATA", DATA)
    run = plan("table3", "cifar10-small").entries[0].runs[0]
    assert isinstance(run.data, Cifar)
    images = load_images(run.data)
    part = replace(
        images,
        train=images.train.take(np.arange(0, 50_000, 20)),
        test=images.test.take(np.arange(0, 10_000, 20)),
    )
    trainer = Trainer(shortened(run, batch=32, epochs=2), part)
    trainer.train_epoch(lambda _: None)
    trainer.train_epoch(lambda _: None)
    first, second = trainer.epochs
    assert second.train_loss < first.train_loss
    # Chance is 90.
    assert second.top1_error < 75


def test_a_users_own_file_may_be_based_on_the_suites_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = protocol("quick").model_copy(update={"seeds": 7})
    path = tmp_path / PROTOCOLS / "quick.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("based_on: quick\nseeds: 7\n")
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    for name in ("quick", str(path)):
        assert make_plan("table3", name, MACHINE).protocol == expected


def test_a_file_elsewhere_takes_the_place_of_nothing_that_a_name_stands_for(
    tmp_path: Path,
) -> None:
    """Its results would lie in the folder and in the files of that."""
    (tmp_path / "quick.yaml").write_text("based_on: quick\nseeds: 7\n")
    (tmp_path / "table3.yaml").write_text(TINY_ABLATION)
    table, scale = (str(tmp_path / name) for name in ("table3.yaml", "quick.yaml"))
    for arguments in ((table, "quick"), ("table3", scale)):
        with pytest.raises(UserError, match="allowed: another name of the file"):
            make_plan(*arguments, MACHINE)
