"""Checks of a machine before hours are spent on it."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import requires, version
from pathlib import Path

import torch
from packaging.requirements import Requirement
from torch import nn

from cardinality.architecture.complexity import Layer, layers
from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.data.images import Images, ImageSet
from cardinality.data.loaders import fitting, largest_batch
from cardinality.data.store import prepare
from cardinality.execution import beforehand
from cardinality.experiment.configuration import Protocol, Steps
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host import limits
from cardinality.host.machine import Machine
from cardinality.host.processes import check_sockets
from cardinality.nets.fast import faster
from cardinality.nets.layers import Convolution
from cardinality.report.published import read_paper
from cardinality.training.numerics import exact_float32
from cardinality.training.trainer import Trainer
from cardinality.training.weights import weights_checksum

# How far a grouped convolution may lie from float64, as the norm of the difference relative to
# the norm of the result: some tens of units in the last place of each precision's operands.
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
CHECKED_BATCH = 8


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    passed: bool
    detail: str


def examine(plans: list[Plan], machine: Machine, results: Path) -> Iterator[Finding]:
    """Every check, one after the other; one that cannot be made has failed.

    Args:
        plans: the ablations that are to be run, at their protocol.
        machine: where.
        results: the folder that records will be written to.
    """
    runs = [run for plan in plans for run in plan.runs()]
    # The cheapest first: what a user must mend is said before minutes are spent on sums.
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("device", lambda: device(machine, runs[0])),
        ("writable", lambda: writable(results)),
        ("sockets", sockets),
        ("paper", lambda: paper(plans)),
        ("disk", lambda: free_disk(runs, results)),
        ("shared memory", lambda: shared_memory(plans[0].protocol)),
        ("data", lambda: data(plans[0].protocol)),
        *(
            (f"convolution {setting}", partial(grouped_convolution, setting, shapes, runs[0]))
            for setting, shapes in convolutions(runs).items()
        ),
        ("same bits twice", lambda: determinism(runs)),
    ]
    yield from versions()
    for name, check in checks:
        try:
            found = check()
            yield replace(found, detail=line(found.detail, 300))
        except Exception as error:  # a missing GPU, too little memory, a library that is broken
            first = (str(error).strip().splitlines() or [""])[0]
            told = first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
            yield Finding(name, False, line(told, 200))


def versions() -> Iterator[Finding]:
    """Whether each library that the suite needs is there in a version that it allows."""
    for text in requires("cardinality") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = version(requirement.name)
        fits = requirement.specifier.contains(found, prereleases=True)
        wanted = f"needs {requirement.specifier}"
        yield Finding(requirement.name, fits, found if fits else f"{found}; {wanted}")


def device(machine: Machine, run: Run) -> Finding:
    """Whether torch can compute on the device, and with which precision runs will."""
    precision = run.numerics.precision
    told = f"{machine}; runs in {precision}"
    if machine.device == "cpu":
        told += "; batch norm " + ("fused" if run.numerics.fused else "torch's own")
        if not machine.kernel:
            told += " (the suite's was not built: was there a C++ compiler?)"
    if machine.device == "cuda" and not torch.cuda.is_available():
        return Finding("device", False, f"{told}; torch {torch.__version__} sees no GPU")
    torch.ones(1, device=machine.device).sum().item()
    if precision == "bfloat16" and not machine.bfloat16:
        return Finding("device", False, f"{told}, which this device has no instructions for")
    return Finding("device", True, told)


def convolutions(runs: list[Run]) -> dict[str, list[Layer]]:
    """Every shape of the 3x3 convolution in every net, by setting, each shape once."""
    found: dict[str, dict[tuple[int, ...], Layer]] = {}
    for run in runs:
        shapes = found.setdefault(str(run.architecture.setting), {})
        for layer in layers(run.architecture, run.data.side):
            if layer.name.endswith(".conv2"):
                key = (layer.in_channels, layer.groups, layer.side, layer.stride)
                shapes.setdefault(key, layer)
    return {setting: list(shapes.values()) for setting, shapes in found.items()}


def grouped_convolution(setting: str, shapes: list[Layer], run: Run) -> Finding:
    """Compare a setting's 3x3 convolutions, forward and backward, with float64 on the CPU."""
    worst = max(convolution_error(layer, run) for layer in shapes)
    allowed = TOLERANCE[run.numerics.precision]
    detail = f"{len(shapes)} shapes, relative error {worst:.1e}, allowed {allowed:.0e}"
    return Finding(f"convolution {setting}", worst <= allowed, detail)


def convolution_error(layer: Layer, run: Run) -> float:
    """Largest relative error of output and gradients of one convolution on random values."""
    exact_float32()
    generator = torch.Generator().manual_seed(0)
    side = layer.side * layer.stride
    x = torch.randn(CHECKED_BATCH, layer.in_channels, side, side, generator=generator)
    shape = (layer.out_channels, layer.in_channels // layer.groups, layer.kernel, layer.kernel)
    weight = torch.randn(shape, generator=generator)
    shape = (CHECKED_BATCH, layer.out_channels, layer.side, layer.side)
    out = torch.randn(shape, generator=generator)
    dtype = getattr(torch, run.numerics.precision)
    # Both start from values that the precision can hold, so that only arithmetic differs.
    tensors = [tensor.to(dtype) for tensor in (x, weight, out)]

    plain = Convolution(
        layer.in_channels, layer.out_channels, layer.kernel, layer.stride, layer.groups
    )

    def compute(where: str, kind: torch.dtype, layout: torch.memory_format) -> list[torch.Tensor]:
        a, w, g = (t.to(where, kind).contiguous(memory_format=layout) for t in tensors)
        a, plain.weight = a.requires_grad_(), nn.Parameter(w)
        net = faster(plain, run.numerics) if kind == dtype else plain
        y = net(a)
        gradients = torch.autograd.grad(y, (a, plain.weight), g)
        return [t.detach().double().cpu() for t in (y, *gradients)]

    ours = compute(run.numerics.device, dtype, torch.channels_last)
    exact = compute("cpu", torch.float64, torch.contiguous_format)
    pairs = zip(ours, exact, strict=True)
    return max(float((one - two).norm() / two.norm()) for one, two in pairs)


def determinism(runs: list[Run]) -> Finding:
    """Whether one training step of the grouped net gives the same bits twice."""
    run = max(runs, key=lambda run: (run.architecture.setting.cardinality, -run.cost))
    # One step has no room for a warm-up.
    constant = Steps(name="steps", drops=(1,), factor=0.5)
    n, side = min(run.training.batch, CHECKED_BATCH), run.data.side
    update = {"schedule": constant, "batch": n}
    run = replace(run, training=run.training.model_copy(update=update))
    pixels = torch.randint(256, (n, side, side, 3), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % run.data.classes
    images = ImageSet(pixels.to(torch.uint8).numpy(), labels.numpy())

    def step() -> str:
        trainer = Trainer(run, Images(images, images, ()))
        trainer.train_epoch(lambda _epochs: None)
        return weights_checksum(trainer.net)

    one, two = step(), step()
    if one == two:
        return Finding("same bits twice", True, f"{run.architecture.setting}: {one}")
    # On a GPU sums are taken in the order in which they come; runs are sound all the same.
    expected = run.numerics.device == "cuda"
    return Finding("same bits twice", expected, f"differ: {one}, {two}; they do on many a GPU")


def free_disk(runs: list[Run], results: Path) -> Finding:
    """Whether the weights of all runs fit, and two checkpoints (with momentum) of the largest."""
    free, needed = beforehand.room(runs, results)
    detail = f"{free / 2**20:,.0f} MiB free, {needed / 2**20:,.1f} MiB needed"
    return Finding("disk", free > needed, detail)


def writable(results: Path) -> Finding:
    """Whether everything that a run writes to can be written to, by writing."""
    places = beforehand.check_places(results)
    return Finding("writable", True, f"{places[0]} and {places[-1]}")


def sockets() -> Finding:
    """Whether the folder for temporary files has names short enough for sockets beside them."""
    check_sockets()
    return Finding("sockets", True, f"TMPDIR {tempfile.gettempdir()} is short enough")


def paper(plans: list[Plan]) -> Finding:
    """Whether the figures of the paper that the ablations name are known."""
    names = sorted({plan.ablation.paper for plan in plans if plan.ablation.paper is not None})
    for name in names:
        read_paper(name)
    return Finding("paper", True, ", ".join(names) or "no figures are asked for")


def shared_memory(protocol: Protocol) -> Finding:
    """Whether the batches that loaders keep ready have room where processes share memory."""
    room = limits.shared_memory()
    if protocol.data.name != "folders":
        return Finding("shared memory", True, "none is needed")
    found = fitting(largest_batch(protocol.data, protocol.training.batch))
    free = "an unknown size" if room is None else f"{room / 2**20:,.1f} MiB"
    detail = (
        f"{free} in {limits.SHARED}: {found.workers} processes decode, {found.prefetch} batches"
    )
    return Finding("shared memory", True, f"{detail} ahead")


def data(protocol: Protocol) -> Finding:
    """Whether the protocol's data set is found."""
    try:
        return Finding("data", True, str(prepare(protocol.data)))
    except UserError as error:
        return Finding("data", False, str(error))
