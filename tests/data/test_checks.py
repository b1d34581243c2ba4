"""Class folders are looked through before training, and everything wrong is named at once."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from cardinality.common.errors import UserError
from cardinality.data import checks
from cardinality.data.decoding import UnreadableImage, decode, open_image
from cardinality.data.folders import ClassFolders, find_folders
from cardinality.experiment.datasets import Folders
from cardinality.training.tally import Tally
from tests.made_images import made_folders, noise, write_set


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the made set."""
    write_set(tmp_path)
    return tmp_path


def find(root: Path, data: Folders | None = None) -> ClassFolders:
    return find_folders(data or made_folders(), root, root / "cache")


def a_file(root: Path, folder: str = "made/train/class1") -> Path:
    return sorted((root / folder).iterdir())[0]


def claimed(path: Path, side: int) -> None:
    """A PNG of some bytes that claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def test_everything_wrong_is_named_at_once(root: Path) -> None:
    made = root / "made"
    (made / "train/only-here").mkdir()
    (made / "val/only-there").mkdir()
    a_file(root, "made/val/class0").unlink()
    no_image = a_file(root)
    no_image.write_text("no image")
    claimed(a_file(root, "made/train/class2"), 10_000)
    (made / "train/class3/notes.txt").write_text("notes")
    (made / "train/class4/gone.png").symlink_to(made / "nowhere")
    with pytest.raises(UserError) as error:
        find(root)
    message = str(error.value)
    assert "\n" not in message
    for part in (
        "class only-here is in train and not in val",
        "class only-there is in val and not in train",
        "train has 6 classes, the protocol's data.classes 5",
        "val has 9 images, the protocol's data.test 10",
        "train/only-here is empty",
        "val/only-there is empty",
        f"train/class1/{no_image.name}: no image",
        "11 wrong: ",
        "; and 3 more",
    ):
        assert part in message
    # The others, when those are mended.
    no_image.write_bytes(a_file(root, "made/train/class3").read_bytes())
    (made / "train/only-here").rmdir()
    (made / "val/only-there").rmdir()
    with pytest.raises(UserError) as error:
        find(root)
    for part in ("pixels", "notes.txt: no image by its ending", "gone.png: No such file"):
        assert part in str(error.value)


def test_message_is_bounded(root: Path) -> None:
    for number in range(300):
        (root / "made/train" / ("long" * 20 + str(number))).mkdir()
    with pytest.raises(UserError, match="601 wrong") as error:
        find(root)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA"])
def test_grey_and_alpha_are_converted(root: Path, mode: str) -> None:
    path = a_file(root)
    with Image.open(path) as image:
        image.convert(mode).save(path)
    assert len(find(root).train) == 20
    assert decode(path).shape == (16, 16, 3)


def test_palette_with_transparency_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "palette.png"
    image = Image.fromarray(noise(1, 16)[0]).quantize(8)
    image.save(path, transparency=bytes(range(8)))
    assert decode(path).shape == (16, 16, 3)


def test_five_classes_or_fewer_have_no_top5() -> None:
    tally = Tally(torch.device("cpu"))
    tally.add(torch.tensor(1.0), torch.eye(4), torch.tensor([0, 1, 2, 0]))
    assert tally.means() == (1.0, 25.0, None)
    tally = Tally(torch.device("cpu"))
    tally.add(torch.tensor(1.0), torch.eye(5)[:2], torch.tensor([0, 0]))
    assert tally.means() == (1.0, 50.0, None)  # every image would be right
    tally = Tally(torch.device("cpu"))
    tally.add(torch.tensor(1.0), torch.eye(6)[:2], torch.tensor([0, 0]))
    assert tally.means() == (1.0, 50.0, 50.0)  # the second's label ties with four others


def test_result_is_kept_until_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def counted(path: Path) -> Image.Image:
        opened.append(path)
        return open_image(path)

    monkeypatch.setattr(checks, "open_image", counted)
    first = find(root)
    assert len(opened) == 30
    assert find(root).identity().checksum == first.identity().checksum
    assert len(opened) == 30
    os.utime(a_file(root), ns=(0, 0))
    assert find(root).identity().checksum == first.identity().checksum
    assert len(opened) == 60
    a_file(root).write_bytes(a_file(root, "made/train/class2").read_bytes() + b"longer")
    assert find(root).identity().checksum != first.identity().checksum


def test_a_failed_check_is_not_kept(root: Path) -> None:
    path = a_file(root)
    whole = path.read_bytes()
    path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(UserError, match="no image"):
            find(root)
    path.write_bytes(whole)
    assert len(find(root).train) == 20


def test_hidden_files_are_passed_over(root: Path) -> None:
    (root / "made/train/class1/.DS_Store").write_text("a desktop's own")
    assert len(find(root).train) == 20


def test_missing_set_says_where_and_how(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        find(tmp_path, made_folders(folders=("made", "other")))
    message = str(error.value)
    assert "\n" not in message
    for part in (str(tmp_path / "made/train"), str(tmp_path / "other/train"), "make it", "--data"):
        assert part in message


def test_set_without_test_images_is_refused(root: Path) -> None:
    (root / "made/val").rename(root / "made/elsewhere")
    with pytest.raises(UserError, match="no test images; allowed: val/CLASS"):
        find(root)


def test_damaged_image_is_named(root: Path) -> None:
    path = a_file(root)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UnreadableImage, match=rf"{path}: damaged image"):
        decode(path)


def test_decompression_bomb_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    # Pillow would warn of the first and refuse the second. In a process of its own, because
    # pytest makes every warning an error.
    code = "from cardinality.data.decoding import *; import sys; decode(Path(sys.argv[1]))"
    for side in (10_000, 60_000):
        claimed(path, side)
        command = [sys.executable, "-c", code, str(path)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "more than 89,478,485 pixels" in answer.stderr
