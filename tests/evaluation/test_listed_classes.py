"""A list of classes, as ImageNet-5K is one: trained on all of it, tested on some, both ways."""

import json
import sys
from pathlib import Path

import pytest
import torch

from cardinality.architecture.settings import Architecture, Setting
from cardinality.cli.app import main
from cardinality.common.errors import UserError
from cardinality.data.device import batches
from cardinality.data.folders import ClassFolders, find_folders
from cardinality.data.listing import scan
from cardinality.experiment.configuration import Training
from cardinality.experiment.datasets import Folders
from cardinality.experiment.run import Numerics, Run
from cardinality.training.checkpoint import train
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer
from cardinality.training.weights import save_weights
from tests.made_images import DATA, made_folders, needs, noise, write_split
from tests.tiny import PLACE

# Of the made set's eight and the photographs' ten classes: trained on by place in the alphabet.
LISTED, TESTED = (6, 2, 0, 5, 4, 1), (0, 1, 4)


def link(whole: Path, folder: Path, classes: list[str], images: int) -> None:
    """The first so many images of some classes, as links."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for file in sorted((whole / name).iterdir())[:images]:
            (folder / name / file.name).symlink_to(file)


@pytest.fixture(params=["made", pytest.param("imagenette128", marks=needs("imagenette128"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data root with ``listed/``: a superset of the list to train on, a subset to test on."""
    whole = Path(DATA, request.param).absolute()
    if request.param == "made":
        whole = tmp_path / "whole"
        for seed, split in enumerate(("train", "val")):
            write_split(whole / split, noise(64, 16, seed), 8)
    names = [*scan(whole / "train").classes]
    link(whole / "train", tmp_path / "listed/train", names, 4)
    # One more that is not in the list, which is passed over.
    link(whole / "val", tmp_path / "listed/val", [names[i] for i in (*TESTED, 7)], 5)
    for file, places in (("classes.txt", LISTED), ("few.txt", TESTED)):
        text = "".join(f"{names[i]}\n" for i in places)
        (tmp_path / "listed" / file).write_text(text)
    return tmp_path


def described(**changes: object) -> Folders:
    return made_folders(
        **{"folders": ("listed",), "class_list": "classes.txt", "classes": 6, "train": 24}
        | {"test": 15, "side": 16, "resize": 18} | changes
    )  # fmt: skip


def find(root: Path, data: Folders | None = None) -> ClassFolders:
    return find_folders(data or described(), root, root / "cache")


def test_labels_are_the_places_in_the_list(place: Path) -> None:
    names = (place / "listed/classes.txt").read_text().split()
    found = find(place)
    assert found.classes == tuple(names)
    assert {Path(name).parent.name for name, _ in found.train} == set(names)
    for name, label in (*found.train, *found.test):
        assert names[label] == Path(name).parent.name
    assert {Path(name).parent.name for name, _ in found.test} == {
        names[LISTED.index(i)] for i in TESTED
    }
    # Another order gives every class another output, so it is another set.
    (place / "listed/classes.txt").write_text("\n".join(sorted(names)))
    assert find(place).names_checksum != found.names_checksum


def test_lists_that_do_not_fit(place: Path) -> None:
    path = place / "listed/classes.txt"
    with pytest.raises(UserError, match=r"data\.classes 7"):
        find(place, described(classes=7))
    with pytest.raises(UserError, match=r"missing\.txt"):
        find(place, described(class_list="missing.txt"))
    few = [name for name in path.read_text().split() if not (place / "listed/val" / name).exists()]
    path.write_text("\n".join(few))
    with pytest.raises(UserError, match=r"classes\.txt: .*none of its classes"):
        find(place)
    path.write_text("\n".join([*few, "unicorn"]))
    with pytest.raises(UserError, match=r"classes\.txt: unicorn: no such folder in .*train"):
        find(place)


@pytest.mark.long
def test_trained_on_the_list_and_evaluated_both_ways(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = described(jitter=0.4)
    schedule = {"name": "steps", "drops": (3,), "factor": 0.1}
    recipe = {"steps": 5, "batch": 8, "rate": 0.05, "momentum": 0.9, "decay": 1e-4}
    training = Training.model_validate(recipe | {"schedule": schedule, "shift": 0, "flip": True})
    net = Architecture(Setting(2, 16), 11, "cifar-stride2", data.classes, 16)
    run = Run(net, data, training, Numerics("cpu", "float32", 1), seed=0)
    trainer = Trainer(run, find(place))
    train(trainer, tmp_path / "state.pt", lambda _: None, Watch(PLACE, trainer.device))
    weights = tmp_path / "net.safetensors"
    save_weights(trainer, weights)

    folder = place / "tested"
    folder.mkdir()
    for name in (place / "listed/few.txt").read_text().split():
        (folder / name).symlink_to(place / "listed/val" / name)
    arguments = [
        "evaluate", "--weights", str(weights), "--data", str(folder), "--setting", "2x16d",
        "--depth", "11", "--stem", "cifar-stride2", "--resize", "18", "--crop", "16",
        "--interpolation", "bicubic", "--device", "cpu", "--results", str(tmp_path),
        "--classes", str(place / "listed/classes.txt"),
    ]  # fmt: skip

    known: set[Path] = set()

    def measured(*more: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["cardinality", *arguments, *more])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, None)
        files = [*(tmp_path / "evaluations").glob("*.json")]
        (new,) = set(files) - known  # another list of names is another measurement
        known.add(new)
        return dict(json.loads(new.read_text()))

    # All of the list compete: what the run itself measured.
    assert measured()["top1_error"] == pytest.approx(trainer.epochs[-1].top1_error)
    # The softmax over the tested classes alone: a second way, by sorted logits.
    _, test = batches(find(place), training, torch.device("cpu"))
    (images, labels), = test.plain(15)  # fmt: skip
    with torch.no_grad():
        logits = trainer.net.eval()(images)
    few = sorted(LISTED.index(i) for i in TESTED)
    nearest = [few[int(row[few].argmax())] for row in logits]
    wrong = sum(a != b for a, b in zip(nearest, labels.tolist(), strict=True))
    record = measured("--among", str(place / "listed/few.txt"))
    assert record["among"] == len(TESTED)
    assert record["top1_error"] == pytest.approx(100 * wrong / 15)
