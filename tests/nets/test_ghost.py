"""Batch norm over groups of images against one copy of the net a group."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cardinality.nets.ghost import GhostBatchNorm2d, use_ghost_batch_norm
from cardinality.nets.network import build
from tests.comparison import assert_identical, evaluate, images, randomise, train

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
