"""Layer responses against the deviation of tensors that are looked at one by one."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cardinality.architecture.names import Options
from cardinality.common.errors import UserError
from cardinality.evaluation.responses import responses
from cardinality.experiment.run import Numerics
from cardinality.nets.network import build
from tests.comparison import images, randomise

PLAIN = Numerics("cpu", "float32", 1)
NETS: dict[str, tuple[str, int, Options, int]] = {
    "plain": ("1x64d", 8, {"block": "basic", "residual": False}, 7),
    "padded": ("1x64d", 14, {"block": "basic", "shortcut": "A"}, 13),
    "bottlenecks": ("4x16d", 11, {}, 4),
    "deep stem": ("4x16d", 11, {"deep_stem": True}, 6),
}


@pytest.mark.parametrize("kind", NETS)
def test_deviations_are_those_of_the_outputs_themselves(kind: str) -> None:
    setting, depth, options, count = NETS[kind]
    net = build(setting, depth, "cifar", 5, 16, **options)
    randomise(net)
    net.eval()
    batch = images(6, 16).float()
    found = responses(net, batch.split(4), PLAIN)
    assert [each.layer for each in found] == list(range(1, count + 1))
    # A second way: every batch norm's output is kept whole, and the 3x3 are found by their kernel.
    kept: list[Tensor] = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            parent, _, own = name.rpartition(".")
            place = f"bn{own[4:]}" if own.startswith("conv") else str(int(own) + 1)
            after = "bn1" if name in ("conv1", "conv1.6") else f"{parent}.{place}".lstrip(".")
            hook = kept.append
            net.get_submodule(after).register_forward_hook(
                lambda _module, _inputs, output, keep=hook: keep(output.double().clone())
            )
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        net(batch)
    assert len(kept) == count
    for each, output in zip(found, kept, strict=True):
        assert each.deviation == pytest.approx(float(output.std(correction=0)), rel=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_preactivation_has_none() -> None:
    net = build("4x16d", 11, "cifar", 5, 16, block="preactivation")
    with pytest.raises(UserError, match="pre-activation"):
        responses(net, [images(1, 16).float()], PLAIN)
