"""Our arithmetic against torch's own counts of the built nets, for every row of every ablation."""

import math
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision import models

from cardinality.architecture.complexity import Complexity, Layer, by_stage, complexity, layers
from cardinality.architecture.names import NETS
from cardinality.architecture.settings import (
    BLOCKS,
    IMAGENET_BLOCKS,
    PAPER_BASE,
    SHORTCUTS,
    STEMS,
    Architecture,
    Setting,
)
from cardinality.experiment.grid import OtherScaleError, make_plan
from cardinality.host.machine import Machine
from cardinality.nets.network import ResNeXt
from tests.comparison import count_macs, count_parameters, on_meta, rows_at_the_papers_depths
from tests.places import ROOT

ABLATIONS = sorted(path.stem for path in (ROOT / "ablations").glob("*.yaml"))
# The nets of imagenette128 are imagenette's.
PROTOCOLS = sorted(path.stem for path in (ROOT / "ablations" / "protocols").glob("*.yaml"))
PROTOCOLS.remove("imagenette128")
MACHINE = Machine("cpu", "x", 1, False)


@cache  # tables share rows
def measure(architecture: Architecture, side: int) -> tuple[list[Layer], Complexity]:
    """The built net's layers as a forward pass meets them, and torch's own totals.

    The layers come from hooks; which parameters belong to a layer besides its weights does not
    show there, and is left at the default.
    """
    net = on_meta(lambda: ResNeXt(architecture))
    met: list[Layer] = []

    def note(name: str, module: nn.Module, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            inputs, outputs = module.in_channels, module.out_channels
            kernel, stride, groups = module.kernel_size[0], module.stride[0], module.groups
            met.append(Layer(name, "", inputs, outputs, kernel, stride, groups, output.shape[-1]))
        elif isinstance(module, nn.Linear):
            met.append(Layer(name, "", module.in_features, module.out_features, 1, 1, 1, 1))

    for name, module in net.named_modules():
        module.register_forward_hook(lambda m, _, out, name=name: note(name, m, out))
    macs = count_macs(net, side)
    activations = sum(layer.activations for layer in met)
    return met, Complexity(count_parameters(net), macs, activations)


def assert_counted(architecture: Architecture, side: int) -> None:
    """Every layer, and the totals of parameters, multiply-adds and activations, to the unit."""
    met, totals = measure(architecture, side)
    counted = list(layers(architecture, side))
    assert [replace(layer, stage="", per_channel=2) for layer in counted] == met
    assert complexity(architecture, side) == totals


def label(net: Architecture) -> str:
    shortcuts = "" if net.residual else "-noshortcut"
    return f"{net.setting}-{net.depth}{shortcuts}"


@pytest.mark.parametrize("net", rows_at_the_papers_depths(), ids=label)
def test_rows_at_the_papers_depths(net: Architecture) -> None:
    assert_counted(net, 224)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_rows_at_a_protocols_depths(ablation: str, protocol: str) -> None:
    try:
        plan = make_plan(ablation, protocol, MACHINE)
    except OtherScaleError:
        return
    assert plan.entries
    # Of 1202 layers (ResNet's Table 6) the other file counts one block a stage.
    for entry in plan.entries:
        if entry.architecture.depth <= 200:
            assert_counted(entry.architecture, plan.protocol.data.side)
        assert entry.complexity == complexity(entry.architecture, plan.protocol.data.side)


def test_every_file_is_counted() -> None:
    """The lists above are read from the folders: an ablation added there is counted here."""
    assert {"table2", "table3", "table4", "residual"} <= set(ABLATIONS)
    assert PROTOCOLS
    depths = {net.depth for net in rows_at_the_papers_depths()}
    assert depths == {50, 101, 200}


@st.composite
def small_nets(draw: st.DrawFn) -> Architecture:
    """Any cardinality, width, stem, base, depth, block and option; the width is whole by design."""
    stem, block = draw(st.sampled_from(STEMS)), draw(st.sampled_from(BLOCKS))
    base = draw(st.sampled_from([8, 16, 32, 64, 128, 24]))
    step = PAPER_BASE // math.gcd(PAPER_BASE, base)
    basic, residual = block == "basic", draw(st.booleans())
    setting = Setting(1 if basic else draw(st.integers(1, 20)), step * draw(st.integers(1, 8)))
    layers = 6 if basic else 9
    depth = (34 if basic else 50) if stem == "imagenet" else layers * draw(st.integers(1, 4)) + 2
    shortcut = draw(st.sampled_from(SHORTCUTS)) if residual else "B"
    net = Architecture(
        setting, depth, stem, draw(st.integers(1, 300)), base, residual, block,
        deep_stem=draw(st.booleans()),
    )  # fmt: skip
    if block == "preactivation":
        return net
    pooled = residual and shortcut != "A" and draw(st.booleans())
    squeeze = draw(st.booleans())
    return replace(net, shortcut=shortcut, pooled_projection=pooled, squeeze=squeeze)


@given(small_nets(), st.integers(1, 80))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_net_is_counted(net: Architecture, side: int) -> None:
    assert_counted(net, side)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", models.ResNet18_Weights.IMAGENET1K_V1),
        ("resnet34", models.ResNet34_Weights.IMAGENET1K_V1),
        ("resnet50", models.ResNet50_Weights.IMAGENET1K_V1),
        ("resnet101", models.ResNet101_Weights.IMAGENET1K_V1),
        ("resnet152", models.ResNet152_Weights.IMAGENET1K_V1),
        ("resnext50_32x4d", models.ResNeXt50_32X4D_Weights.IMAGENET1K_V1),
        ("resnext101_32x8d", models.ResNeXt101_32X8D_Weights.IMAGENET1K_V1),
        ("resnext101_64x4d", models.ResNeXt101_64X4D_Weights.IMAGENET1K_V1),
        ("wide_resnet50_2", models.Wide_ResNet50_2_Weights.IMAGENET1K_V1),
        ("wide_resnet101_2", models.Wide_ResNet101_2_Weights.IMAGENET1K_V1),
    ],
)
def test_torchvisions_published_counts(name: str, published: models.WeightsEnum) -> None:
    """The parameters and multiply-adds (in 10^9, three decimals) that torchvision documents."""
    counted = complexity(NETS[name])
    assert counted.params == published.meta["num_params"]
    assert round(counted.macs / 1e9, 3) == published.meta["_ops"]


@pytest.mark.parametrize("depth", IMAGENET_BLOCKS)
@pytest.mark.parametrize("setting", ["1x64d", "32x4d"])
def test_preactivation_is_counted(setting: str, depth: int) -> None:
    """Its count is the original's less the batch norms of the four projections."""
    original = Architecture(Setting.parse(setting), depth)
    preactivation = replace(original, block="preactivation")
    assert_counted(preactivation, 64)
    saved = complexity(original).params - complexity(preactivation).params
    assert saved == 2 * (256 + 512 + 1024 + 2048)
    assert complexity(original).macs == complexity(preactivation).macs


@given(small_nets())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_stages_add_up(net: Architecture) -> None:
    """Stage by stage they are Table 1's, in its order, and together the whole net."""
    stages = by_stage(net)
    names = ["conv1", "conv2", "conv3", "conv4", "conv5"][: 1 + len(net.blocks)]
    assert list(stages) == [*names, "fc"]
    for column in ("params", "macs", "activations"):
        total = sum(getattr(stage, column) for stage in stages.values())
        assert total == getattr(complexity(net), column)
