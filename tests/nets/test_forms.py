"""Forms (a) and (b) of Fig. 3 against the net's own (c): one function, one set of weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cardinality.architecture.settings import Setting
from cardinality.experiment.configuration import Ablation
from cardinality.experiment.reading import load
from cardinality.experiment.run import Numerics
from cardinality.nets.fast import use_fast_paths
from cardinality.nets.forms import Form, SplitBottleneck, as_form_c, convert, join, split
from cardinality.nets.ghost import use_ghost_batch_norm
from cardinality.nets.network import Bottleneck, ResNeXt, build
from tests.comparison import (
    Answer,
    blank,
    count_macs,
    count_parameters,
    evaluate,
    images,
    on_meta,
    randomise,
    train,
)
from tests.places import ROOT

FORMS: list[Form] = ["a", "b"]
SETTINGS = sorted(
    {
        row.setting
        for path in (ROOT / "ablations").glob("*.yaml")
        for row in load(path, Ablation).rows
    }
)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference as a fraction of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def assert_forms_agree(net: ResNeXt, form: Form, batch: Tensor) -> None:
    """Outputs in both modes, gradients and running averages, to 1e-9 of the largest value."""
    other = convert(net, form)
    assert not any(isinstance(module, Bottleneck) for module in other.modules())
    assert relative(evaluate(other, batch), evaluate(net, batch)) < 1e-9
    expected, answer = train(net, batch), train(other, batch)
    answer = Answer(
        answer.logits, as_form_c(other, answer.gradients), as_form_c(other, answer.buffers)
    )
    assert relative(answer.logits, expected.logits) < 1e-9
    for ours, theirs in (
        (answer.gradients, expected.gradients),
        (answer.buffers, expected.buffers),
    ):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name].shape == theirs[name].shape
            assert relative(ours[name].double(), theirs[name].double()) < 1e-9, name
    # A step of training later as well: what was learned is one function, too.
    assert relative(evaluate(other, batch), evaluate(net, batch)) < 1e-9


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_every_setting_of_the_ablations(setting: Setting, form: Form) -> None:
    net = blank(lambda: build(setting, 11, "cifar-stride2", classes=10))
    randomise(net)
    assert_forms_agree(net, form, images(2, 16))


@pytest.mark.parametrize("form", FORMS)
def test_resnext50(form: Form) -> None:
    net = blank(lambda: build("32x4d", 50))
    randomise(net)
    assert_forms_agree(net, form, images(2, 64))


@given(
    st.integers(1, 7), st.integers(1, 7), st.booleans(), st.sampled_from(FORMS), st.integers(9, 20)
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_setting(cardinality: int, width: int, residual: bool, form: Form, side: int) -> None:
    setting = Setting(cardinality, 8 * width)
    net = blank(lambda: build(setting, 11, "cifar", 5, base=8, residual=residual))
    randomise(net)
    assert_forms_agree(net, form, images(3, side))


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(FORMS))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_join_undoes_split(cardinality: int, width: int, form: Form) -> None:
    block = Bottleneck(12, cardinality * width, 20, 2, cardinality, residual=True)
    randomise(block)
    state = dict(block.state_dict())
    parts = split(state, cardinality, form)
    converted = SplitBottleneck(block, form)
    assert parts.keys() == converted.state_dict().keys()
    back = join(converted.state_dict())
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_paths_come_in_the_order_of_the_groups() -> None:
    """Path i has the i-th d channels of every layer, also beyond path 9 (10 sorts before 2)."""
    block = Bottleneck(8, 24, 8, 1, 12, residual=True)
    converted = SplitBottleneck(block, "a")
    for i, path in enumerate(converted.paths):
        channels = slice(2 * i, 2 * i + 2)
        weights = path.get_parameter("conv2.weight"), path.get_parameter("conv3.weight")
        assert torch.equal(weights[0], block.conv2.weight[channels])
        assert torch.equal(weights[1], block.conv3.weight[:, channels])


@pytest.mark.parametrize("form", FORMS)
def test_complexity_is_the_same(form: Form) -> None:
    """Eq. (4) counts one block, whichever form it has."""
    net = on_meta(lambda: build("8x14d", 50))
    other = convert(net, form)
    assert count_parameters(other) == count_parameters(net)
    assert count_macs(other, 64) == count_macs(net, 64)


def test_conversion_copies() -> None:
    """The copy has its own weights and the mode, precision and shortcuts of the net."""
    net = build("2x40d", 11, "cifar", classes=3).double().eval()
    other = convert(net, "b")
    assert not other.training
    assert all(not module.training for module in other.modules())
    assert all(parameter.dtype == torch.float64 for parameter in other.parameters())
    mine = {parameter.data_ptr() for parameter in net.parameters()}
    assert not mine & {parameter.data_ptr() for parameter in other.parameters()}
    assert isinstance(net.layer1, nn.Sequential)
    assert isinstance(net.layer1[0], Bottleneck)


def test_only_bottlenecks_have_forms() -> None:
    net = build("1x64d", 11, "cifar", block="preactivation")
    with pytest.raises(ValueError, match="PreactivationBottleneck"):
        convert(net, "a")


def test_what_a_block_has_besides_is_refused_in_words() -> None:
    """It would be lost, or stop with whatever torch says of it."""
    with pytest.raises(ValueError, match=r"^squeeze: a block with squeeze-and-excitation"):
        convert(build("2x8d", 11, "cifar", 10, squeeze=True), "a")
    grouped = build("2x8d", 11, "cifar", 10)
    use_ghost_batch_norm(grouped, 16)
    with pytest.raises(ValueError, match=r"^bn1: is a GhostBatchNorm2d"):
        convert(grouped, "b")
    faster = build("2x8d", 11, "cifar", 10)
    use_fast_paths(faster, Numerics("cpu", "float32", threads=1))
    with pytest.raises(ValueError, match=r"^conv1: is a Pointwise"):
        convert(faster, "a")
