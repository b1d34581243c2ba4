"""How strongly each 3x3 layer of a trained net responds: Fig. 7 of He et al. (CVPR 2016).

"The responses are the outputs of each 3x3 layer, after BN and before other nonlinearity
(ReLU/addition)"; shown is their standard deviation over images, channels and positions.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cardinality.common.errors import UserError
from cardinality.experiment.run import Numerics
from cardinality.nets.basic import BasicBlock
from cardinality.nets.network import Bottleneck, ResNeXt
from cardinality.training.numerics import forward


class Response(NamedTuple):
    """One 3x3 layer's.

    Attributes:
        layer: its place among the net's 3x3 layers, from 1 in forward order.
        name: of the convolution in the net.
        deviation: standard deviation of its output after batch norm.
    """

    layer: int
    name: str
    deviation: float


class _Moments:
    """Sum and sum of squares of all that a layer gives, in float64."""

    def __init__(self) -> None:
        self.count, self.first, self.second = 0, 0.0, 0.0

    def __call__(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        values = output.double()
        self.count += values.numel()
        self.first += float(values.sum())
        self.second += float(values.square().sum())

    @property
    def deviation(self) -> float:
        mean = self.first / self.count
        return max(0.0, self.second / self.count - mean**2) ** 0.5


def norms_of(net: ResNeXt) -> Iterator[tuple[str, nn.Module]]:
    """Every 3x3 convolution's name and the batch norm after it, in forward order.

    Raises:
        UserError: pre-activation, where a batch norm comes before the convolution.
    """
    if net.architecture.block == "preactivation":
        raise UserError("pre-activation: no batch norm follows a 3x3; allowed: the other blocks")
    if net.architecture.deep_stem:
        for place in (0, 3):
            yield f"conv1.{place}", net.get_submodule(f"conv1.{place + 1}")
    if net.architecture.deep_stem or net.architecture.stem != "imagenet":
        yield "conv1.6" if net.architecture.deep_stem else "conv1", net.bn1
    for name, module in net.named_modules():
        if isinstance(module, BasicBlock):
            yield f"{name}.conv1", module.bn1
            yield f"{name}.conv2", module.bn2
        elif isinstance(module, Bottleneck):
            yield f"{name}.conv2", module.bn2


@torch.no_grad()
def responses(net: ResNeXt, batches: Iterable[Tensor], numerics: Numerics) -> list[Response]:
    """The deviation of each 3x3 layer's output after batch norm, in forward order.

    Args:
        net: with torch's own layers, as `ResNeXt` builds them; in evaluation it stays.
        batches: normalised images (N, 3, H, W) on the net's device.
        numerics: in whose precision convolutions multiply.
    """
    net.eval()
    found = [(name, norm, _Moments()) for name, norm in norms_of(net)]
    handles = [norm.register_forward_hook(moments) for _, norm, moments in found]
    try:
        for images in batches:
            forward(net, images, numerics.precision)
    finally:
        for handle in handles:
            handle.remove()
    return [
        Response(place, name, moments.deviation)
        for place, (name, _, moments) in enumerate(found, start=1)
    ]
