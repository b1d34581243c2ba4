"""Eq. (4), its solver, and whole nets: against the paper's figures and what torch counts."""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cardinality.architecture.complexity import (
    Complexity,
    block_parameters,
    by_stage,
    complexity,
    deviation,
    solve,
)
from cardinality.architecture.settings import Architecture, Setting, Stem
from cardinality.common.errors import UserError
from cardinality.experiment.grid import OtherScaleError, make_plan
from cardinality.host.machine import Machine
from cardinality.nets.network import Bottleneck, ResNeXt
from cardinality.report.published import read_paper
from tests.places import ROOT

REFERENCE = Setting(1, 64)
DEEPEST_BUILT = 200  # layers


@pytest.mark.parametrize(
    ("setting", "count", "off"),
    [
        ("1x64d", 69_632, 0),
        ("2x40d", 69_760, 0.18),
        ("4x24d", 69_888, 0.37),
        ("8x14d", 71_456, 2.62),
        ("32x4d", 70_144, 0.74),
        ("16x8d", 74_752, 7.35),
    ],
)
def test_equation_4(setting: str, count: int, off: float) -> None:
    parsed = Setting.parse(setting)
    assert block_parameters(parsed) == count
    assert 100 * deviation(parsed, 69_632) == pytest.approx(off, abs=0.005)


def test_the_solver_gives_the_papers_table_2() -> None:
    paper = read_paper("table2")
    for line in paper.to_dict("records"):
        solution = solve(line["cardinality"], REFERENCE)
        assert str(solution.setting) == line["setting"]
        assert solution.setting.width == line["width"]
        assert solution.setting.conv_width() == line["group_conv_width"]


def test_the_solver_at_twice_the_budget() -> None:
    assert [str(solve(c, REFERENCE, times=2).setting) for c in (1, 2, 64)] == [
        "1x99d",
        "2x64d",
        "64x4d",
    ]
    # Doubling C at the same d doubles Eq. (4) exactly.
    assert solve(2, REFERENCE, times=2).deviation == 0


@given(
    st.integers(1, 200),
    st.integers(1, 300),
    st.floats(0.1, 10),
    st.sampled_from([16, 32, 48, 64, 96]),
)
def test_no_other_width_is_nearer(c: int, d: int, times: float, base: int) -> None:
    budget = Setting(4, d)
    solution = solve(c, budget, times, base)
    target = block_parameters(budget) * times
    exact = 9 * solution.exact_width**2 + 512 * solution.exact_width
    assert c * exact == pytest.approx(target, rel=1e-9)
    width = solution.setting.width
    assert width * base % 64 == 0
    step = next(s for s in range(1, 65) if s * base % 64 == 0)
    for other in (width - step, width + step):
        if other > 0:
            assert abs(solution.deviation) <= abs(deviation(Setting(c, other), target)) + 1e-12


@pytest.mark.parametrize(
    ("c", "times"), [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -2.0), (1, float("nan"))]
)
def test_the_solver_refuses_what_has_no_solution(c: int, times: float) -> None:
    with pytest.raises(UserError):
        solve(c, REFERENCE, times)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"cardinality": "16"}, "cardinality '16': allowed is a whole number"),
        ({"budget": "1x64d"}, "budget '1x64d': allowed is Setting.parse"),
        ({"times": "2"}, "times '2': allowed is a positive number"),
        ({"times": True}, "times True: allowed is a positive number"),
        ({"times": 10**400}, "allowed is a positive number"),
        ({"times": math.nan}, "times nan: allowed is a positive number"),
        ({"times": 1e-9}, "parameters a block: allowed are 1 to 1e15"),
        ({"base": 64.0}, "base 64.0: allowed is a whole number"),
    ],
)
def test_the_solver_refuses_other_types(stated: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {"cardinality": 16, "budget": Setting(1, 64)}
    with pytest.raises(UserError, match=re.escape(words)):
        solve(**(usual | stated))


def test_numbers_of_other_libraries_count_as_pythons() -> None:
    # In 32 bits the multiply-adds would overflow; and 224.0 has the hash of 224.
    net = Architecture(Setting(32, 4), 50)
    for side in (np.int32(224), np.int64(224), np.uint8(224)):
        counted = complexity(net, side)  # type: ignore[arg-type]
        assert {type(count) for count in astuple(counted)} == {int}
        assert counted == complexity(net, 224) == complexity(net)
    assert complexity(net, 10**9).macs > 2**64
    assert type(solve(16, Setting(1, 64), np.float32(2)).deviation) is float  # type: ignore[arg-type]
    for other in (224.0, 224.5, math.nan, True, "224", (224, 224)):
        with pytest.raises(UserError, match=r"image size .*: allowed is a whole number"):
            complexity(net, other)  # type: ignore[arg-type]
    for what in ("32x4d", None, Setting(32, 4)):
        with pytest.raises(UserError, match=r"net .*: allowed is Architecture\("):
            by_stage(what)  # type: ignore[arg-type]


@given(st.integers(1, 64), st.integers(1, 64))
def test_equation_4_counts_the_weights_of_a_block(c: int, d: int) -> None:
    with torch.device("meta"):
        block = Bottleneck(256, c * d, 256, 1, c, residual=True)
    weights = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))
    assert block_parameters(Setting(c, d)) == weights


@pytest.mark.parametrize(
    ("setting", "params", "macs"), [("1x64d", 25.5, 4.1), ("32x4d", 25.0, 4.2)]
)
def test_whole_nets_against_the_papers_table_1(setting: str, params: float, macs: float) -> None:
    counts = complexity(Architecture(Setting.parse(setting), 50))
    assert counts.params / 1e6 == pytest.approx(params, abs=0.1)
    assert counts.macs / 1e9 == pytest.approx(macs, abs=0.05)


def test_whole_nets_against_the_papers_table_7() -> None:
    counts = {"8x64d": 34.4, "16x64d": 68.1}
    for setting, millions in counts.items():
        net = Architecture(Setting.parse(setting), 29, stem="cifar", classes=10)
        assert complexity(net).params / 1e6 == pytest.approx(millions, abs=0.06)


@cache  # tables share rows
def count(net: Architecture, side: int) -> tuple[int, dict[str, Complexity]]:
    """What torch counts: all parameters, and by top module parameters, MACs and activations.

    Works on torch's meta device, which computes shapes and no values.
    """
    with torch.device("meta"):
        model = ResNeXt(net).eval()
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])

        def hook(part: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
            def note(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
                if isinstance(module, nn.Conv2d):
                    macs = output.numel() * module.weight[0].numel()
                    totals[part][1] += macs
                    totals[part][2] += output.numel()
                elif isinstance(module, nn.Linear):
                    totals[part][1] += module.weight.numel()
                    totals[part][2] += output.numel()

            return note

        for name, module in model.named_modules():
            part = name.split(".")[0]
            module.register_forward_hook(hook(part))
            totals[part][0] += sum(p.numel() for p in module.parameters(recurse=False))
        model(torch.empty(1, 3, side, side))
    whole = sum(p.numel() for p in model.parameters())
    stages = {
        "conv1": ("conv1", "bn1"), "conv2": ("layer1",), "conv3": ("layer2",),
        "conv4": ("layer3",), "conv5": ("layer4",), "fc": ("fc",),
    }  # fmt: skip
    return whole, {
        stage: Complexity(*(sum(totals[part][i] for part in parts) for i in range(3)))
        for stage, parts in stages.items()
    }


def assert_counts_agree(net: Architecture, side: int) -> None:
    if net.depth > DEEPEST_BUILT:
        assert_counts_grow_evenly(net, side)
        return
    whole, stages = count(net, side)
    ours = by_stage(net, side)
    assert complexity(net, side).params == whole
    if net.block == "preactivation":
        return  # its batch norms stand in other modules than the convolutions before them
    for stage, counted in stages.items():
        assert ours.get(stage, Complexity(0, 0, 0)) == counted, (net, stage)


def assert_counts_grow_evenly(net: Architecture, side: int) -> None:
    """Hundreds of blocks take seconds to build: each costs what the second of its stage does."""
    layers_a_block = 2 if net.block == "basic" else 3
    one, two = (replace(net, depth=3 * layers_a_block * blocks + 2) for blocks in (1, 2))
    (_, first), (_, second) = count(one, side), count(two, side)
    more = net.blocks[0] - 1
    for stage, counted in by_stage(net, side).items():
        for column in ("params", "macs", "activations"):
            start, next_one = getattr(first[stage], column), getattr(second[stage], column)
            assert getattr(counted, column) == start + more * (next_one - start), (net, stage)


ABLATIONS = sorted(path.stem for path in (ROOT / "ablations").glob("*.yaml"))
# The nets of imagenette128 are imagenette's.
PROTOCOLS = sorted(path.stem for path in Path(ROOT / "ablations" / "protocols").glob("*.yaml"))
PROTOCOLS.remove("imagenette128")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("ablation", ABLATIONS)
def test_every_row_of_every_ablation_at_every_scale(ablation: str, protocol: str) -> None:
    try:
        plan = make_plan(ablation, protocol, Machine("cpu", "a CPU", 2, False))
    except OtherScaleError:
        return
    for entry in plan.entries:
        assert_counts_agree(entry.architecture, plan.protocol.data.side)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 8),
    st.sampled_from([(50, "imagenet"), (11, "cifar"), (20, "cifar-stride2")]),
    st.sampled_from([8, 16, 24, 64]),
    st.booleans(),
    st.integers(1, 70),
    st.integers(1, 20),
)
def test_any_net_at_any_size(
    c: int,
    paths: int,
    template: tuple[int, Stem],
    base: int,
    residual: bool,
    side: int,
    classes: int,
) -> None:
    depth, stem = template
    setting = Setting(c, 8 * paths)  # whole at every base drawn here
    assert_counts_agree(Architecture(setting, depth, stem, classes, base, residual), side)
