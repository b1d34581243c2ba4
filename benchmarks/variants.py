"""The same net, computed in other ways, for what each of them is worth."""

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.measure import Maker, Step
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine
from cardinality.nets.fast import FusedBatchNorm, Packed, Pointwise, faster, pack
from cardinality.nets.layers import Convolution, replace_layers
from cardinality.nets.network import ResNeXt
from cardinality.training.numerics import exact_float32

OURS = (Pointwise, Packed, FusedBatchNorm)


def variants(run: Run, machine: Machine) -> dict[str, Maker]:
    """Nets that compute the same in other ways."""

    def built(**changes: Any) -> Maker:
        return lambda: bare_step(run, **changes)

    common = {
        "as the suite": built(),
        "torch's layers": built(leave=OURS),
        "torch's, contiguous": built(leave=OURS, layout=torch.contiguous_format),
        "torch's, float32": built(leave=OURS, precision="float32"),
        # For these shapes alone, as a run has them; else the second net is compiled for any.
        "torch's, compiled": built(leave=OURS, change=partial(torch.compile, dynamic=False)),
    }
    if machine.device == "cpu":
        return common | {
            "without 1x1 as products": built(leave=(Pointwise,)),
            "without packs": built(leave=(Packed,)),
            "without fused batch norm": built(leave=(FusedBatchNorm,)),
        }
    return common | {
        "packs of 16": built(change=lambda net: packed(net, 16)),
        "packs of 32": built(change=lambda net: packed(net, 32)),
        "packs of 64": built(change=lambda net: packed(net, 64)),
        "1x1 as products": built(change=as_products),
        "captured graph": built(graph=True),
    }


def bare_step(
    run: Run,
    leave: tuple[type[nn.Module], ...] = (),
    layout: torch.memory_format = torch.channels_last,
    precision: str | None = None,
    change: Callable[[nn.Module], Any] | None = None,
    graph: bool = False,
) -> Step:
    """A training step on one batch at hand.

    Args:
        run: the net, its batch and numerics.
        leave: fast paths that are not taken.
        layout: of weights and images.
        precision: instead of the run's.
        change: what is done to the net before its first step.
        graph: capture the forward and the backward pass as CUDA graphs.
    """
    device = run.numerics.device
    mixed = (precision or run.numerics.precision) == "bfloat16"
    net: Any = ResNeXt(run.architecture).to(device).to(memory_format=layout)

    def taken(layer: nn.Module) -> nn.Module:
        fast = faster(layer, run.numerics)
        return layer if isinstance(fast, leave) else fast

    replace_layers(net, taken)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)
    images, labels = one_batch(run, layout)
    if change is not None:
        net = change(net)
    if graph:
        gc.collect()  # an older graph must not be freed while this one is captured
        # What is captured is what is replayed, so it is captured in the precision of the step.
        with torch.autocast(device, torch.bfloat16, enabled=mixed, cache_enabled=False):
            net = torch.cuda.make_graphed_callables(net, (images,))

    def step() -> None:
        exact_float32()
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits = net(images)
        cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def one_batch(run: Run, layout: torch.memory_format) -> tuple[Tensor, Tensor]:
    """Noise and labels on the device."""
    side, n = run.data.side, run.training.batch
    images = torch.randn(n, 3, side, side).to(run.numerics.device, memory_format=layout)
    return images, torch.arange(n, device=run.numerics.device) % run.data.classes


def packed(net: nn.Module, width: int) -> nn.Module:
    """Every grouped convolution packed to so many channels."""
    return _changed(net, lambda layer: pack(layer, width))


def as_products(net: nn.Module) -> nn.Module:
    """Every 1x1 convolution as a matrix product."""
    return _changed(net, lambda layer: Pointwise(layer) if layer.kernel_size == (1, 1) else layer)


def _changed(net: nn.Module, change: Callable[[Convolution], nn.Module]) -> nn.Module:
    replace_layers(net, lambda layer: change(layer) if type(layer) is Convolution else layer)
    return net
