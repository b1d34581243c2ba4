"""Thousands of damaged inputs for every parser: each ends in a result or in one line.

The promise is that of the command line: no traceback, no control character, fewer than 500
characters, nothing executed, nothing written elsewhere. docs/reliability.md has the figures.
"""

import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from cardinality.architecture.settings import Setting
from cardinality.cli.app import app
from cardinality.cli.mistakes import told
from cardinality.cli.options import check_numbers, parse_duration
from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.data.decoding import decode
from cardinality.experiment.configuration import Ablation, Protocol
from cardinality.experiment.places import PROTOCOLS
from cardinality.experiment.reading import load
from cardinality.results import manifest
from cardinality.results.epochs import read_epochs
from cardinality.results.images import TestImages
from cardinality.results.progress import Unsound, read_checkpoint
from cardinality.results.records import parse
from cardinality.training.weights import load_weights, net_with
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL, sitting

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("default")]
# A sixth of the inputs where FAULTS=sample, as in CI.
PART = 6 if os.environ.get("FAULTS") == "sample" else 1

# What is put in the place of something or between two things.
NASTY = [
    b"", b"\0", b"\x1b[2J\x1b]0;x\x07", b"\xff\xfe", b"\xed\xa0\x80", "\u202e".encode(), b"|",
    b"\n", b"<script>", b"=1+1", b"9" * 5000, b"-1", b"1e999", b"nan", b"inf", b"1_0", b"0x10",
    b"064",
    b"1:30", b"yes", b"~", b"null", b"[" * 2000, b"{" * 500,
    b"!!python/object/apply:os.system [x]",
    b"!!bool x", b"!!int ''", b"!!binary x", b"&a *a", b"<<: {}", b"? x", b"\"\\ud800\"", b"'",
    b'"', b"..", b"../../outside", b"/etc/passwd", b"%s%n", "\uff11\uff10".encode(),
    b"\xef\xbb\xbf",
    b"\t", b"x" * 200_000, b",,,", b"1e5", b"-", b"#", b": ", b"\r", b"\x85", "\u2028".encode(),
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 1.5, 10**30, 2**63, float("nan"), float("inf"), "", "x" * 5000, "\x1b[31m",
    "\ud800", "\u202e|<b>", [], {}, [[[[]]]], {"a": {"b": 1}}, "../../outside", "1_0", 1e308,
]  # fmt: skip


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Some bytes with one to four things wrong."""
    content = bytearray(whole)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(content) + 1)
        to = min(len(content), at + chance.choice([0, 1, 2, 8, 40]))
        how = chance.randrange(6)
        if how == 0:
            content[at:to] = chance.choice(NASTY)
        elif how == 1:
            content[at:to] = chance.randbytes(to - at)
        elif how == 2:
            del content[at:]
        elif how == 3:
            del content[at:to]
        elif how == 4:
            content[at:at] = content[to : to + chance.randrange(200)]
        elif at < len(content):
            content[at] ^= 1 << chance.randrange(8)
    return bytes(content)


def changed(content: Any, chance: random.Random) -> Any:
    """A JSON value with one leaf or branch replaced, removed or added."""
    copy = json.loads(json.dumps(content))
    place: Any = copy
    while True:
        keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return chance.choice(VALUES)
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.7:
            place = place[key]
            continue
        if chance.random() < 0.15 and isinstance(place, dict):
            del place[key]
        elif chance.random() < 0.15 and isinstance(place, dict):
            place[chance.choice(["more", "\x1b[31m", "\ud800", ""])] = place[key]
        else:
            place[key] = chance.choice(VALUES)
        return copy


class Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    """A folder to write inputs to; whatever appears beside it was written outside."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside").write_text("theirs")
    yield inside
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "outside"]
    assert (tmp_path / "outside").read_text() == "theirs"


def held_to(read: Callable[[], object]) -> bool:
    """Whether an input was refused; the line with which it was is held to the promise."""
    message: str | None
    problem: Exception
    try:
        read()
        return False
    except (UserError, Unsound) as error:
        message, problem = str(error), error
    except Exception as error:
        message, problem = told(error), error
    assert message is not None, repr(problem)
    shown = line(message)
    assert len(shown) < 500
    assert shown.isprintable()
    shown.encode()
    return True


def inputs(count: int) -> Iterator[random.Random]:
    return (random.Random(f"{count} {number}") for number in range(count // PART))


@pytest.mark.parametrize("kind", ["protocol", "ablation"])
def test_yaml(box: Path, kind: str) -> None:
    path = box / "a.yaml"
    refused = 0
    for chance in inputs(1500):
        text = TINY_PROTOCOL if kind == "protocol" else TINY_ABLATION
        path.write_bytes(damaged(text.encode(), chance))
        if kind == "protocol":
            refused += held_to(lambda: load(path, Protocol, bases=PROTOCOLS))
        else:
            refused += held_to(lambda: load(path, Ablation))
    assert refused > 300 // PART


def test_settings_durations_and_numbers() -> None:
    commands: Any = {str(c.name): c.callback for c in app.registered_commands}
    for chance in inputs(2000):
        for whole, read in (
            (b"32x4d", Setting.parse),
            (b"1h30m", parse_duration),
            (b"10", lambda text: check_numbers(commands, ["plan", "table3", "--seeds", text])),
        ):
            text = damaged(whole, chance).decode("utf-8", "surrogateescape")
            held_to(lambda read=read, text=text: read(text))  # type: ignore[misc]


CSV = "epoch,rate,train_loss,top1_error,top5_error\n1,0.1,2.0,30.0,\n2,0.1,1.0,20.0,5.0\n"


def test_epochs(box: Path) -> None:
    path, refused = box / "epochs.csv", 0
    for chance in inputs(1500):
        path.write_bytes(damaged(CSV.encode(), chance))

        def read_epochs_of() -> object:
            try:
                return read_epochs(path)
            except UserError:
                raise
            except (ValueError, TypeError, KeyError) as error:  # as `Results.epochs` has it
                raise UserError(f"{path}: cannot be read: {error}") from None

        refused += held_to(read_epochs_of)
    assert refused > 300 // PART


def a_record() -> dict[str, Any]:
    return {
        "name": "1x64d-depth11-seed0-0a1b2c3d4e", "status": "done", "failure": None,
        "configuration": {
            "revision": 4, "net": {"setting": "1x64d", "depth": 11, "residual": True},
            "data": {"name": "patches"}, "training": {"epochs": 2},
            "numerics": {"device": "cpu", "precision": "float32", "threads": 1}, "seed": 0,
        },
        "params": 1, "macs": 1, "activations": 1, "data_checksum": "0" * 16, "data_kind": "pixels",
        "final": {"train_loss": 1.0, "train_error": 1.0, "test_loss": 1.0, "top1_error": 1.0,
                  "top5_error": None, "images": 10},
        "correct_checksum": "0" * 16, "weights_checksum": "0" * 16, "seconds": 1.0,
        "sittings": [json.loads(sitting(1, 2).model_dump_json())], "finished": "2026",
    }  # fmt: skip


def test_records(box: Path) -> None:
    record = a_record()
    path = box / "run.json"
    for chance in inputs(1800):
        text = json.dumps(changed(record, chance))
        content = text.encode() if chance.random() < 0.7 else damaged(text.encode(), chance)
        path.write_bytes(content)
        assert held_to(lambda: parse(path))


def test_old_records(box: Path) -> None:
    record = a_record()
    record.pop("sittings")
    record["provenance"] = {"machine": "a", "cores": 1, "versions": {}, "commit": None}
    path = box / "run.json"
    for chance in inputs(600):
        path.write_text(json.dumps(changed(record, chance)), encoding="utf-8")
        assert held_to(lambda: parse(path))


def test_lists_of_images_and_manifests(box: Path) -> None:
    images = {"classes": ["a", "b"], "labels": [0, 1, 0], "sources": None}
    refused = 0
    for chance in inputs(800):
        (box / "images.json").write_bytes(damaged(json.dumps(images).encode(), chance))
        refused += held_to(lambda: TestImages.read(box / "images.json"))
        text = json.dumps(changed(images, chance))
        (box / "images.json").write_text(text, encoding="utf-8")
        refused += held_to(lambda: TestImages.read(box / "images.json"))
        listed = f"{'0' * 64}  runs/a/run.json\n{'1' * 64}  ../outside\n"
        (box / manifest.NAME).write_bytes(damaged(listed.encode(), chance))
        refused += held_to(lambda: manifest.brought(box))
    assert refused > 400 // PART


def test_checkpoints(box: Path) -> None:
    header = {
        "format": 1, "run": "a", "data_checksum": "0" * 16, "data_kind": "pixels", "epochs": 1,
        "sittings": [json.loads(sitting(1, 2).model_dump_json())], "sha256": "0" * 64,
    }  # fmt: skip
    for chance in inputs(1000):
        text = json.dumps(changed(header, chance) if chance.random() < 0.5 else header)
        (box / "a.pt").write_bytes(damaged(text.encode() + b"\n" + bytes(20), chance))
        held_to(lambda: read_checkpoint(box / "a.pt"))


def weight_files(box: Path) -> list[bytes]:
    """Small files of every format, one of them with a trap."""
    state = {"conv1.weight": torch.ones(16, 3, 3, 3), "fc.weight": torch.ones(2, 4)}
    files = [save(state)]
    for old in (False, True):
        for content in (state, {"model": state, "trap": Trap(box.parent / "sprung")}):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=not old)
            files.append(buffer.getvalue())
    return [*files, pickle.dumps(Trap(box.parent / "sprung"), 2)]


def repacked(whole: bytes, chance: random.Random) -> bytes:
    """A zip whose checksums are right and whose pickle is damaged."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            wrong = member.filename.endswith("data.pkl")
            new.writestr(member.filename, damaged(content, chance) if wrong else content)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")
def test_weights(box: Path) -> None:
    files = weight_files(box)
    for chance in inputs(1800):
        whole = chance.choice(files)
        if whole.startswith(b"PK") and chance.random() < 0.6:
            content = repacked(whole, chance)
        else:
            content = damaged(whole, chance)
        path = box / chance.choice(["w.pth", "w.safetensors"])
        path.write_bytes(content)

        def read(path: Path = path) -> None:
            weights, _ = load_weights(path)
            net_with(weights, path, Setting(1, 64), 11, "cifar")

        assert held_to(read)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_images(box: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    wholes = []
    for form, mode in (
        ("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "1"), ("JPEG", "RGB"),
        ("JPEG", "CMYK"), ("TIFF", "RGB"), ("TIFF", "F"), ("WEBP", "RGB"), ("BMP", "RGB"),
        ("PPM", "RGB"), ("PPM", "L"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, form)
        wholes.append(buffer.getvalue())
    refused = 0
    for chance in inputs(1800):
        (box / "a.png").write_bytes(damaged(chance.choice(wholes), chance))
        refused += held_to(lambda: decode(box / "a.png"))
    assert refused > 300 // PART
