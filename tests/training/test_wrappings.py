"""Other people's weight files: what is wrapped around them comes off, and no trap goes off."""

import argparse
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cardinality.architecture.settings import Setting
from cardinality.common.errors import UserError
from cardinality.nets.network import build
from cardinality.training.weights import load_weights, net_with

State = dict[str, Tensor]


@pytest.fixture
def state() -> State:
    return dict(build("4x24d", 11, "cifar", 10, base=16).state_dict())


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def refused(path: Path, key: str | None = None) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(UserError) as caught:
        net_with(load_weights(path, key)[0], path, Setting(4, 24), 11, "cifar")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message) < 500
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: prefixed("module.", s),
        lambda s: prefixed("_orig_mod.", s),
        lambda s: prefixed("module._orig_mod.", s),
        lambda s: {"state_dict": prefixed("module.", s), "epoch": 90, "optimizer": {"state": {}}},
        lambda s: {"state_dict": prefixed("model.", s), "pytorch-lightning_version": "2.4.0"},
        lambda s: {"state_dict": prefixed("net.", s)},
        lambda s: {"model_state_dict": s, "loss": 0.1},
        lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, output=Path("there"))},
        lambda s: {"model": s, "acc": np.float64(77.1), "top5": np.float32(9.0)},
        lambda s: {"model": s, "rng": np.arange(5), "which": torch.tensor(3)},
        lambda s: {"model_ema": {"n_averaged": torch.tensor(5)} | prefixed("module.", s)},
        lambda s: {n: t.half() if t.is_floating_point() else t for n, t in s.items()},
        lambda s: {n: t.double() if t.is_floating_point() else t for n, t in s.items()},
        lambda s: {n: t for n, t in s.items() if not n.endswith("num_batches_tracked")},
        lambda s: {
            "state_dict": {
                ("head." if n.startswith("fc.") else "backbone.") + n: t for n, t in s.items()
            }
        },
    ],
)
def test_usual_wrappings_come_off(
    wrap: Callable[[State], Any], state: State, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    torch.save(wrap(state), path)
    weights, metadata = load_weights(path)
    assert metadata == {}
    net = net_with(weights, path, Setting(4, 24), 11, "cifar")
    for name, tensor in net.state_dict().items():
        assert torch.allclose(tensor, state[name], rtol=1e-3, atol=1e-3), name
        assert tensor.dtype == state[name].dtype


def test_which_of_several_was_taken_is_told_and_can_be_chosen(state: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    averaged = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"state_dict": state, "state_dict_ema": averaged, "epoch": 1}, path)
    weights, metadata = load_weights(path)
    assert metadata["choice"] == "state_dict (there are also: state_dict_ema)"
    assert torch.equal(weights["fc.bias"], state["fc.bias"])
    weights, metadata = load_weights(path, "state_dict_ema")
    assert metadata["choice"] == "state_dict_ema (there are also: state_dict)"
    assert torch.equal(weights["fc.bias"], averaged["fc.bias"])
    assert "--key 'ema': no weights there; allowed: state_dict, state_dict_ema" in refused(
        path, "ema"
    )


def test_what_stands_beside_a_net_is_left_out_and_told(state: State, tmp_path: Path) -> None:
    """Lightning keeps the losses and metrics of a module with its net."""
    path = tmp_path / "w.ckpt"
    beside = {"loss.weight": torch.ones(10), "metric.confusion": torch.zeros(10, 10)}
    torch.save({"state_dict": prefixed("net._orig_mod.", state) | beside}, path)
    weights, metadata = load_weights(path)
    assert weights.keys() == state.keys()
    assert metadata["choice"] == (
        "without loss.weight, metric.confusion, which stand beside the net"
    )
    torch.save(state | beside, path)  # without a prefix nobody knows what is the net's
    assert "loss.weight" in refused(path)


def test_weights_under_a_name_that_nobody_uses_are_asked_for(state: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"mine": state, "epoch": 3}, path)
    assert refused(path).endswith("which weights is not clear; allowed: --key mine")
    assert load_weights(path, "mine")[0].keys() == state.keys()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n <!DOCTYPE html><html>404</html>", "a page of HTML"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04half of it", "is cut or damaged"),
        (b"\x80\x02half", "is cut or damaged"),
        (b"\x1b[31mred", "nothing that is known"),
    ],
)
def test_what_is_no_weights_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        assert words in refused(tmp_path / name)


def test_what_is_told_apart_by_its_beginning_may_have_any_name(
    state: State, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.bin", tmp_path / "two.safetensors"
    save_file({n: t.contiguous() for n, t in state.items()}, one)
    torch.save(state, two)
    assert load_weights(one)[0].keys() == load_weights(two)[0].keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.to_sparse(), "is sparse"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is quantised"),
        (lambda t: torch.ones(1).expand(10**5, 2048), "by its shape, of which the file holds 4"),
        (lambda t: torch.empty(10, 64, device="meta"), "on the device meta"),
        (lambda t: t.to(torch.complex64), "of complex64"),
        (lambda t: torch.full_like(t, float("nan")), "not finite"),
        (lambda t: torch.full_like(t, float("inf")), "not finite"),
    ],
)
def test_tensors_that_are_not_plain_stop_with_their_name(
    change: Callable[[Tensor], Tensor], words: str, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    with warnings.catch_warnings(action="ignore"):
        torch.save({**state, "fc.weight": change(state["fc.weight"])}, path)
    message = refused(path)
    assert words in message
    assert "fc.weight" in message


def test_slices_of_one_storage_cannot_claim_more_than_the_file_has(
    state: State, tmp_path: Path
) -> None:
    path, one = tmp_path / "w.pth", torch.ones(100_000)
    torch.save({**state, **{f"more{n}": one for n in range(100)}}, path)
    assert "more than the file has" in refused(path)


def test_a_negative_variance_is_refused(state: State, tmp_path: Path) -> None:
    state["bn1.running_var"][3] = -0.1
    torch.save(state, tmp_path / "w.pth")
    assert "bn1.running_var has a negative variance" in refused(tmp_path / "w.pth")


def test_a_zip_that_would_grow_is_refused(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pth")
    with (
        zipfile.ZipFile(tmp_path / "w.pth") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, bytes(10_000_000))
    assert "claims more bytes than it has" in refused(tmp_path / "bomb.pth")


def test_whole_modules_are_refused_with_the_line_that_converts_them(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    net = build("4x24d", 11, "cifar", 10, base=16)
    for old in (False, True):
        torch.save(net, path, _use_new_zipfile_serialization=not old)
        message = refused(path)
        assert "cardinality.nets" in message
        assert "torch.load('whole.pth', weights_only=False)" in message


def test_a_pickle_of_another_protocol_is_refused_with_a_line_that_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"a": torch.ones(3), "b": torch.ones(3), "n": torch.tensor(2)}
    torch.save(state, tmp_path / "torch4.pth", pickle_protocol=4)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(state))
    monkeypatch.chdir(tmp_path)
    for name, holds in (
        ("torch4.pth", "a pickle of another protocol than 2"),
        ("plain.pkl", "torch.storage._load_from_bytes"),
    ):
        message = refused(tmp_path / name)
        assert f"holds {holds}, which" in message
        exec(message.partition("convert it in Python: ")[2], {"torch": torch})
        assert {*load_weights(tmp_path / "weights.pth")[0]} >= {"a", "b"}


def test_a_class_of_ones_own_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": pytest.Item}, protocol=2))
    assert "holds _pytest.nodes.Item" in refused(tmp_path / "w.pth")


def test_memory_that_a_few_bytes_ask_for_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.")
    assert "bytearray" in refused(path)
    # numpy's own would fill two gigabytes.
    path.write_bytes(
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x0b\x00\x00\x00V2000000000"
        b"\x85R\x85R."
    )
    assert "w.pth: " in refused(path)


def test_headless_weights_and_escapes_in_names(state: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({n: t for n, t in state.items() if not n.startswith("fc.")}, path)
    assert "has no fc.weight (weights without a classifier" in refused(path)
    torch.save({**state, "\x1b[2J\u202e": torch.ones(1)}, path)
    assert "\\x1b[2J\\u202e" in refused(path)


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    assert "is a pipe (FIFO)" in refused(tmp_path / "w.pth")
    assert "is a folder" in refused(tmp_path)
