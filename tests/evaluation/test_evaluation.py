"""Given weights: the views are torchvision's, the errors are those of training's own evaluation."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from cardinality.cli.app import main
from cardinality.common.errors import UserError
from cardinality.data.augmentation import IMAGENET_STATISTICS
from cardinality.data.decoding import decode
from cardinality.data.images import ImageSet
from cardinality.data.listing import scan
from cardinality.data.store import load_images
from cardinality.evaluation.evaluate import Crops, count_errors, find_samples, interval, stream
from cardinality.execution.worker import compute
from cardinality.experiment.datasets import Digits
from cardinality.experiment.plan import Plan
from cardinality.nets.network import build
from cardinality.results.folder import Results
from tests.made_images import DATA, needs, noise, write_split
from tests.tiny import PLACE

CPU = torch.device("cpu")


@needs("imagenette128")
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (320, 320), (232, 224)])
def test_views_are_those_of_torchvisions_published_weights(resize: int, crop: int) -> None:
    theirs = torchvision.models.ResNeXt50_32X4D_Weights.IMAGENET1K_V1.transforms(
        resize_size=resize, crop_size=crop
    )
    ours = Crops(resize, crop, "center", "bilinear").transform(IMAGENET_STATISTICS)
    photographs = scan(Path(DATA, "imagenette128", "val")).samples()[::200]
    assert len(photographs) > 15
    for name, _ in photographs:
        with Image.open(name) as image:
            expected = theirs(image.convert("RGB"))
        views = ours(Image.fromarray(decode(Path(name))))
        torch.testing.assert_close(views[0], expected, rtol=1e-6, atol=1e-6)


def test_ten_views_are_centre_corners_and_their_mirror_images(tmp_path: Path) -> None:
    write_split(tmp_path, noise(1, 12), 1)
    samples = find_samples(tmp_path, 1)
    crops = Crops(12, 8, "ten", "bilinear")
    views, _ = next(stream(samples, crops, ((0.0,) * 3, (255.0,) * 3), workers=0))
    image = torch.from_numpy(decode(Path(samples[0][0]))).permute(2, 0, 1)
    corners = [image[:, y : y + 8, x : x + 8] for y in (0, 4) for x in (0, 4)]
    expected = [*corners, image[:, 2:10, 2:10]]
    expected += [view.flip(-1) for view in expected]
    assert views.shape == (1, 10, 3, 8, 8)
    found = {view.numpy().tobytes() for view in (255 * views[0]).round().to(torch.uint8)}
    assert found == {view.numpy().tobytes() for view in expected}


def test_logits_of_the_views_are_averaged() -> None:
    net = build("2x40d", 11, "cifar", 10, base=16).eval()
    views = torch.randn(6, 10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = torch.stack([net(views[:, v]) for v in range(10)]).mean(0)
    ranks = logits.argsort(1, descending=True)
    for label in range(10):
        labels = torch.full((6,), label)
        expected1 = int((ranks[:, 0] != label).sum())
        expected5 = int((ranks[:, :5] != label).all(1).sum())
        assert count_errors(net, [(views, labels)], CPU) == (expected1, expected5)


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


def test_a_runs_own_weights_have_the_error_of_its_record(
    tiny: Plan,
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, results = tiny.runs()[0], Results(tmp_path / "results")
    assert compute(run, results.folder, PLACE, lambda _epochs: None).outcome == "done"
    record = results.read(run.name)
    assert record is not None
    assert record.final is not None
    assert isinstance(run.data, Digits)
    test = load_images(run.data).test
    assert isinstance(test, ImageSet)
    for number, (pixels, label) in enumerate(zip(test.pixels, test.labels, strict=True)):
        place = tmp_path / "digits" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    weights = results.weights(run.name)
    arguments = [
        "--weights", str(weights), "--data", str(tmp_path / "digits"), "--setting", "32x4d",
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
    assert found["top1_error"] == pytest.approx(record.final.top1_error)
    assert found["top5_error"] == pytest.approx(record.final.top5_error)
    assert (found["images"], found["classes"]) == (40, 10)
    page = (folder / "evaluations.md").read_text()
    assert page.count(weights.name) == 1
    assert page in out
    # Ten views are another measurement of the same weights.
    assert call(monkeypatch, *arguments, "--views", "ten", "--crop", "12") == 0
    assert (folder / "evaluations.md").read_text().count(weights.name) == 2


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "five.pth"
    torch.save(build("1x64d", 11, "cifar", 5, base=16).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--data", "nope"], ["nope: no such folder"]),
        (["--data", "."], ["class folders", "5 classes"]),
        (["--setting", "32x4d"], ["no weights of 32x4d"]),
        (["--setting", "x"], ["like 32x4d"]),
        (["--depth", "12"], ["9n + 2"]),
        (["--weights", "nope.pth"], ["no such file"]),
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
    (tmp_path / "photographs" / "class3" / "broken.png").write_bytes(b"no image")
    samples = find_samples(tmp_path / "photographs", 5)
    crops = Crops(16, 16, "center", "bilinear")
    with pytest.raises(UserError, match=r"broken\.png: no image"):
        list(stream(samples, crops, IMAGENET_STATISTICS, workers=1))


def test_labels_are_those_of_torchvisions_image_folder(tmp_path: Path) -> None:
    write_split(tmp_path, noise(20, 8), 7)
    folder = torchvision.datasets.ImageFolder(str(tmp_path))
    assert find_samples(tmp_path, 7) == folder.samples
    assert np.unique([label for _, label in folder.samples]).tolist() == list(range(7))
