"""What people's class folders really hold, for every way in: training, CIFAR's form, evaluation."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cardinality.common.errors import UserError
from cardinality.data.checks import check_names, labelled
from cardinality.data.decoding import UnreadableImage, decode
from cardinality.data.folders import find_folders
from cardinality.data.listing import scan
from tests.made_images import made_folders, write_set

Change = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the made set."""
    write_set(tmp_path)
    return tmp_path


def first(folder: Path) -> Path:
    return min(path for path in folder.iterdir() if path.is_file())


def ways_in(root: Path) -> list[Callable[[], object]]:
    """Each way in which the training images of the made set can enter."""
    made = root / "made"
    return [
        lambda: find_folders(made_folders(), root, root / "cache"),
        lambda: check_names(scan(made / "train"), scan(made / "val")),
        lambda: labelled(made / "train", 5),
    ]


def put(name: str) -> Change:
    def change(train: Path) -> None:
        path = train / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(first(train / "class0").read_bytes())

    return change


@pytest.mark.parametrize(
    "change",
    [
        put(".ipynb_checkpoints/0-checkpoint.png"),
        put("class0/.ipynb_checkpoints/0-checkpoint.png"),
        put("__MACOSX/class0/._0.png"),
        put("class1/@eaDir/0.png/SYNOPHOTO_THUMB_M.png"),
        put("lost+found/1.png"),
        put("class1/Thumbs.db"),
        put("class1/desktop.ini"),
        put("class1/.DS_Store"),
        put("class1/._0.png"),
    ],
)
def test_what_programs_leave_behind_is_passed_over(root: Path, change: Change) -> None:
    before = labelled(root / "made/train", 5)
    change(root / "made/train")
    for way in ways_in(root):
        way()
    assert labelled(root / "made/train", 5) == before


def flat(train: Path) -> None:
    for number, file in enumerate(sorted(train.glob("*/*"))):
        file.rename(train / f"{number}.png")
    for folder in train.iterdir():
        if folder.is_dir():
            folder.rmdir()


def emptied(train: Path) -> None:
    for file in (train / "class2").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flat, "has 20 images in one flat folder, as ImageNet ships"),
        (emptied, "train/class2 is empty"),
        (put("class0/labels.csv"), "labels.csv: no image by its ending"),
        (lambda t: (t / "class0/back").symlink_to(t), "by a link the same folder as"),
        (lambda t: (t / "class9").symlink_to("nowhere"), "a link to nowhere"),
        (lambda t: (t / "class\x1b[31m").mkdir(), "a class's name; allowed: printable"),
        (lambda t: Path(t, os.fsdecode(b"caf\xe9")).mkdir(), "a class's name; allowed: printable"),
    ],
)
def test_what_is_wrong_gets_one_line_by_every_way(root: Path, change: Change, words: str) -> None:
    change(root / "made/train")
    for way in ways_in(root):
        with pytest.raises(UserError) as caught:
            way()
        assert words in str(caught.value)
        assert len(str(caught.value)) < 500


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.write_bytes(b""), "no image"),
        (lambda p: p.write_text("<html>404</html>"), "no image"),
        (piped, "is a pipe (FIFO)"),
        (lambda p: (p.unlink(), p.symlink_to("/dev/zero")), "is a device"),
        (lambda p: (p.unlink(), p.symlink_to(p.name)), "symbolic links"),
        (lambda p: Image.new("RGB", (3000, 1)).save(p), "3,000 x 1 pixels; allowed"),
        (lambda p: Image.new("F", (16, 16)).save(p, "TIFF"), "has floats (mode F)"),
        (lambda p: Image.new("I", (16, 16)).save(p, "TIFF"), "has 32-bit integers (mode I)"),
        (lambda p: Image.new("LAB", (16, 16)).save(p, "TIFF"), "has colours of CIE Lab"),
    ],
)
def test_headers_are_looked_at_by_training_and_evaluation(
    root: Path, change: Change, words: str
) -> None:
    change(first(root / "made/train/class1"))
    for way in (ways_in(root)[0], ways_in(root)[2]):
        with pytest.raises(UserError) as caught:
            way()
        assert words in str(caught.value)


def test_names_that_a_mac_decomposed_are_the_same_class(root: Path) -> None:
    train, val = root / "made/train", root / "made/val"
    (train / "class1").rename(train / unicodedata.normalize("NFD", "élan"))
    (val / "class1").rename(val / unicodedata.normalize("NFC", "élan"))
    found = find_folders(made_folders(), root, root / "cache")
    # Sorted as composed names, in both splits: after z, where decomposed ones come after e.
    assert found.classes == ("class0", "class2", "class3", "class4", "élan")
    assert {label for name, label in found.train if "lan/" in name} == {4}
    assert {label for name, label in found.test if "lan/" in name} == {4}
    (train / unicodedata.normalize("NFC", "élan")).mkdir()
    with pytest.raises(UserError, match="two folders of this name"):
        find_folders(made_folders(), root, root / "cache")


def test_too_many_images_say_which(root: Path) -> None:
    put("class3/0009 (1).png")(root / "made/train")
    with pytest.raises(UserError, match=r"train 20 \(copies by their names: class3/0009 \(1\)"):
        find_folders(made_folders(), root, root / "cache")
    (root / "made/train/class3/0009 (1).png").rename(root / "made/train/class3/z.png")
    with pytest.raises(UserError, match=r"\(class3 has 5, most 4; newest: class3/"):
        find_folders(made_folders(), root, root / "cache")


def test_file_names_may_be_of_any_bytes(root: Path) -> None:
    train, name = root / "made/train", os.fsdecode(b"caf\xe9.png")
    path = first(train / "class1")
    path.rename(path.with_name(name))
    for way in ways_in(root):
        way()
    found = find_folders(made_folders(), root, root / "cache")
    for listed in (found.train, scan(train).samples(), labelled(train, 5)):
        assert [label for path, label in listed if Path(path).name == name] == [1]


# A grey ramp, a colour, and what each mode of Pillow makes of them.
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes_are_converted_to_the_same_picture(mode: str, tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None], 16, 0)
    picture = Image.fromarray(np.stack([ramp] * 3, -1))
    picture = picture.quantize(16) if mode == "P" else picture.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    if mode == "1":
        assert set(np.unique(decode(path))) == {0, 255}
        return
    assert np.abs(decode(path).astype(int) - ramp[..., None]).max() <= 3  # CMYK and palettes round


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_keep_their_upper_byte(ending: str, tmp_path: Path) -> None:
    values = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 77
    path = tmp_path / f"a.{ending}"
    Image.fromarray(values).save(path)
    expected = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(decode(path), np.stack([expected] * 3, -1))
    # The other order of bytes.
    swapped = Image.frombytes("I;16B", (16, 16), values.astype(">u2").tobytes())
    swapped.save(tmp_path / "b.tif")
    assert np.array_equal(decode(tmp_path / "b.tif"), np.stack([expected] * 3, -1))


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa", "RGBX", "HSV", "YCbCr"])
def test_modes_that_few_files_have_come_to_colours(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4), (200, 100, 50)).save(path)
    way = {"PA": "P", "La": "LA", "RGBa": "RGBA"}.get(mode)
    made = Image.new("RGB", (4, 4), (200, 100, 50))
    made = (made if way is None else made.convert(way)).convert(mode)
    monkeypatch.setattr(Image, "open", lambda _path: made)
    expected = (118, 118, 118) if mode == "La" else (200, 100, 50)
    assert np.abs(decode(path)[0, 0].astype(int) - expected).max() <= 6


def test_every_mode_of_pillow_is_decided() -> None:
    from PIL import ImageMode

    from cardinality.data import decoding

    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F",
                 "LA", "PA", "RGBX", "RGBa", "La", "I;16", "I;16L", "I;16B"):  # fmt: skip
        assert ImageMode.getmode(mode)
        decided = mode in decoding.CONVERTED, mode in decoding.SIXTEEN_BIT, mode in decoding.REFUSED
        assert sum(decided) == 1, mode


def test_a_claim_that_fills_the_memory_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (8000, 8000)).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UnreadableImage, match="damaged image"):
        decode(path)
