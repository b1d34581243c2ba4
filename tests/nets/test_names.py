"""Nets by name against torchvision's and timm's: the same weights, and the same answers."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from cardinality.architecture.names import NETS, describe
from cardinality.architecture.settings import Setting
from cardinality.common.errors import UserError
from cardinality.nets.network import ResNeXt, build
from tests.comparison import (
    assert_identical,
    blank,
    count_macs,
    count_parameters,
    evaluate,
    images,
    on_meta,
    randomise,
    shapes,
    train,
)

# tests/nets/test_network.py trains these beside torchvision's and timm's.
ELSEWHERE = {
    *("resnet50", "resnet101", "resnet152", "resnext50_32x4d"),
    *("resnext101_32x8d", "resnext101_64x4d", "resnet200"),
}
# 1.5 and 3.7 GB in float64: shapes alone.
LARGE = {"resnext101_32x16d", "resnext101_32x32d"}
BATCH = images(2, 40)


def theirs(name: str) -> Callable[[], nn.Module]:
    """Torchvision's net of a name, and timm's where it has none."""
    if hasattr(torchvision.models, name):
        return getattr(torchvision.models, name)
    return lambda: timm.create_model(name)


@pytest.mark.parametrize("name", NETS)
def test_a_name_is_the_net_of_that_name(name: str) -> None:
    ours, other = on_meta(lambda: build(name)), on_meta(theirs(name))
    assert shapes(ours) == shapes(other)
    assert count_parameters(ours) == count_parameters(other)
    assert count_macs(ours, 64) == count_macs(other, 64)


@pytest.mark.parametrize("name", sorted({*NETS} - ELSEWHERE - LARGE))
def test_it_answers_alike_with_the_same_weights(name: str) -> None:
    """Their weights in our net, and from there in theirs again; strictly, and in float64."""
    other = blank(theirs(name))
    randomise(other)
    ours = on_meta(lambda: build(name)).double()
    ours.load_state_dict(other.state_dict(), strict=True, assign=True)
    back = on_meta(theirs(name)).double()
    back.load_state_dict(ours.state_dict(), strict=True, assign=True)
    logits = evaluate(other, BATCH)
    assert logits.abs().max() > 0.1
    assert torch.equal(evaluate(ours, BATCH), logits)
    assert torch.equal(evaluate(back, BATCH), logits)


@pytest.mark.parametrize("name", ["resnet18", "resnext50d_32x4d", "seresnet50"])
def test_it_trains_alike(name: str) -> None:
    """Gradients and running averages: the blocks' own ways back, deep stem, mean and scale."""
    other, ours = blank(theirs(name)), blank(lambda: build(name))
    randomise(other)
    ours.load_state_dict(other.state_dict(), strict=True)
    answer, expected = train(ours, BATCH), train(other, BATCH)
    assert torch.equal(answer.logits, expected.logits)
    assert_identical(answer.gradients, expected.gradients)
    assert_identical(answer.buffers, expected.buffers)


@pytest.mark.parametrize("side", [33, 47])
def test_odd_images_keep_their_edge(side: int) -> None:
    other, ours = blank(theirs("resnet50d")), blank(lambda: build("resnet50d"))
    randomise(other)
    ours.load_state_dict(other.state_dict(), strict=True)
    assert torch.equal(evaluate(ours, images(1, side)), evaluate(other, images(1, side)))


def test_a_name_is_a_setting_that_can_be_changed() -> None:
    assert NETS["wide_resnet50_2"].setting == Setting(1, 128)
    net = on_meta(lambda: build("resnext50_32x4d", classes=10, squeeze=True))
    assert isinstance(net, ResNeXt)
    assert (net.architecture.classes, net.architecture.squeeze) == (10, True)
    assert describe("seresnext50_32x4d") == describe("32x4d", 50, squeeze=True)


@pytest.mark.parametrize(
    ("net", "depth", "why"),
    [
        ("resnet51", None, "no such name; allowed: a setting like 32x4d, or resnet18"),
        ("resnet50", 101, "has 50"),
        ("32x4d", None, "depth: is missing"),
        (None, 50, "net None: no name and no setting; allowed: a setting like 32x4d, or resnet18"),
        (NETS["resnet50"], None, "net Architecture.*: no name and no setting"),
    ],
)
def test_another_name_is_the_users_mistake(net: Any, depth: int | None, why: str) -> None:
    with pytest.raises(UserError, match=why):
        build(net, depth)
