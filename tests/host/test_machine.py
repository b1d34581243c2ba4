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
    """Two GPUs as pynvml shows them, the second too old for bfloat16."""
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
        nvmlDeviceGetName=str,
    )
    monkeypatch.setitem(sys.modules, "pynvml", made)
    # What was found before is kept for the process.
    monkeypatch.setattr(machine, "_gpu", machine._gpu.__wrapped__)
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
        ("MIG-9c1e", "GPU 0", "bfloat16"),
        ("MIG-9c,MIG-aa", "GPU 0", "bfloat16"),
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


def test_a_gpu_that_torch_cannot_use_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine.check_usable("cpu")
    with pytest.raises(UserError, match="sees none; allowed: --device cpu") as error:
        machine.check_usable("cuda")
    assert "\n" not in str(error.value)
