"""The usual mistakes, built on purpose, and which measurement tells each from the right net.

docs/counts.md shows the lines that are computed here to a reader whose count is another.
"""

import copy
from dataclasses import dataclass, replace
from functools import cache
from statistics import median

import pytest
import torch
from torch import nn

from cardinality.architecture.complexity import block_parameters, complexity, layers
from cardinality.architecture.settings import IMAGENET_BLOCKS, Architecture, Setting, Stem
from cardinality.nets.forms import as_form_c
from cardinality.nets.layers import Convolution
from cardinality.nets.network import ResNeXt, build
from tests.comparison import (
    count_macs,
    count_parameters,
    images,
    on_meta,
    rows_at_the_papers_depths,
    shapes,
    train,
)
from tests.nets import wrong_nets as wrong
from tests.places import ROOT

PAGE = (ROOT / "docs" / "counts.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Case:
    """A mistake at a setting, and what of the four measurements shows it there."""

    title: str
    mistake: wrong.Mistake
    setting: str
    shown_by: str  # of "params macs shapes variance"
    depth: int = 50
    stem: Stem = "imagenet"
    classes: int = 1000

    @property
    def architecture(self) -> Architecture:
        setting = Setting.parse(self.setting)
        return Architecture(setting, self.depth, self.stem, self.classes)


ALL = "params macs shapes"
CIFAR: tuple[int, Stem, int] = (29, "cifar", 10)
CASES = [
    Case("groups on the first 1x1, too", wrong.groups_on_the_first_1x1, "32x4d", ALL),
    Case("groups on the first 1x1, too", wrong.groups_on_the_first_1x1, "1x64d", ""),
    Case("block output of 2 C d", wrong.output_of_twice_c_d, "8x64d", f"{ALL} variance", *CIFAR),
    Case("block output of 2 C d", wrong.output_of_twice_c_d, "32x4d", "", *CIFAR),
    Case("block output of 2 C d", wrong.output_of_twice_c_d, "2x64d", "", *CIFAR),
    Case("C and d swapped", wrong.c_and_d_swapped, "64x4d", ALL, 101),
    Case("C and d swapped", wrong.c_and_d_swapped, "32x4d", ALL),
    Case("C and d swapped", wrong.c_and_d_swapped, "8x8d", ""),
    Case("stride in the first 1x1", wrong.stride_in_the_first_1x1, "1x64d", "macs"),
    Case("stride in the first 1x1", wrong.stride_in_the_first_1x1, "32x4d", "macs"),
    Case("last scale of a block at 0", wrong.last_scale_at_zero, "32x4d", "variance"),
    Case("paths drawn by themselves", wrong.paths_drawn_by_themselves, "32x4d", "variance", *CIFAR),
    Case("paths drawn by themselves", wrong.paths_drawn_by_themselves, "2x40d", "variance"),
    Case("biases in the convolutions", wrong.biases_in_convolutions, "32x4d", "params shapes"),
    Case("no projections (type A)", wrong.without_projection, "1x64d", ALL),
    Case("projections without batch norm", wrong.bare_projections, "1x64d", "params shapes"),
    Case("projections everywhere (type C)", wrong.projections_everywhere, "1x64d", ALL),
]


@dataclass(frozen=True)
class Measured:
    """Four measurements of a net; the variance by layer is relative to the authors'."""

    params: int
    macs: int
    shapes: dict[str, torch.Size]
    variance: dict[str, float]


def measure(net: nn.Module, architecture: Architecture) -> Measured:
    """Measure a freshly initialised net that is meant to be of an architecture.

    The variance of a convolution is that of its weights as a multiple of 2 / (k k outputs), with
    the outputs that the layer should have; that of a batch norm is the square of its scale.
    """
    state = as_form_c(net, net.state_dict())
    variance = {}
    for layer in layers(architecture):
        weight = state.get(f"{layer.name}.weight")
        if weight is not None and layer.stage != "fc":
            expected = 2 / (layer.kernel**2 * layer.out_channels)
            variance[layer.name] = weight.var().item() / expected
    for name, tensor in state.items():
        if tensor.ndim == 1 and name.endswith("weight"):
            variance[name] = tensor.square().mean().item()
    macs = count_macs(copy.deepcopy(net).to("meta"), architecture.image_size)
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return Measured(count_parameters(net), macs, shapes, variance)


def unusual(variance: dict[str, float]) -> list[float]:
    """The variances that are not the authors'; chance moves the smallest layer's by a 30th."""
    return [ratio for ratio in variance.values() if not 0.8 < ratio < 1.25]


def line(case: Case, measured: Measured) -> str:
    """A case as a line of the table in docs/counts.md."""
    architecture = case.architecture
    right, right_shapes = complexity(architecture), right_net_shapes(architecture)
    odd = unusual(measured.variance)
    cells = [
        case.title,
        f"{case.setting}, depth {case.depth}, {case.classes} classes",
        _instead(measured.params, right.params),
        _instead(measured.macs, right.macs),
        "same" if measured.shapes == right_shapes else "others",
        f"times {float(f'{median(odd):.2g}'):g}" if odd else "same",
    ]
    return f"| {' | '.join(cells)} |"


def _instead(wrong: int, right: int) -> str:
    return "same" if wrong == right else f"{wrong:,} for {right:,}"


@cache
def right_net_shapes(architecture: Architecture) -> dict[str, torch.Size]:
    return shapes(on_meta(lambda: ResNeXt(architecture)))


def shown_by(case: Case, measured: Measured) -> set[str]:
    """The measurements that differ from the right net's."""
    right = complexity(case.architecture)
    differs = {
        "params": measured.params != right.params,
        "macs": measured.macs != right.macs,
        "shapes": measured.shapes != right_net_shapes(case.architecture),
        "variance": bool(unusual(measured.variance)),
    }
    return {name for name, differing in differs.items() if differing}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.title}-{case.setting}")
def test_mistake_is_shown_and_documented(case: Case) -> None:
    torch.manual_seed(0)
    measured = measure(case.mistake(case.architecture), case.architecture)
    assert shown_by(case, measured) == set(case.shown_by.split())
    assert line(case, measured) in PAGE.splitlines()


@pytest.mark.parametrize("setting", ["1x64d", "32x4d"])
def test_the_right_net_shows_nothing(setting: str) -> None:
    """The same measurements of the net as it is."""
    torch.manual_seed(0)
    case = Case("right", ResNeXt, setting, "")
    assert shown_by(case, measure(ResNeXt(case.architecture), case.architecture)) == set()


def test_every_mistake_is_shown_somewhere() -> None:
    """And each measurement is needed: it alone shows one of them."""
    shown: dict[wrong.Mistake, set[str]] = {}
    for case in CASES:
        shown.setdefault(case.mistake, set()).update(case.shown_by.split())
    assert all(shown.values())
    assert {"macs"} in shown.values()
    assert {"variance"} in shown.values()


def test_no_line_of_the_page_is_stale() -> None:
    """The page's table has the cases above and no others."""
    table = [text for text in PAGE.splitlines() if text.startswith("|") and ", depth " in text]
    assert len(table) == len(CASES)


def parameters(make: wrong.Mistake, architecture: Architecture) -> int:
    return count_parameters(on_meta(lambda: make(architecture)))


def test_numbers_of_public_mistakes() -> None:
    """What was reported: 14.79 million for 23.18, and 89.6 for 34.4."""
    # A net for CIFAR-100 with the stages of ImageNet behind a 3x3 stem.
    hundred, stems = Architecture(Setting(32, 4), 50, classes=100), (49 - 9) * 3 * 64
    eight = Architecture(Setting(8, 64), 29, "cifar", 10)
    for wrong_count, right_count, digits, reported in (
        (
            parameters(wrong.groups_on_the_first_1x1, hundred) - stems,
            parameters(ResNeXt, hundred) - stems,
            2,
            (14.79, 23.18),
        ),
        (parameters(wrong.output_of_twice_c_d, eight), parameters(ResNeXt, eight), 1, (89.6, 34.4)),
    ):
        assert (round(wrong_count / 1e6, digits), round(right_count / 1e6, digits)) == reported
        assert all(f"{millions} million" in PAGE for millions in reported)


def test_numbers_in_the_text() -> None:
    stems = count_parameters(Convolution(3, 64, 3)) - count_parameters(Convolution(3, 64, 1))
    assert f"another {stems:,} parameters less" in PAGE
    for depth in IMAGENET_BLOCKS:
        original = Architecture(Setting(1, 64), depth)
        for other in (replace(original, block="preactivation"), None):
            make = ResNeXt if other else wrong.bare_projections
            saved = complexity(original).params - parameters(make, other or original)
            assert f"{saved:,} parameters less" in PAGE
            assert f"**{saved:,} less**" in PAGE


def conventions() -> dict[str, int]:
    """ResNeXt-50 (32x4d) as others count it."""
    net = on_meta(lambda: build("32x4d", 50))
    hundred = on_meta(lambda: build("32x4d", 50, classes=100))
    weights = [weight.numel() for weight in net.parameters() if weight.ndim > 1]
    return {
        "parameters, as here": count_parameters(net),
        "weights alone, without batch norm and bias": sum(weights),
        "everything in the `state_dict`": sum(w.numel() for w in net.state_dict().values()),
        "parameters for 100 classes": count_parameters(hundred),
        "multiply-adds, as here": count_macs(net, 224),
        "multiplications and additions": 2 * count_macs(net, 224),
        "multiply-adds at 256 pixels": count_macs(net, 256),
    }


def test_conventions_are_documented() -> None:
    for convention, count in conventions().items():
        assert f"| {convention} | {count:,} |" in PAGE.splitlines()


def test_right_counts_are_documented() -> None:
    lines = PAGE.splitlines()
    # Tables 3 and 4: Table 7 and Fig. 7 are of CIFAR nets.
    for net in rows_at_the_papers_depths():
        matched = abs(block_parameters(net.setting) / 69_632 - 1) < 0.03 or net.depth > 50
        if net.residual and matched:
            count = complexity(net)
            assert f"| {net.setting} | {net.depth} | {count.params:,} | {count.macs:,} |" in lines


def test_zero_scale_without_shortcuts_is_a_constant_net() -> None:
    """At the start every image gets the same logits, and no convolution has a gradient."""
    architecture = Architecture(Setting(4, 16), 11, "cifar", 10, residual=False)
    for make, constant in ((wrong.last_scale_at_zero, True), (ResNeXt, False)):
        torch.manual_seed(0)
        answer = train(make(architecture).double(), images(4, 16))
        assert (answer.logits.std(0).max() == 0) == constant
        gradients = [g.abs().max() for name, g in answer.gradients.items() if "conv" in name]
        assert (max(gradients) == 0) == constant
