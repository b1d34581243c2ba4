"""Pre-activation blocks and nets against timm's, which follow the authors' own (He et al.)."""

from typing import Any

import pytest
import timm
import torch
from timm.layers.create_conv2d import create_conv2d
from timm.layers.norm_act import BatchNormAct2d
from timm.models.resnetv2 import DownsampleConv, PreActBottleneck
from torch import Tensor, nn

from cardinality.nets.network import ResNeXt, build
from cardinality.nets.preactivation import PreactivationBottleneck
from tests.comparison import (
    assert_identical,
    blank,
    count_macs,
    count_parameters,
    evaluate,
    images,
    on_meta,
    randomise,
    train,
)

NAMES = {"bn1": "norm1", "bn2": "norm2", "bn3": "norm3", "downsample.0": "downsample.conv"}


def timms_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our block's tensors under the names of timm's block."""
    renamed = {}
    for name, tensor in state.items():
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        renamed[name] = tensor
    return renamed


def timms_block(inputs: int, outputs: int, stride: int, groups: int) -> nn.Module:
    return PreActBottleneck(
        inputs,
        outputs,
        stride=stride,
        groups=groups,
        conv_layer=create_conv2d,
        norm_layer=BatchNormAct2d,
        proj_layer=DownsampleConv if inputs != outputs else None,
    )


class Pooled(nn.Module):
    """A block that can be trained like a net: (N, 3, H, W) to (N, channels)."""

    def __init__(self, block: nn.Module, inputs: int) -> None:
        super().__init__()
        self.block = block
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        shifted = [x.roll(i, -1) * (i + 1) for i in range(-(-self.inputs // 3))]
        # Squared, so that a constant added to every position would show as well.
        return self.block(torch.cat(shifted, 1)[:, : self.inputs]).square().mean((2, 3))


@pytest.mark.parametrize("groups", [1, 4, 32])
@pytest.mark.parametrize(
    ("inputs", "outputs", "stride"), [(256, 512, 2), (512, 512, 1), (64, 256, 1)]
)
def test_blocks_have_timms_bits(inputs: int, outputs: int, stride: int, groups: int) -> None:
    """The first of a stage, one within it, and the first of the net, whose input is activated."""
    first = inputs == 64
    ours = PreactivationBottleneck(inputs, outputs // 4, outputs, stride, groups, residual=True)
    theirs = timms_block(inputs, outputs, stride, groups)
    if first:
        theirs.norm1 = nn.Identity()
    ours, theirs = ours.double(), theirs.double()
    randomise(ours)
    theirs.load_state_dict(timms_names(ours.state_dict()), strict=True)
    batch = images(2, 9)
    nets = Pooled(ours, inputs), Pooled(theirs, inputs)
    answer, expected = train(nets[0], batch), train(nets[1], batch)
    assert torch.equal(answer.logits, expected.logits)
    assert_identical(timms_names(answer.gradients), expected.gradients)
    assert_identical(timms_names(answer.buffers), expected.buffers)
    assert torch.equal(evaluate(nets[0], batch), evaluate(nets[1], batch))


def timms_net(net: ResNeXt, name: str) -> nn.Module:
    """timm's net with our weights.

    It has the other stem, which activates after the pooling, in its first block; ours, which is
    that of fb.resnet.torch, is put in its place.
    """
    theirs: Any = blank(lambda: timm.create_model(name))
    theirs.stem = nn.Sequential(net.conv1, net.bn1, nn.ReLU(), net.maxpool)
    theirs.stages[0].blocks[0].norm1 = nn.Identity()
    state = {}
    for key, tensor in timms_names(dict(net.state_dict())).items():
        stage, _, rest = key.partition(".")
        if stage.startswith("layer"):
            key = f"stages.{int(stage[-1]) - 1}.blocks.{rest}"
        elif stage == "norm":
            key = key.replace("norm.0", "norm")
        elif key == "fc.weight":
            key, tensor = "head.fc.weight", tensor[:, :, None, None]  # a 1x1 convolution there
        elif key == "fc.bias":
            key = "head.fc.bias"
        else:
            key = {"conv1": "stem.0", "norm1": "stem.1"}[stage] + f".{rest}"
        state[key] = tensor
    theirs.load_state_dict(state, strict=True)
    return theirs


@pytest.mark.parametrize("depth", [50, 101])
def test_nets_are_timms(depth: int) -> None:
    """To 1e-9 and not to the bit: timm's last layer is a 1x1 convolution."""
    ours = blank(lambda: build("1x64d", depth, block="preactivation"))
    randomise(ours)
    theirs = timms_net(ours, f"resnetv2_{depth}")
    batch = images(2, 64)
    torch.testing.assert_close(evaluate(ours, batch), evaluate(theirs, batch), rtol=1e-9, atol=0)
    answer, expected = train(ours, batch).logits, train(theirs, batch).logits
    torch.testing.assert_close(answer, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_counts_are_timms(depth: int) -> None:
    ours = on_meta(lambda: build("1x64d", depth, block="preactivation"))
    theirs = on_meta(lambda: timm.create_model(f"resnetv2_{depth}"))
    assert count_parameters(ours) == count_parameters(theirs)
    assert count_macs(ours, 64) == count_macs(theirs, 64)


def test_identity_reaches_from_stage_to_stage() -> None:
    """Nothing acts on the sum: with the branches silent, the blocks of a stage hand it through."""
    net = build("4x16d", 29, "cifar", block="preactivation").double()
    randomise(net)
    assert isinstance(net.layer2, nn.Sequential)
    for block in list(net.layer2)[1:]:
        nn.init.zeros_(block.get_parameter("conv3.weight"))
    x = -images(2, 8).repeat(1, 86, 1, 1)[:, :256]
    with torch.no_grad():
        first = net.layer2[0](x)
        assert first.min() < 0
        assert torch.equal(net.layer2(x), first)


def test_without_shortcuts_no_projection_is_left() -> None:
    net = build("4x16d", 11, "cifar", residual=False, block="preactivation").double()
    assert not [name for name in net.state_dict() if "downsample" in name]
    nn.init.zeros_(net.get_submodule("layer2.0").get_parameter("conv3.weight"))
    assert train(net, images(4, 16)).logits.std(0).max() < 1e-12
