"""CIFAR: two forms and one set."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from cardinality.common.errors import UserError
from cardinality.data import cifar
from cardinality.data.store import cache_folder, load_images, prepare
from cardinality.experiment.datasets import Cifar
from tests.made_images import DATA, needs, noise, write_split

CIFAR10 = Cifar(name="cifar10")
TRAIN, TEST = noise(30, 32), noise(20, 32, seed=1)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, and sets of 30 and 20 images taken for whole ones."""
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path))
    monkeypatch.setattr(cifar, "COUNTS", (30, 20))
    return tmp_path


def write_folders(root: Path) -> None:
    write_split(root / "cifar10/train", TRAIN, 10, ".webp")
    write_split(root / "cifar10/test", TEST, 10, ".webp")


def write_download(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same set as torchvision's download, its checksums taken for the published ones."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()

    def put(name: str, content: object) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    def batch(images: np.ndarray, first: int) -> dict[str, object]:
        labels = [(first + number) % 10 for number in range(len(images))]
        return {"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), "labels": labels}

    train = [put("data_batch_1", batch(TRAIN[:13], 0)), put("data_batch_2", batch(TRAIN[13:], 13))]
    meta = put("batches.meta", {"label_names": [f"class{number}" for number in range(10)]})
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", train)
    monkeypatch.setattr(kind, "test_list", [put("test_batch", batch(TEST, 0))])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": meta[0], "md5": meta[1]})
    return folder


def test_both_forms_give_the_same_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folders(root)
    write_download(root, monkeypatch)
    folders, download = cifar.read_folders(root / "cifar10"), cifar.read_download(CIFAR10, root)
    assert folders.identity().checksum == download.identity().checksum
    assert folders.classes == download.classes
    assert {image.tobytes() for image in folders.train.pixels} == {i.tobytes() for i in TRAIN}
    for pixels, label in zip(folders.train.pixels, folders.train.labels, strict=True):
        number = next(n for n, image in enumerate(TRAIN) if np.array_equal(image, pixels))
        assert number % 10 == label


def test_order_is_by_pixels_not_by_names(root: Path) -> None:
    write_folders(root)
    before = cifar.read_folders(root / "cifar10").identity().checksum
    for number, path in enumerate(sorted((root / "cifar10/train").rglob("*.webp"))):
        path.rename(path.with_name(f"renamed{-number}.webp"))
    assert cifar.read_folders(root / "cifar10").identity().checksum == before


def test_other_pickles_are_not_loaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_download(root, monkeypatch)

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (root / "executed",))

    (folder / "data_batch_2").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="not the published files") as error:
        load_images(CIFAR10)
    assert "\n" not in str(error.value)
    assert not (root / "executed").exists()


def test_missing_set_says_where_and_how(root: Path) -> None:
    with pytest.raises(UserError) as error:
        prepare(CIFAR10)
    message = str(error.value)
    assert "\n" not in message
    for part in (
        str(root / "cifar-10-batches-py"),
        str(root / "cifar10/train"),
        "CIFAR10",
        "download=True",
        "--data",
    ):
        assert part in message


def test_incomplete_set_is_refused(root: Path) -> None:
    write_folders(root)
    next((root / "cifar10/train/class3").iterdir()).unlink()
    next((root / "cifar10/test/class7").iterdir()).unlink()
    with pytest.raises(UserError, match=r"2 images instead of 3 of class class3 in train") as error:
        load_images(CIFAR10)
    assert "1 images instead of 2 of class class7 in test" in str(error.value)


def test_image_of_another_size_is_named(root: Path) -> None:
    write_folders(root)
    path = next((root / "cifar10/train/class3").iterdir())
    Image.fromarray(noise(1, 31)[0]).save(path)
    with pytest.raises(UserError, match=rf"{path}: 31 x 31 pixels; allowed: 32 x 32"):
        load_images(CIFAR10)


@pytest.mark.parametrize("form", ["folders", "download"])
def test_read_again_when_a_file_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "folders":
        write_folders(root)
    else:
        write_download(root, monkeypatch)
    before = prepare(CIFAR10)
    assert prepare(CIFAR10) == before
    changed = next(path for path in cifar.find(CIFAR10, root).rglob("*") if path.is_file())
    os.utime(changed, ns=(0, 0))
    assert prepare(CIFAR10) != before


def test_read_once_then_from_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folders(root)
    before = load_images(CIFAR10)
    monkeypatch.setattr(cifar, "read", None)
    after = load_images(CIFAR10)
    assert after.identity().checksum == before.identity().checksum
    assert after.classes == before.classes
    assert after.channel_statistics() == cifar.STATISTICS["cifar10"]


def test_read_only_data_are_cached_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert cache_folder(tmp_path / "not/yet/there") == tmp_path / "not/yet/there/cache"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert cache_folder(tmp_path) == tmp_path / "own/cardinality"


def test_held_out_images_are_every_tenth_of_training(root: Path) -> None:
    write_folders(root)
    whole, part = load_images(CIFAR10), load_images(Cifar(name="cifar10", evaluate_on="held-out"))
    assert np.array_equal(part.test.pixels, whole.train.pixels[[9, 19, 29]])
    assert np.array_equal(part.test.labels, whole.train.labels[[9, 19, 29]])
    assert np.array_equal(part.train.pixels, np.delete(whole.train.pixels, [9, 19, 29], axis=0))
    assert np.array_equal(part.train.labels, np.delete(whole.train.labels, [9, 19, 29]))


@needs("cifar10/train")
def test_the_real_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDINALITY_DATA", DATA)
    images = load_images(CIFAR10)
    assert np.bincount(images.train.labels).tolist() == [5000] * 10
    assert np.bincount(images.test.labels).tolist() == [1000] * 10
    # The means that are published everywhere, to four places.
    means = images.train.pixels.mean(axis=(0, 1, 2)) / 255
    assert means.round(4).tolist() == [0.4914, 0.4822, 0.4465]
    assert images.identity().checksum == "b4238ebd1ce10320"
    held = load_images(Cifar(name="cifar10", evaluate_on="held-out"))
    assert np.bincount(held.test.labels).tolist() == [500] * 10
