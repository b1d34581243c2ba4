"""Weight files: ours and torchvision's read alike; what is no weights is refused and not run."""

import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from cardinality.architecture.names import Options
from cardinality.architecture.settings import Setting
from cardinality.common.errors import UserError
from cardinality.data.store import load_images
from cardinality.experiment.plan import Plan
from cardinality.nets.network import ResNeXt, build
from cardinality.training.trainer import Trainer
from cardinality.training.weights import (
    load_weights,
    net_with,
    numerics_of,
    precision_of,
    save_weights,
    statistics_of,
)


@pytest.fixture
def net() -> ResNeXt:
    return build("4x24d", 11, "cifar", 10, base=16)


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


@pytest.fixture
def trainer(tiny: Plan, data_root: Path) -> Trainer:
    run = tiny.runs()[0]
    return Trainer(run, load_images(run.data))


def test_our_weights_come_back_with_what_they_were_trained_with(
    trainer: Trainer, tmp_path: Path
) -> None:
    path = tmp_path / "weights" / "run.safetensors"
    save_weights(trainer, path)
    weights, metadata = load_weights(path)
    assert metadata["run"] == trainer.run.name
    assert statistics_of(metadata) == trainer.statistics
    assert numerics_of(metadata) == trainer.run.numerics
    assert precision_of(metadata) == "float32"
    net = trainer.run.architecture
    assert same(trainer.net, net_with(weights, path, net.setting, net.depth, net.stem))
    assert [file.name for file in path.parent.iterdir()] == ["run.safetensors"]


NAN = "[[NaN, 0.5, 0.5], [0.5, 0.5, 0.5]]"
TINY = "[[0.5, 0.5, 0.5], [1e-300, 0.5, 0.5]]"


@pytest.mark.parametrize(
    "statistics", ["[]", "x", "[[1, 2], [3, 4]]", "[[1, 2, 3], [0, 1, 1]]", NAN, TINY]
)
def test_statistics_that_are_none_are_refused(statistics: str) -> None:
    with pytest.raises(UserError, match="statistics"):
        statistics_of({"statistics": statistics})


@pytest.mark.parametrize(
    "numerics",
    [
        "",
        "[]",
        '{"device": "cpu", "precision": "float16", "threads": 1}',
        '{"device": "cpu", "precision": "float32", "threads": 1000000}',
        '{"device": "cpu", "precision": "float32"}',
    ],
)
def test_numerics_that_are_none_are_refused(numerics: str) -> None:
    with pytest.raises(UserError, match="numerics"):
        numerics_of({"numerics": numerics})


def test_other_peoples_weights_and_older_ones_of_ours_say_no_numerics() -> None:
    assert numerics_of({}) is None
    assert precision_of({}) == "float32"
    assert precision_of({"precision": "bfloat16"}) == "bfloat16"


@pytest.mark.parametrize("key", [None, "net", "model", "state_dict"])
def test_checkpoints_of_torch_are_read(net: ResNeXt, tmp_path: Path, key: str | None) -> None:
    path = tmp_path / "run.pth"
    state = net.state_dict()
    torch.save(state if key is None else {key: state, "epoch": 3}, path)
    weights, _ = load_weights(path)
    assert same(net, net_with(weights, path, Setting(4, 24), 11, "cifar"))


def test_base_classes_shortcuts_and_block_are_the_weights_own(tmp_path: Path) -> None:
    for residual in (True, False):
        for block in ("original", "preactivation"):
            net = build("2x40d", 11, "cifar", 7, 32, residual=residual, block=block)
            path = tmp_path / "net.pt"
            torch.save(net.state_dict(), path)
            loaded = net_with(load_weights(path)[0], path, Setting(2, 40), 11, "cifar")
            assert loaded.architecture == net.architecture


@pytest.mark.parametrize(
    "options",
    [
        {"block": "basic", "shortcut": "A"},
        {"block": "basic", "shortcut": "C"},
        {"shortcut": "C", "squeeze": True},
        {"deep_stem": True, "pooled_projection": True},
        {"squeeze": True, "residual": False},
    ],
)
def test_what_else_a_net_has_is_the_weights_own_too(tmp_path: Path, options: Options) -> None:
    path, basic = tmp_path / "net.pt", options.get("block") == "basic"
    net = build("1x64d", 14 if basic else 20, "cifar", 7, base=16, **options)
    torch.save(net.state_dict(), path)
    padded = options.get("shortcut") == "A"
    weights, depth = load_weights(path)[0], net.architecture.depth
    assert same(net, net_with(weights, path, Setting(1, 64), depth, "cifar", padded))


def test_shortcuts_of_type_a_have_no_projections(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(build("1x64d", 11, "cifar", 7, base=16).state_dict(), path)
    with pytest.raises(UserError, match=r"has projections, .* allowed: without --padded"):
        net_with(load_weights(path)[0], path, Setting(1, 64), 11, "cifar", padded=True)


def test_torchvisions_weights_are_read(tmp_path: Path) -> None:
    path = tmp_path / "resnext50_32x4d-random.pth"
    theirs = torchvision.models.resnext50_32x4d()
    torch.save(theirs.state_dict(), path)
    ours = net_with(load_weights(path)[0], path, Setting(32, 4), 50, "imagenet")
    assert same(ours, theirs)


def test_weights_of_another_net_are_refused_by_name(net: ResNeXt, tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(net.state_dict(), path)
    weights, _ = load_weights(path)
    with pytest.raises(UserError, match=r"net\.pt: no weights of 8x16d.*conv1\.weight is 24 x"):
        net_with(weights, path, Setting(8, 16), 11, "cifar")
    with pytest.raises(
        UserError, match=r"layer1\.1\.conv1\.weight is missing, and in the net 24 x"
    ):
        net_with(weights, path, Setting(4, 24), 20, "cifar")
    with pytest.raises(UserError, match="more is 3, and in the net missing"):
        net_with({**weights, "more": torch.zeros(3)}, path, Setting(4, 24), 11, "cifar")
    with pytest.raises(UserError, match=r"has no conv1\.weight and no fc\.weight"):
        net_with({"a": torch.zeros(1)}, path, Setting(4, 24), 11, "cifar")


class Bomb:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_with_code_in_it_is_refused_and_runs_nothing(tmp_path: Path, how: str) -> None:
    trace, path = tmp_path / "trace", tmp_path / "weights.pth"
    content = {"net": Bomb(trace)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"weights\.pth: ") as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_files_get_one_line(tmp_path: Path, data: st.DataObject) -> None:
    state = {"conv1.weight": torch.ones(3), "fc.weight": torch.ones(2)}
    path = tmp_path / data.draw(st.sampled_from(["w.safetensors", "w.pth"]))
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    whole = path.read_bytes()
    junk = data.draw(st.sampled_from(["cut", "random", "empty"]))
    if junk == "cut":
        path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    elif junk == "random":
        path.write_bytes(data.draw(st.binary(min_size=1, max_size=300)))
    else:
        path.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        load_weights(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{}, [1], 3, {"net": {}}, {"a": 1}, {1: torch.ones(1)}])
def test_files_with_something_else_are_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "w.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=r"w\.pth: .*allowed: names with tensors"):
        load_weights(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_weights(tmp_path / "nope.pth")
