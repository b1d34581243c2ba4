"""Basic blocks against torchvision's; batch norm over groups against one copy a group."""

import copy
from typing import Literal

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from cardinality.nets.network import build
from cardinality.nets.variants import (
    BasicBlock,
    GhostBatchNorm2d,
    build_basic,
    use_ghost_batch_norm,
)
from tests.comparison import assert_identical, blank, evaluate, forget, images, randomise, train


@pytest.mark.parametrize("depth", [18, 34])
def test_basic_nets_have_torchvisions_bits(depth: Literal[18, 34]) -> None:
    ours = blank(lambda: build_basic(depth))
    theirs = blank(getattr(torchvision.models, f"resnet{depth}"))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    batch = images(2, 64)
    answer, expected = train(ours, batch), train(theirs, batch)
    assert torch.equal(answer.logits, expected.logits)
    assert_identical(answer.gradients, expected.gradients)
    assert_identical(answer.buffers, expected.buffers)
    forget(theirs)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert torch.equal(evaluate(ours, batch), evaluate(theirs, batch))


def test_basic_nets_start_as_the_others_do() -> None:
    torch.manual_seed(0)
    weight = build_basic(18).get_parameter("layer3.1.conv1.weight")
    assert weight.var().item() == pytest.approx(2 / (9 * 256), rel=0.02)
    torch.manual_seed(0)
    assert build_basic(34, classes=7)(torch.randn(2, 3, 32, 32)).shape == (2, 7)


def paths_of_two(block: BasicBlock, cardinality: int, x: Tensor) -> Tensor:
    """Fig. 4, left: C paths of two 3x3, each with its share of a block's channels, summed."""
    total = torch.zeros(())
    stride = block.conv1.stride
    for first, scale, shift, second in zip(
        block.conv1.weight.chunk(cardinality),
        block.bn1.weight.chunk(cardinality),
        block.bn1.bias.chunk(cardinality),
        block.conv2.weight.chunk(cardinality, 1),
        strict=True,
    ):
        y = functional.conv2d(x, first, stride=stride, padding=1)
        y = functional.batch_norm(y, None, None, scale, shift, training=True).relu()
        total = total + functional.conv2d(y, second, padding=1)
    shortcut = x if block.downsample is None else block.downsample(x)
    return (block.bn2(total) + shortcut).relu()


@given(st.integers(1, 16), st.integers(1, 6), st.integers(1, 2), st.integers(1, 9))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_cardinality_at_depth_2_is_width(
    cardinality: int, width: int, stride: int, inputs: int
) -> None:
    """Fig. 4: any number of paths of two layers is one dense block of width C x d, weight for
    weight; at depth 3 the same paths are a grouped convolution with a C-th of the weights.
    """
    block = BasicBlock(inputs, cardinality * width, 6, stride).double()
    randomise(block)
    x = torch.randn(2, inputs, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(paths_of_two(block, cardinality, x), block(x), rtol=1e-9, atol=1e-9)
    of_a_path = 9 * inputs * width + 9 * width * 6
    assert block.conv1.weight.numel() + block.conv2.weight.numel() == cardinality * of_a_path


GROUPS, IMAGES = 4, 3


def test_ghost_batch_norm_is_one_replica_a_group() -> None:
    """Each group as if a copy of the net had it: outputs, the gradients' sum, and the running
    averages of the first copy, which the authors' checkpoints keep.
    """
    net = build("4x24d", 20, "cifar", classes=10, base=16).double()
    randomise(net)
    replicas = [copy.deepcopy(net) for _ in range(GROUPS)]
    use_ghost_batch_norm(net, IMAGES)
    batch = images(GROUPS * IMAGES, 16)
    weights = torch.randn(len(batch), 10, dtype=torch.float64)
    outputs = net.train()(batch)
    (outputs * weights).sum().backward()
    for i, replica in enumerate(replicas):
        part = slice(i * IMAGES, (i + 1) * IMAGES)
        expected = replica.train()(batch[part])
        (expected * weights[part]).sum().backward()
        torch.testing.assert_close(outputs[part], expected, rtol=1e-9, atol=1e-9)
    for name, _ in net.named_parameters():
        total = torch.stack([_gradient(replica, name) for replica in replicas]).sum(0)
        torch.testing.assert_close(_gradient(net, name), total, rtol=1e-9, atol=1e-9)
    first, second = dict(replicas[0].named_buffers()), dict(replicas[1].named_buffers())
    for name, buffer in net.named_buffers():
        torch.testing.assert_close(buffer, first[name], rtol=1e-9, atol=1e-9)
        assert "running" not in name or not torch.allclose(buffer, second[name])


def _gradient(net: nn.Module, name: str) -> Tensor:
    gradient = net.get_parameter(name).grad
    assert gradient is not None
    return gradient


def test_ghost_batch_norm_of_the_whole_batch_is_batch_norm() -> None:
    net = build("2x40d", 11, "cifar", classes=10).double()
    randomise(net)
    ghost = copy.deepcopy(net)
    use_ghost_batch_norm(ghost, 4)
    assert sum(isinstance(module, GhostBatchNorm2d) for module in ghost.modules()) == 13
    assert [(name, tensor.shape) for name, tensor in ghost.state_dict().items()] == [
        (name, tensor.shape) for name, tensor in net.state_dict().items()
    ]
    batch = images(4, 16)
    answer, expected = train(ghost, batch), train(net, batch)
    assert torch.equal(answer.logits, expected.logits)
    assert_identical(answer.gradients, expected.gradients)
    assert_identical(answer.buffers, expected.buffers)
    # In evaluation the number of images does not matter.
    assert torch.equal(evaluate(ghost, images(3, 16)), evaluate(net, images(3, 16)))


def test_the_last_group_of_ghost_batch_norm_has_what_is_left() -> None:
    x = images(5, 4)
    ghost = GhostBatchNorm2d(3, 2).double()
    groups = [GhostBatchNorm2d(3, 2).double()(part) for part in x.split(2)]
    assert torch.equal(ghost(x), torch.cat(groups))
    with pytest.raises(ValueError, match="images 0"):
        GhostBatchNorm2d(3, 0)


def test_ghost_batch_norm_keeps_what_it_replaces() -> None:
    net = build("1x64d", 11, "cifar").double().eval()
    net.bn1.eps, net.bn1.momentum = 0.5, 0.25
    use_ghost_batch_norm(net, 8)
    assert isinstance(net.bn1, GhostBatchNorm2d)
    assert (net.bn1.eps, net.bn1.momentum) == (0.5, 0.25)
    assert all(parameter.dtype == torch.float64 for parameter in net.parameters())
    assert not any(module.training for module in net.modules())
