"""What the tests of nets share: random weights that tell layers apart, and a net's whole answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cardinality.architecture.settings import Architecture
from cardinality.experiment.configuration import Ablation
from cardinality.experiment.reading import load
from tests.places import ROOT

# The paper's depth in each role, on ImageNet (Tables 3 and 4).
PAPER_DEPTHS = {"base": 50, "deep": 101, "double": 200, "residual": 50}
Net = TypeVar("Net", bound=nn.Module)


def on_meta(make: Callable[[], Net]) -> Net:
    """Build a net without memory for its weights: shapes and counts, no values."""
    with torch.device("meta"):
        return make()


def blank(make: Callable[[], Net]) -> Net:
    """Build a net in float64 whose weights are yet to be loaded."""
    return on_meta(make).double().to_empty(device="cpu")


@torch.no_grad()
def randomise(net: nn.Module) -> None:
    """Draw every weight, scale, shift and running average, so that no two layers are alike.

    Freshly initialised batch norms all are, and a net that takes one for another would pass.
    The draw is the same every time.
    """
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = (3 / module.weight[0].numel()) ** 0.5  # keeps the variance of the input
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.normal_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            assert module.num_batches_tracked is not None
            module.num_batches_tracked.zero_()


@torch.no_grad()
def forget(net: nn.Module) -> None:
    """Set every weight and buffer to zero."""
    for tensor in net.state_dict().values():
        tensor.zero_()


@dataclass(frozen=True)
class Answer:
    """A net's logits, and after a training step its gradients and buffers by name."""

    logits: Tensor
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


def images(count: int, side: int) -> Tensor:
    """Random images (count, 3, side, side) in float64."""
    generator = torch.Generator().manual_seed(count * side)
    return torch.randn(count, 3, side, side, dtype=torch.float64, generator=generator)


def train(net: nn.Module, batch: Tensor) -> Answer:
    """One forward and backward pass in training mode, under a loss that weights each logit."""
    return _answer(net.train(), batch)


def answer_evaluating(net: nn.Module, batch: Tensor) -> Answer:
    """The same in evaluation mode, which leaves the buffers as they are."""
    return _answer(net.eval(), batch)


def _answer(net: nn.Module, batch: Tensor) -> Answer:
    net.zero_grad()
    logits = net(batch)
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).reshape(logits.shape)
    (logits * weights).sum().backward()
    gradients = {}
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        gradients[name] = parameter.grad
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    return Answer(logits.detach(), gradients, buffers)


def evaluate(net: nn.Module, batch: Tensor) -> Tensor:
    """Logits in evaluation mode."""
    with torch.no_grad():
        return net.eval()(batch)


def count_parameters(net: nn.Module) -> int:
    """Torch's own count."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_macs(net: nn.Module, side: int) -> int:
    """Torch's own count for one image; it counts a multiply-add as two operations.

    Args:
        net: on the meta device.
        side: of the image, in pixels.
    """
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        net.eval()(torch.empty(1, 3, side, side, device="meta"))
    flops = int(counter.get_total_flops())
    assert flops % 2 == 0
    return flops // 2


def shapes(net: nn.Module) -> dict[str, torch.Size]:
    """Shape of every weight and buffer by name."""
    return {name: tensor.shape for name, tensor in net.state_dict().items()}


def assert_identical(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """The same names, and bit for bit the same tensors."""
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


def rows_at_the_papers_depths() -> list[Architecture]:
    """Every row that any ablation has at a role's depth, once, at the paper's; Table 2's, too."""
    nets: dict[Architecture, None] = {}
    for path in sorted((ROOT / "ablations").glob("*.yaml")):
        ablation = load(path, Ablation)
        for row in (row for row in ablation.rows if row.layers is None and not row.variant):
            for role in ablation.depths or (row.depth or "base",):
                net = Architecture(row.setting, PAPER_DEPTHS[role], residual=row.residual)
                nets[net] = None
    return list(nets)
