"""Which device runs are computed on, here with a made NVIDIA driver."""

import sys
from types import SimpleNamespace

import pytest
import torch

from cardinality.common.errors import UserError
from cardinality.host import machine


def the_third(_gpu: str, number: int) -> str:
    """The slices of a GPU have gaps between their numbers."""
    if number != 3:
        raise RuntimeError("not found")
    return "slice"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs as pynvml shows them, the second too old for bfloat16; the first may be split."""
    made = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex="GPU {}".format,
        nvmlDeviceGetUUID={"GPU 0": "GPU-3f52", "GPU 1": "GPU-77aa", "slice": "MIG-9c1e"}.get,
        nvmlDeviceGetMaxMigDeviceCount=lambda gpu: 7 if gpu == "GPU 0" else 0,
        nvmlDeviceGetMigDeviceHandleByIndex=the_third,
        nvmlDeviceGetCudaComputeCapability=lambda gpu: (7, 5) if gpu == "GPU 1" else (9, 0),
        nvmlDeviceGetMigMode=lambda _gpu: [0, 0],
        nvmlDeviceGetName=str,
    )
    monkeypatch.setitem(sys.modules, "pynvml", made)
    # What was found before is kept for the process.
    monkeypatch.setattr(machine, "gpus", machine.gpus.__wrapped__)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("visible", "name", "precision"),
    [
        (None, "GPU 0", "bfloat16"),
        ("1", "GPU 1", "float32"),
        ("1,0", "GPU 1", "float32"),
        ("GPU-77aa", "GPU 1", "float32"),
        ("GPU-3f", "GPU 0", "bfloat16"),
        ("MIG-9c1e", "slice", "bfloat16"),
        ("MIG-9c,MIG-aa", "slice", "bfloat16"),
        ("MIG-GPU-77aa/3/0", "GPU 1", "float32"),
    ],
)
def test_the_first_gpu_that_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, name: str, precision: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = machine.detect("auto")
    assert (found.device, found.name) == ("cuda", name)
    assert found.resolve("auto") == precision
    assert machine.detect("cpu").device == "cpu"


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize("visible", ["", "-1", "2", "none", "GPU-12", "MIG-12", "MIG-GPU-12/1/0"])
def test_hidden_gpus_are_not_taken(monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.detect("auto").device == "cpu"
    with pytest.raises(UserError, match="shows no GPU here"):
        machine.detect("cuda")


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["GPU-3f52", "GPU-77aa"]),
        ("1,0", ["GPU-77aa", "GPU-3f52"]),
        ("GPU-77", ["GPU-77aa"]),
        ("0,7,1", ["GPU-3f52"]),  # what comes after a name that is none is hidden
        ("0,0", ["GPU-3f52"]),
        ("", []),
        ("MIG-9c,1", ["MIG-9c1e", "GPU-77aa"]),
        ("MIG-GPU-3f52/3/0", ["MIG-GPU-3f52/3/0"]),
    ],
)
def test_every_gpu_that_is_not_hidden_by_the_name_that_shows_it_alone(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, found: list[str]
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.visible for gpu in machine.gpus()] == found


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_is_split_is_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    def split(gpu: str) -> list[int]:
        return [int(gpu == "GPU 0")] * 2

    monkeypatch.setattr(sys.modules["pynvml"], "nvmlDeviceGetMigMode", split)
    assert [(gpu.visible, gpu.name) for gpu in machine.gpus()] == [
        ("MIG-9c1e", "slice"),
        ("GPU-77aa", "GPU 1"),
    ]
    assert machine.detect("cuda").name == "slice"


@pytest.mark.usefixtures("driver")
def test_a_gpu_without_a_runs_instructions_computes_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [gpu.name for gpu in machine.usable_gpus("float32")] == ["GPU 0", "GPU 1"]
    assert [gpu.name for gpu in machine.usable_gpus("bfloat16")] == ["GPU 0"]
    assert (
        "GPU 1: is left out, since it has no instructions for bfloat16" in capsys.readouterr().err
    )


def test_a_gpu_that_torch_cannot_use_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine.check_usable("cpu")
    with pytest.raises(UserError, match="sees none; allowed: --device cpu") as error:
        machine.check_usable("cuda")
    assert "\n" not in str(error.value)
