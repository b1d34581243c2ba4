"""What a device can do at most, what part of it the nets reach, and where the rest goes."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.contenders import made_images, suite
from benchmarks.measure import Measurement, Step, Where, in_turns, seconds, single
from benchmarks.scales import SCALES, runs, where
from benchmarks.variants import one_batch
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine
from cardinality.training.numerics import exact_float32
from cardinality.training.trainer import Trainer


def limit(machine: Machine) -> Iterator[Measurement]:
    """Multiply-adds a second: of large dense products, and of each net's two passes."""
    device = machine.device
    exact_float32()
    for precision in dict.fromkeys(("float32", machine.resolve("auto"))):
        for name, step, macs in dense(device, getattr(torch, precision)):
            lines = in_turns(Where("limit"), {name: partial(returned, step)}, device, 3)
            named = f"{name}, {precision}"
            if lines[0].failure:
                yield replace(lines[0], what=named)
            else:
                of = lines[0]
                rate, lowest, highest = (macs / s for s in (of.value, of.highest, of.lowest))
                yield Measurement(of.where, named, "MACs/s", rate, lowest, highest, of.rounds)
    for protocol, batch, roles in SCALES[device]:
        if batch is not None and device == "cpu":
            continue
        for run in runs(machine, protocol, roles[0], batch):
            yield from passes(run, where("limit", protocol, run))


def dense(device: str, dtype: torch.dtype) -> Iterator[tuple[str, Step, int]]:
    """Operations that fill a device, with their multiply-adds."""
    size = 2048 if device == "cpu" else 8192
    a = torch.randn(size, size, device=device, dtype=dtype)
    x = torch.randn(64, 256, 28, 28, device=device, dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    layer = nn.Conv2d(256, 256, 3, padding=1, bias=False).to(device, dtype)
    layer = layer.to(memory_format=torch.channels_last).requires_grad_(False)

    yield "matrix product", partial(torch.matmul, a, a), size**3
    yield "3x3 convolution", partial(layer, x), x.numel() * 256 * 9


def returned(step: Step) -> Step:
    """What makes a step that is there already."""
    return step


def passes(run: Run, of: Where) -> Iterator[Measurement]:
    """Seconds of the forward pass in training, and of both."""
    device, mixed = run.numerics.device, run.numerics.precision == "bfloat16"
    trainer = Trainer(run, made_images(run))
    trainer.net.train()
    images, labels = one_batch(run, torch.channels_last)

    def forward() -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits: Tensor = trainer.net(images)
        return cross_entropy(logits.float(), labels)

    def both() -> None:
        trainer.optimizer.zero_grad()
        forward().backward()

    steps = {"forward": forward, "forward and backward": both}
    makers = {name: partial(returned, step) for name, step in steps.items()}
    yield from in_turns(of, makers, device)
    yield single(of, "MACs forward", "MACs", float(run.complexity.macs * run.training.batch))


# What the parts of a step are called in torch's profile.
KINDS = {
    "convolutions, products": ("convolution", "conv", "mm", "gemm", "addmm", "linear"),
    "batch norm, ReLU, sum": (
        "norm",
        "Normalise",
        "threshold",
        "relu",
        "clamp",
        "add_",
        "aten::add",
    ),
    "optimizer": ("sgd", "SGD", "Optimizer"),
    "copies, types, fills": ("copy", "fill", "zero", "_to", "empty", "cat"),
    "pooling": ("pool",),
}


def profile(machine: Machine) -> Iterator[Measurement]:
    """Where the time of a suite's step goes, by kind of operation."""
    activity = torch.profiler.ProfilerActivity
    cuda = machine.device == "cuda"
    for protocol, batch, roles in SCALES[machine.device]:
        if batch is not None and not cuda:
            continue
        of_depth = runs(machine, protocol, roles[0], batch)
        for run in (of_depth[0], of_depth[-1]):
            step = suite(run, made_images(run))
            seconds(step, 3, machine.device)
            with torch.profiler.profile(activities=[activity.CPU, *[activity.CUDA] * cuda]) as seen:
                seconds(step, 5, machine.device)
            sums = dict.fromkeys([*KINDS, "other"], 0.0)
            for event in seen.key_averages():
                # A GPU's kernels are counted with what launched them.
                if event.device_type.name != "CPU":
                    continue
                time_of = event.self_device_time_total if cuda else event.self_cpu_time_total
                kind = (k for k, names in KINDS.items() if any(n in event.key for n in names))
                sums[next(kind, "other")] += time_of
            total = sum(sums.values())
            if not total:
                raise RuntimeError("torch's profiler shows no time on the device")
            for kind_, time_ in sums.items():
                yield single(where("profile", protocol, run), kind_, "part", time_ / total)
