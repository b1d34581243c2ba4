"""The fast paths compute what torch's layers compute, and are taken by rule."""

import copy
from statistics import median
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import batch_norm, cross_entropy

from cardinality.architecture.names import Options
from cardinality.architecture.settings import Block
from cardinality.experiment.run import Numerics
from cardinality.host.machine import detect
from cardinality.nets.fast import (
    FusedBatchNorm,
    Packed,
    Pointwise,
    count_packs,
    faster,
    use_fast_paths,
)
from cardinality.nets.ghost import GhostBatchNorm2d
from cardinality.nets.layers import Convolution, activate
from cardinality.nets.network import ResNeXt, build

needs_kernel = pytest.mark.skipif(
    not detect("cpu").kernel, reason="batch_norm.cpp was not built: no C++ compiler"
)
BFLOAT16 = Numerics("cpu", "bfloat16", 1, fused=True)
FLOAT32 = Numerics("cpu", "float32", 1, fused=True)
UNFUSED = Numerics("cpu", "bfloat16", 2, fused=False)


def pair(
    setting: str, numerics: Numerics, dtype: torch.dtype, block: Block, residual: bool
) -> tuple[ResNeXt, ResNeXt]:
    """A net and its fast copy, with the same weights."""
    torch.manual_seed(0)
    net = build(setting, 20, "cifar", 10, base=32, residual=residual, block=block).to(dtype)
    net = net.to(memory_format=torch.channels_last)
    fast = copy.deepcopy(net)
    use_fast_paths(fast, numerics)
    return net, fast


def batch(step: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(6, 3, 12, 12, generator=generator, dtype=dtype)
    return images, torch.randint(0, 10, (6,), generator=generator)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-300))


NETS: list[tuple[str, Block, bool]] = [
    ("1x64d", "original", True),
    ("8x14d", "original", True),
    ("32x4d", "original", True),
    ("32x4d", "original", False),
    ("4x24d", "preactivation", True),
]


@pytest.mark.parametrize(
    "numerics",
    [
        pytest.param(BFLOAT16, id="bfloat16", marks=needs_kernel),
        pytest.param(FLOAT32, id="float32", marks=needs_kernel),
        pytest.param(UNFUSED, id="torch's batch norm"),
    ],
)
@pytest.mark.parametrize(("setting", "block", "residual"), NETS)
def test_twenty_steps_in_float64_are_the_plain_nets(
    setting: str, block: Block, residual: bool, numerics: Numerics
) -> None:
    assert_twenty_steps_agree(pair(setting, numerics, torch.float64, block, residual))


VARIANTS: list[tuple[str, Options]] = [
    ("1x64d", {"block": "basic", "shortcut": "A"}),
    ("1x64d", {"block": "basic", "residual": False}),
    ("4x24d", {"shortcut": "A", "deep_stem": True, "squeeze": True}),
    ("4x24d", {"shortcut": "C", "pooled_projection": True}),
    ("1x64d", {"squeeze": True, "residual": False}),
]


@needs_kernel
@pytest.mark.parametrize(("setting", "options"), VARIANTS)
def test_what_the_paper_does_not_have_takes_the_fast_paths_too(
    setting: str, options: Options
) -> None:
    torch.manual_seed(0)
    depth = 14 if options.get("block") == "basic" else 11
    net = build(setting, depth, "cifar", 10, base=32, **options).double()
    fast = copy.deepcopy(net)
    use_fast_paths(fast, BFLOAT16)
    assert_twenty_steps_agree((net, fast))


def assert_twenty_steps_agree(nets: tuple[ResNeXt, ResNeXt]) -> None:
    """Weights and running averages after twenty steps, and the logits of the nets evaluated."""
    for net in nets:
        # At five times the rate 1e-15 grows to 1e-2, whatever it comes from.
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True)
        for step in range(20):
            images, labels = batch(step, torch.float64)
            optimizer.zero_grad()
            cross_entropy(net(images), labels).backward()
            optimizer.step()
    expected = nets[0].state_dict()
    answer = nets[1].state_dict()
    assert list(answer) == list(expected)
    for name, tensor in expected.items():
        assert relative(answer[name], tensor) < 1e-8, name
    for net in nets:
        net.eval()
    images, _ = batch(99, torch.float64)
    with torch.no_grad():
        assert relative(nets[1](images), nets[0](images)) < 1e-8


@needs_kernel
@pytest.mark.parametrize(("setting", "block", "residual"), NETS)
def test_a_step_in_float32_is_the_plain_nets(setting: str, block: Block, residual: bool) -> None:
    """The median of some batches: where a ReLU's input is 0 to rounding, gradients may differ."""
    nets = pair(setting, FLOAT32, torch.float32, block, residual)
    worst = []
    for step in range(7):
        images, labels = batch(step, torch.float32)
        answers = []
        for net in nets:
            logits = net(images[:4, :, :8, :8])
            loss = cross_entropy(logits, labels[:4])
            answers.append((logits.detach(), *torch.autograd.grad(loss, list(net.parameters()))))
        worst.append(max(relative(b, a) for a, b in zip(*answers, strict=True)))
    assert median(worst) < 1e-4


@pytest.mark.parametrize(
    "numerics", [pytest.param(BFLOAT16, marks=needs_kernel, id="fused"), UNFUSED], ids=str
)
@pytest.mark.parametrize(("setting", "block", "residual"), NETS)
def test_a_step_in_bfloat16_is_no_further_from_exact(
    setting: str, block: Block, residual: bool, numerics: Numerics
) -> None:
    """As it is trained: under autocast, gradients against those in float64, all as one vector."""
    plain, fast = pair(setting, numerics, torch.float32, block, residual)
    exact = copy.deepcopy(plain).double()
    images, labels = batch(0, torch.float32)
    gradients = {}
    for name, net in (("plain", plain), ("fast", fast), ("exact", exact)):
        with torch.autocast("cpu", torch.bfloat16, enabled=name != "exact"):
            logits = net(images.double() if name == "exact" else images)
        loss = cross_entropy(logits.double(), labels)
        found = torch.autograd.grad(loss, list(net.parameters()))
        gradients[name] = torch.cat([gradient.flatten().double() for gradient in found])
    distance = {
        name: float((gradients[name] - gradients["exact"]).norm() / gradients["exact"].norm())
        for name in ("plain", "fast")
    }
    assert distance["fast"] < 1.5 * distance["plain"]


@pytest.mark.parametrize(
    "numerics", [pytest.param(BFLOAT16, marks=needs_kernel, id="fused"), UNFUSED], ids=str
)
def test_what_is_handed_to_backward_is_left_alone(numerics: Numerics) -> None:
    _, fast = pair("32x4d", numerics, torch.float64, "original", residual=True)
    x = torch.randn(2, 32, 6, 6, dtype=torch.float64, requires_grad=True)
    y = fast.layer1(x.contiguous(memory_format=torch.channels_last))
    gradient = torch.randn_like(y)
    before = gradient.clone()
    torch.autograd.grad(y, x, gradient)
    assert torch.equal(gradient, before)


# --- batch norm --------------------------------------------------------------------------------


def exact(x: Tensor, shortcut: Tensor | None, layer: nn.BatchNorm2d, g: Tensor) -> list[Tensor]:
    """Output and gradients of batch norm, sum and ReLU in float64, written out."""
    inputs = [x, layer.weight, layer.bias] + ([] if shortcut is None else [shortcut])
    leaves = [tensor.detach().double().requires_grad_() for tensor in inputs]
    y = batch_norm(leaves[0], None, None, leaves[1], leaves[2], training=True, eps=layer.eps)
    y = (y if shortcut is None else y + leaves[3]).relu()
    return [y.detach(), *torch.autograd.grad(y, leaves, g.double())]


def computed(x: Tensor, shortcut: Tensor | None, layer: nn.BatchNorm2d, g: Tensor) -> list[Tensor]:
    """The same as a layer computes it."""
    inputs = [x] if shortcut is None else [x, shortcut]
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    y = activate(layer, *leaves)
    by = (leaves[0], layer.weight, layer.bias, *leaves[1:])
    return [y.detach(), *torch.autograd.grad(y, by, g)]


@needs_kernel
@settings(max_examples=60, deadline=None, derandomize=True)  # a ReLU at 0 to rounding is rare
@given(
    shape=st.tuples(*(st.integers(1, high) for high in (5, 100, 7, 7))).filter(
        lambda shape: shape[0] * shape[2] * shape[3] >= 8
    ),
    dtype=st.sampled_from([torch.bfloat16, torch.float32, torch.float64]),
    add=st.booleans(),
    channels_last=st.booleans(),
    offset=st.sampled_from([0.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_fused_batch_norm_is_as_near_to_exact_as_torchs(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    add: bool,
    channels_last: bool,
    offset: float,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    x, shortcut, g = ((torch.randn(shape) + shift).to(dtype) for shift in (offset, 0, 0))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    layer = nn.BatchNorm2d(shape[1]).to(torch.float64 if dtype == torch.float64 else torch.float32)
    nn.init.uniform_(layer.weight, 0.5, 2)
    nn.init.normal_(layer.bias)
    fused = FusedBatchNorm(copy.deepcopy(layer))
    added = shortcut if add else None
    truth = exact(x, added, layer, g)
    ours, theirs = computed(x, added, fused, g), computed(x, added, layer, g)
    unit = {torch.bfloat16: 2**-8, torch.float32: 2**-20, torch.float64: 2**-45}[dtype]
    for a, b, c in zip(ours, theirs, truth, strict=True):
        scale = float(c.abs().max()) + 1e-12
        worst_of_torch = float((b.double() - c).abs().max()) / scale
        worst = float((a.double() - c).abs().max()) / scale
        assert worst <= max(4 * worst_of_torch, 4 * unit)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(fused, name), getattr(layer, name), rtol=1e-4, atol=1e-4)
    assert fused.num_batches_tracked == layer.num_batches_tracked == 1


@needs_kernel
@pytest.mark.parametrize("images", [1, 2, 3, 7])
@pytest.mark.parametrize("add", [True, False])
def test_groups_of_images_are_normalised_by_themselves(images: int, add: bool) -> None:
    torch.manual_seed(0)
    x, shortcut, g = (torch.randn(7, 5, 3, 4, dtype=torch.float64) for _ in range(3))
    layer = GhostBatchNorm2d(5, images).double()
    fused = FusedBatchNorm(copy.deepcopy(layer))
    added = shortcut if add else None
    for a, b in zip(computed(x, added, fused, g), computed(x, added, layer, g), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(fused.running_mean, layer.running_mean)
    torch.testing.assert_close(fused.running_var, layer.running_var)


@needs_kernel
def test_what_is_not_a_number_stays_so() -> None:
    fused = FusedBatchNorm(nn.BatchNorm2d(3))
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(2, 3, 4, 4).to(dtype)
        x[0, 1, 0, 0] = torch.nan
        assert fused.activate(x)[:, 1].isnan().all()
        assert fused.activate(x)[:, 0].isfinite().all()


@needs_kernel
def test_batch_norm_of_one_value_a_channel_is_refused() -> None:
    fused = FusedBatchNorm(nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match="more than one value"):
        fused(torch.randn(1, 3, 1, 1))
    fused.eval()
    with torch.no_grad():
        assert fused(torch.randn(1, 3, 1, 1)).shape == (1, 3, 1, 1)


@needs_kernel
def test_what_the_kernel_cannot_take_is_refused() -> None:
    fused = FusedBatchNorm(nn.BatchNorm2d(3))
    x = torch.randn(2, 3, 4, 4)
    with pytest.raises(TypeError, match="float16"):
        fused(x.half())
    with pytest.raises(TypeError, match="float64"):
        fused(x.double())
    with pytest.raises(TypeError, match="cannot add"):
        fused.activate(x, x[:1])
    for wrong in (torch.randn(2, 4, 4, 4), torch.randn(2, 3, 4), x[:0], x.to("meta")):
        with pytest.raises(TypeError, match="H, W"):
            fused(wrong)
    with pytest.raises(ValueError, match="running averages"):
        FusedBatchNorm(nn.BatchNorm2d(3, track_running_stats=False))


# --- convolutions ------------------------------------------------------------------------------


@given(st.integers(1, 64), st.integers(1, 40), st.integers(1, 64))
def test_packs_share_the_groups_evenly_and_are_as_wide_as_fits(
    groups: int, width: int, wanted: int
) -> None:
    packs = count_packs(groups, width, wanted)
    assert groups % packs == 0
    each = groups // packs
    assert each == 1 or each * width <= wanted
    wider = [n for n in range(each + 1, groups + 1) if groups % n == 0]
    assert all(n * width > wanted for n in wider)


Kind = Literal["Packed", "Pointwise", "Convolution"]


@pytest.mark.parametrize(
    ("numerics", "layer", "kind", "packs"),
    [
        (BFLOAT16, Convolution(64, 256, 1), "Pointwise", None),
        (BFLOAT16, Convolution(256, 512, 1, stride=2), "Pointwise", None),
        (BFLOAT16, Convolution(64, 64, 3), "Convolution", None),
        (BFLOAT16, Convolution(128, 128, 3, groups=32), "Packed", 8),
        (BFLOAT16, Convolution(256, 256, 3, 2, groups=32), "Packed", 8),
        (BFLOAT16, Convolution(112, 112, 3, groups=8), "Convolution", None),
        (FLOAT32, Convolution(128, 128, 3, groups=32), "Packed", 8),
        (FLOAT32, Convolution(256, 256, 3, 2, groups=32), "Convolution", None),
        (Numerics("cuda", "bfloat16", 1), Convolution(128, 128, 3, groups=32), "Convolution", None),
        (Numerics("cuda", "bfloat16", 1), Convolution(64, 256, 1), "Convolution", None),
    ],
)
def test_the_rule_says_which_convolution_is_replaced(
    numerics: Numerics, layer: nn.Conv2d, kind: Kind, packs: int | None
) -> None:
    fast = faster(layer, numerics)
    assert type(fast).__name__ == kind
    assert fast.weight is layer.weight  # the parameter itself, and nothing else is learned
    assert len(list(fast.parameters())) == 1
    assert packs == (fast.packs if isinstance(fast, Packed) else None)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [5, 8])
def test_convolutions_have_the_shapes_of_what_they_replace(stride: int, side: int) -> None:
    x = torch.randn(2, 64, side, side, dtype=torch.float64)
    for layer in (Convolution(64, 96, 1, stride), Convolution(64, 64, 3, stride, groups=32)):
        fast = faster(layer.double(), BFLOAT16)
        assert isinstance(fast, (Pointwise, Packed))
        torch.testing.assert_close(fast(x), layer(x))


def test_without_the_kernel_batch_norm_stays_torchs() -> None:
    layer = nn.BatchNorm2d(4)
    assert faster(layer, Numerics("cpu", "bfloat16", 1, fused=False)) is layer
