"""Given weights: the views are torchvision's, the errors are those of training's own evaluation."""

import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from cardinality.cli.app import main
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.data.augmentation import IMAGENET_STATISTICS, normalise
from cardinality.data.checks import labelled
from cardinality.data.decoding import decode
from cardinality.data.images import ImageSet
from cardinality.data.listing import scan
from cardinality.data.loaders import EVALUATION_BATCH
from cardinality.data.store import load_images
from cardinality.evaluation import record as records
from cardinality.evaluation.counting import BATCH, Way, count_errors, prepare, way
from cardinality.evaluation.record import Evaluation, interval, read, write
from cardinality.evaluation.views import Crops, stream
from cardinality.execution.worker import compute
from cardinality.experiment.datasets import Patches
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.host import kernel
from cardinality.host.machine import Machine
from cardinality.nets.network import build
from cardinality.results.folder import Results
from tests.made_images import DATA, needs, noise, write_split
from tests.tiny import PLACE

PLAIN = Numerics("cpu", "float32", 1)
NOTHING_OFF = ((0.0,) * 3, (255.0,) * 3)


@needs("imagenette128")
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (320, 320), (232, 224)])
def test_views_are_those_of_torchvisions_published_weights(resize: int, crop: int) -> None:
    theirs = torchvision.models.ResNeXt50_32X4D_Weights.IMAGENET1K_V1.transforms(
        resize_size=resize, crop_size=crop
    )
    ours = Crops(resize, crop, "center", "bilinear").transform()
    statistics = [torch.tensor(values) for values in IMAGENET_STATISTICS]
    photographs = scan(Path(DATA, "imagenette128", "val")).samples()[::200]
    assert len(photographs) > 15
    for name, _ in photographs:
        with Image.open(name) as image:
            expected = theirs(image.convert("RGB"))
        views = ours(Image.fromarray(decode(Path(name))))
        (found,) = normalise(views.permute(0, 2, 3, 1), *statistics)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_ten_views_are_centre_corners_and_their_mirror_images(tmp_path: Path) -> None:
    write_split(tmp_path, noise(1, 12), 1)
    samples = labelled(tmp_path, 1)
    crops = Crops(12, 8, "ten", "bilinear")
    (views, _), (as_trained, _) = (
        next(stream(samples, crops, 5, workers=0, as_trained=choice)) for choice in (False, True)
    )
    assert torch.equal(views, as_trained)
    image = torch.from_numpy(decode(Path(samples[0][0]))).permute(2, 0, 1)
    corners = [image[:, y : y + 8, x : x + 8] for y in (0, 4) for x in (0, 4)]
    expected = [*corners, image[:, 2:10, 2:10]]
    expected += [view.flip(-1) for view in expected]
    assert views.shape == (1, 10, 3, 8, 8)
    found = {view.numpy().tobytes() for view in views[0]}
    assert found == {view.numpy().tobytes() for view in expected}


def test_logits_of_the_views_are_averaged() -> None:
    net = build("2x40d", 11, "cifar", 10, base=16).eval()
    generator = torch.Generator().manual_seed(0)
    views = torch.randint(256, (6, 10, 3, 8, 8), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        logits = torch.stack([net(views[:, v] / 255) for v in range(10)]).mean(0)
    ranks = logits.argsort(1, descending=True)
    for label in range(10):
        labels = torch.full((6,), label)
        expected1 = int((ranks[:, 0] != label).sum())
        expected5 = int((ranks[:, :5] != label).all(1).sum())
        found = count_errors(net, [(views, labels)], PLAIN, NOTHING_OFF)
        assert found == (expected1, expected5)


def test_a_tie_is_wrong() -> None:
    net = build("2x40d", 11, "cifar", 10, base=16).eval()
    torch.nn.init.zeros_(net.fc.weight)  # so that the logits are the biases
    views, labels = torch.zeros(10, 1, 3, 8, 8, dtype=torch.uint8), torch.arange(10)
    for bias, expected in (
        (torch.zeros(10), (10, 10)),
        (torch.arange(10.0), (9, 5)),
        (torch.tensor([2.0, 2, 1, 1, 0, 0, 0, 0, 0, 0]), (10, 6)),
        (torch.full((10,), torch.nan), (10, 10)),
    ):
        net.fc.bias.data = bias
        assert count_errors(net, [(views, labels)], PLAIN, NOTHING_OFF) == expected


TRAINED = Numerics("cpu", "bfloat16", 3, fused=True)


@pytest.mark.parametrize(
    ("theirs", "kernel", "expected"),
    [
        (None, True, False),
        (TRAINED, True, True),
        (TRAINED, False, False),
        (replace(TRAINED, fused=False), False, True),
        (Numerics("cuda", "bfloat16", 1), True, False),
    ],
)
def test_a_net_is_computed_as_it_was_trained_where_that_can_be(
    theirs: Numerics | None,
    kernel: bool,
    expected: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    note.cache_clear()
    metadata = {} if theirs is None else {"numerics": json.dumps(asdict(theirs))}
    found = way(metadata, Machine("cpu", "a CPU", 2, bfloat16=False, kernel=kernel))
    assert found.as_trained is expected
    assert found.numerics.device == "cpu"
    assert found.numerics.precision == ("float32" if theirs is None else "bfloat16")
    if expected:
        assert found.numerics == theirs
        assert (found.batch(1), found.batch(10)) == (EVALUATION_BATCH, EVALUATION_BATCH // 10)
    else:
        assert found.batch(10) == BATCH
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("computed plainly") == (theirs is not None) - expected


def test_layers_are_the_fast_ones_only_as_trained() -> None:
    kinds = {}
    for as_trained in (False, True):
        net = prepare(build("2x40d", 11, "cifar", 10, base=16), Way(PLAIN, as_trained))
        assert not net.training
        kinds[as_trained] = {type(module).__name__ for module in net.modules()}
    assert "Pointwise" in kinds[True] - kinds[False]


@pytest.mark.parametrize(("wrong", "n"), [(0, 50), (7, 50), (50, 50), (11_000, 50_000)])
def test_the_interval_is_wilsons(wrong: int, n: int) -> None:
    z, p = 1.959963984540054, wrong / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = interval(wrong, n)
    assert low == pytest.approx(100 * (middle - half), abs=1e-9)
    assert high == pytest.approx(100 * (middle + half), abs=1e-9)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cardinality", "evaluate", *arguments, "--device", "cpu"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    "numerics",
    [
        Numerics("cpu", "float32", 1),
        Numerics("cpu", "float32", 2),
        Numerics("cpu", "bfloat16", 1),
        Numerics("cpu", "float32", 1, fused=True),
        Numerics("cpu", "bfloat16", 1, fused=True),
    ],
    ids=lambda n: f"{n.precision}-{n.threads}{'-fused' * n.fused}",
)
def test_a_runs_own_weights_have_the_error_of_its_record(
    tiny: Plan,
    numerics: Numerics,
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if numerics.fused and kernel.load() is None:
        pytest.skip("the suite's kernel was not built")
    tiny = tiny.with_numerics(numerics)
    threads = torch.get_num_threads()
    run, results = tiny.runs()[0], Results(tmp_path / "results")
    assert compute(run, results.folder, PLACE, lambda _epochs: None).outcome == "done"
    record = results.read(run.name)
    assert record is not None
    assert record.final is not None
    assert isinstance(run.data, Patches)
    test = load_images(run.data).test
    assert isinstance(test, ImageSet)
    for number, (pixels, label) in enumerate(zip(test.pixels, test.labels, strict=True)):
        place = tmp_path / "patches" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    weights = results.weights(run.name)
    arguments = [
        "--weights", str(weights), "--data", str(tmp_path / "patches"), "--setting", "32x4d",
        "--depth", "11", "--stem", "cifar-stride2", "--resize", "16", "--crop", "16",
        "--results", str(tmp_path / "out"),
    ]  # fmt: skip
    arguments[5] = str(run.architecture.setting)
    for _ in range(2):  # again gives the same file, not another row
        assert call(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "out" / "evaluations"
    (path,) = folder.glob("*.json")
    found = json.loads(path.read_text())
    assert found["top1_error"] == record.final.top1_error
    assert found["top5_error"] == record.final.top5_error
    assert found["numerics"] == asdict(numerics)
    assert (found["images"], found["classes"]) == (40, 10)
    page = (folder / "evaluations.md").read_text()
    assert page.count(weights.name) == 1
    assert page in out
    # Weights of one shape suit several stems, whose nets are not the same.
    other = [word.replace("cifar-stride2", "cifar") for word in arguments]
    assert call(monkeypatch, *other) == 0
    stems = [json.loads(path.read_text())["stem"] for path in sorted(folder.glob("*.json"))]
    assert sorted(stems) == ["cifar", "cifar-stride2"]
    # However long their names are, and alike to begin with, each has a file of its own.
    one = Evaluation.model_validate_json(path.read_text())
    for severity in (1, 5):
        long = {"weights": f"{'w' * 200}.pth", "data": f"{'d' * 200}/severity{severity}"}
        write(one.model_copy(update=long), tmp_path / "long")
    assert len(read(tmp_path / "long")) == 2
    # One name may stand for several sets of images; the table then tells them apart.
    others = ["a" * 16, "b" * 16]
    two = [one.model_copy(update={"data_checksum": other}) for other in others]
    assert [f"({other[:8]})" in records.page(two) for other in others] == [True, True]
    assert one.data_checksum[:8] not in records.page([one])
    # Ten views are another measurement of the same weights.
    assert call(monkeypatch, *arguments, "--views", "ten", "--crop", "12") == 0
    torch.set_num_threads(threads)
    assert (folder / "evaluations.md").read_text().count(weights.name) == 3


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "five.pth"
    torch.save(build("1x64d", 11, "cifar", 5, base=16).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--data", "nope"], ["nope: no such folder"]),
        (["--data", "."], ["1 class folder (photographs)", "5 classes"]),
        (["--setting", "32x4d"], ["no weights of 32x4d"]),
        (["--setting", "x"], ["like 32x4d"]),
        (["--depth", "12"], ["9n + 2"]),
        (["--weights", "nope.pth"], ["No such file"]),
        (["--crop", "20", "--resize", "16"], ["--crop 20"]),
    ],
)
def test_mistakes(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    words: list[str],
) -> None:
    write_split(tmp_path / "photographs", noise(10, 16), 5)
    monkeypatch.chdir(tmp_path)
    options = {
        "--weights": str(weights), "--data": "photographs", "--setting": "1x64d", "--depth": "11",
        "--stem": "cifar", "--resize": "16", "--crop": "16", "--results": str(tmp_path / "out"),
    } | dict(zip(change[::2], change[1::2], strict=True))  # fmt: skip
    assert call(monkeypatch, *(part for pair in options.items() for part in pair)) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err


def test_an_image_that_cannot_be_read_stops_by_name(tmp_path: Path, weights: Path) -> None:
    write_split(tmp_path / "photographs", noise(10, 16), 5)
    broken = tmp_path / "photographs" / "class3" / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.png: no image"):
        labelled(tmp_path / "photographs", 5)
    # One whose header is right and whose pixels are not is found when it is decoded.
    whole = next((tmp_path / "photographs" / "class3").glob("0*.png")).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    samples = labelled(tmp_path / "photographs", 5)
    crops = Crops(16, 16, "center", "bilinear")
    with pytest.raises(UserError, match=r"broken\.png: damaged image"):
        list(stream(samples, crops, BATCH, workers=1))


def test_labels_are_those_of_torchvisions_image_folder(tmp_path: Path) -> None:
    write_split(tmp_path, noise(20, 8), 7)
    folder = torchvision.datasets.ImageFolder(str(tmp_path))
    assert labelled(tmp_path, 7) == folder.samples
    assert np.unique([label for _, label in folder.samples]).tolist() == list(range(7))
