"""A net as the backbone of another: torch's and torchvision's tools take it apart and agree."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from cardinality.architecture.settings import Block
from cardinality.nets.network import ResNeXt, build
from tests.comparison import assert_identical, images, randomise, train

# fmt: off
NETS: dict[str, dict[str, Any]] = {
    "original": {"depth": 20, "stem": "cifar", "block": "original"},
    "ImageNet's stem": {"depth": 50, "stem": "imagenet"},
    "without shortcuts": {"depth": 11, "stem": "cifar-stride2", "residual": False},
    "basic, padded": {
        "setting": "1x64d", "depth": 14, "stem": "cifar", "block": "basic", "shortcut": "A",
    },
    "the rest": {
        "depth": 11, "stem": "cifar", "deep_stem": True, "pooled_projection": True, "squeeze": True,
    },
    "pre-activation": {"depth": 20, "stem": "cifar", "block": "preactivation"},
}
# fmt: on
BATCH = images(2, 32)


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> ResNeXt:
    options: dict[str, Any] = {"setting": "4x24d", "classes": 10, "base": 16}
    net = build(**options | NETS[request.param]).double()
    randomise(net)
    return net


def evaluated(net: nn.Module) -> Tensor:
    with torch.no_grad():
        return net(BATCH)


@pytest.mark.parametrize("training", [True, False])
def test_a_traced_net_is_the_net(net: ResNeXt, training: bool) -> None:
    traced = torch.fx.symbolic_trace(net.train(training))
    assert {type(module) for module in traced.modules()} >= {nn.BatchNorm2d, nn.Linear}
    assert list(traced.state_dict()) != []
    assert traced.state_dict().keys() == net.state_dict().keys()
    if not training:
        assert torch.equal(evaluated(traced), evaluated(net))
        return
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    answer = train(traced, BATCH)
    net.load_state_dict(before)  # the traced one has its tensors
    expected = train(net, BATCH)
    assert torch.equal(answer.logits, expected.logits)
    assert_identical(answer.gradients, expected.gradients)
    assert_identical(answer.buffers, expected.buffers)


@pytest.mark.parametrize("training", [True, False])
def test_an_exported_net_is_the_net(net: ResNeXt, training: bool) -> None:
    net.train(training)
    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    exported = torch.export.export(net, (BATCH,), dynamic_shapes=(batch,))
    other = images(5, 32)
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(other), net(other), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("block", ["original", "preactivation"])
def test_torchvision_extracts_what_every_stage_gives(block: Block) -> None:
    net = build("32x4d", 50, block=block)
    stages = {f"layer{number}": f"stage{number}" for number in range(1, 5)}
    for training in (True, False):
        backbone = create_feature_extractor(net.train(training), stages)
        with torch.no_grad():
            found = backbone(torch.zeros(2, 3, 64, 96))
        assert {name: tuple(x.shape) for name, x in found.items()} == {
            "stage1": (2, 256, 16, 24),
            "stage2": (2, 512, 8, 12),
            "stage3": (2, 1024, 4, 6),
            "stage4": (2, 2048, 2, 3),
        }
    seen: dict[str, Tensor] = {}
    for number, name in enumerate(stages, start=1):
        net.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, key=f"stage{number}": seen.update({key: output})
        )
    picture = images(1, 64).float()
    with torch.no_grad():
        net(picture)
        assert_identical(dict(backbone(picture)), seen)


def test_features_are_what_the_last_layer_takes(net: ResNeXt) -> None:
    net.eval()
    with torch.no_grad():
        features = net.features(BATCH)
    assert features.shape == (2, net.architecture.out_channels[-1])
    assert torch.equal(net.fc(features), evaluated(net))
