"""The net against torchvision's and timm's: the same weights, and bit for bit the same answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from cardinality.architecture.settings import IMAGENET_BLOCKS, Architecture, Setting
from cardinality.common.errors import UserError
from cardinality.nets.network import ResNeXt, build
from tests.comparison import (
    Answer,
    answer_evaluating,
    assert_identical,
    blank,
    count_macs,
    count_parameters,
    forget,
    images,
    on_meta,
    randomise,
    shapes,
    train,
)

# The nets that torchvision and timm both have, under the same names.
NETS = {
    "resnet50": ("1x64d", 50),
    "resnet101": ("1x64d", 101),
    "resnet152": ("1x64d", 152),
    "resnext50_32x4d": ("32x4d", 50),
    "resnext101_32x8d": ("32x8d", 101),
    "resnext101_64x4d": ("64x4d", 101),
}
BATCH = images(2, 64)


def make(name: str) -> Callable[[], ResNeXt]:
    setting, depth = NETS[name]
    return lambda: build(setting, depth)


@dataclass(frozen=True)
class Trio:
    """One net in three implementations with the same random weights, and what each answered."""

    ours: Answer
    torchvision: Answer
    evaluations: dict[str, Answer]
    keys: dict[str, list[str]]


@pytest.fixture(scope="module", params=NETS)
def trio(request: pytest.FixtureRequest) -> Trio:
    """Torchvision's weights go into ours, and ours, after a training step, back into it."""
    ours = blank(make(request.param))
    theirs = blank(getattr(torchvision.models, request.param))
    other = blank(lambda: timm.create_model(request.param))
    nets = {"ours": ours, "torchvision": theirs, "timm": other}
    keys = {name: list(net.state_dict()) for name, net in nets.items()}
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    answers = train(ours, BATCH), train(theirs, BATCH)
    # The other way: torchvision's net forgets all, and what is in it then came from ours.
    forget(theirs)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    other.load_state_dict(ours.state_dict(), strict=True)
    evaluations = {name: answer_evaluating(net, BATCH) for name, net in nets.items()}
    return Trio(*answers, evaluations, keys)


@pytest.mark.long
def test_training_has_torchvisions_bits(trio: Trio) -> None:
    assert trio.ours.logits.abs().max() > 0.1
    assert torch.equal(trio.ours.logits, trio.torchvision.logits)
    assert_identical(trio.ours.gradients, trio.torchvision.gradients)
    assert_identical(trio.ours.buffers, trio.torchvision.buffers)


def test_evaluation_has_torchvisions_bits(trio: Trio) -> None:
    """Weights and running averages, as training left them, are ours in torchvision's net."""
    ours, theirs = trio.evaluations["ours"], trio.evaluations["torchvision"]
    assert not torch.equal(ours.logits, trio.ours.logits)
    assert torch.equal(ours.logits, theirs.logits)
    assert_identical(ours.gradients, theirs.gradients)
    assert_identical(ours.buffers, theirs.buffers)


def test_evaluation_has_timms_bits(trio: Trio) -> None:
    assert torch.equal(trio.evaluations["ours"].logits, trio.evaluations["timm"].logits)


def test_names_and_their_order_are_theirs(trio: Trio) -> None:
    """Named alike even in order, so that an optimizer's state moves as well."""
    assert trio.keys["ours"] == trio.keys["torchvision"]
    # timm registers a block's activations elsewhere, its weights under the same names.
    assert sorted(trio.keys["ours"]) == sorted(trio.keys["timm"])


def torchvision_net(setting: Setting, depth: int, classes: int) -> Callable[[], nn.Module]:
    blocks: list[int] = list(IMAGENET_BLOCKS[depth])
    options: dict[str, Any] = {"groups": setting.cardinality, "width_per_group": setting.width}
    return lambda: ResNet(Bottleneck, blocks, classes, **options)


imagenet_nets = st.tuples(
    st.builds(Setting, st.integers(1, 66), st.integers(1, 66)),
    st.sampled_from(list(IMAGENET_BLOCKS)),
    st.integers(1, 1000),
)


@given(imagenet_nets)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_any_setting_is_torchvisions_construction(net: tuple[Setting, int, int]) -> None:
    """Any cardinality, width, depth and number of classes: the same weights by name and shape."""
    setting, depth, classes = net
    ours = on_meta(lambda: build(setting, depth, classes=classes))
    theirs = on_meta(torchvision_net(setting, depth, classes))
    assert list(shapes(ours).items()) == list(shapes(theirs).items())
    assert count_macs(ours, 64) == count_macs(theirs, 64)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([32, 33, 47, 65]))
@settings(max_examples=4, deadline=None, derandomize=True)
def test_any_setting_has_torchvisions_bits(cardinality: int, width: int, side: int) -> None:
    """Odd cardinalities, widths and image sizes, too."""
    setting = Setting(cardinality, width)
    ours = blank(lambda: build(setting, 50, classes=7))
    theirs = blank(torchvision_net(setting, 50, 7))
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    answer, expected = train(ours, images(2, side)), train(theirs, images(2, side))
    assert torch.equal(answer.logits, expected.logits)
    assert_identical(answer.gradients, expected.gradients)
    assert_identical(answer.buffers, expected.buffers)


def test_depth_200_is_timms() -> None:
    """Torchvision stops at 152; timm has the blocks of Table 4's deeper net, original form."""
    ours = on_meta(lambda: build("1x64d", 200))
    theirs = on_meta(lambda: timm.create_model("resnet200"))
    assert shapes(ours) == shapes(theirs)
    assert count_parameters(ours) == count_parameters(theirs)
    assert count_macs(ours, 64) == count_macs(theirs, 64)


@pytest.mark.parametrize("setting", ["1x64d", "32x4d"])
def test_initialisation_is_the_authors(setting: str) -> None:
    """models/resnext.lua: normal, variance 2 / (k k outputs), whatever the groups; scales at 1."""
    torch.manual_seed(0)
    for name, module in build(setting, 29, "cifar", classes=10).named_modules():
        if isinstance(module, nn.Conv2d):
            expected = 2 / (module.kernel_size[0] ** 2 * module.out_channels)
            # The variance of n normal draws has a deviation of sqrt(2 / n) of itself.
            tolerance = 5 * (2 / module.weight.numel()) ** 0.5
            assert module.weight.var().item() == pytest.approx(expected, rel=tolerance), name
            assert module.weight.mean().abs().item() < 5 * (expected / module.weight.numel()) ** 0.5
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight)), name
            assert not module.bias.any(), name
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            assert not module.bias.any()
            assert module.weight.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_without_shortcuts_nothing_bypasses_a_block() -> None:
    """With the last scale of a block at zero the net is constant: no other way leads around it."""
    torch.manual_seed(0)
    for residual in (True, False):
        net = build("4x16d", 11, "cifar", classes=5, residual=residual).double()
        nn.init.zeros_(net.get_submodule("layer2.0.bn3").get_parameter("weight"))
        logits = train(net, images(4, 16)).logits
        assert (logits.std(0).max().item() < 1e-12) != residual


def test_a_wrong_net_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="depth 51"):
        build("32x4d", 51)
    with pytest.raises(UserError, match="original, preactivation"):
        Architecture(Setting(1, 64), 50, block="other")  # type: ignore[arg-type] # that is the test
