"""Basic blocks against torchvision's, and what cardinality is in them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from cardinality.nets.basic import BasicBlock
from cardinality.nets.network import build
from tests.comparison import randomise


def test_basic_nets_start_as_the_others_do() -> None:
    torch.manual_seed(0)
    weight = build("resnet18").get_parameter("layer3.1.conv1.weight")
    assert weight.var().item() == pytest.approx(2 / (9 * 256), rel=0.02)
    torch.manual_seed(0)
    assert build("resnet34", classes=7)(torch.randn(2, 3, 32, 32)).shape == (2, 7)


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
