"""How nearly the three forms of Fig. 3 agree, and how fast each is; prints docs/forms.md's tables.

Usage: python benchmarks/forms.py [--device cpu|cuda]
"""

import argparse

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from cardinality.host.machine import Device, detect
from cardinality.nets.forms import as_form_c, convert
from cardinality.nets.network import ResNeXt, build

SETTINGS = ["1x64d", "2x40d", "4x24d", "8x14d", "32x4d"]  # Table 2
DEPTH, SIDE, THREADS = 50, 64, 1
BATCH: dict[Device, int] = {"cpu": 8, "cuda": 256}
SECONDS = 4.0  # of measurement for each number


def main() -> None:
    """Print what was measured on, the agreement and the speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    device: Device = parser.parse_args().device
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    threads = f"{THREADS} thread" if device == "cpu" else f"CUDA {torch.version.cuda}"
    print(f"{detect(device)}; torch {torch.__version__}, {threads}.\n")
    print_agreement()
    print_speed(device)


def print_agreement() -> None:
    """Differences in float64 on the CPU, as fractions of the largest value of each tensor."""
    print(f"Depth {DEPTH}, two images of {SIDE} pixels, float64, on the CPU:\n")
    print("| setting | form | logits | gradients | running averages |")
    print("|---|---|---:|---:|---:|")
    images = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    for setting in SETTINGS:
        net = build(setting, DEPTH).double()
        for form in ("a", "b"):
            differences = disagreement(net, convert(net, form), images)
            cells = [
                setting,
                f"({form})",
                *(f"{value:.0e}" if value else "0" for value in differences),
            ]
            print(f"| {' | '.join(cells)} |")
    print()


def disagreement(net: ResNeXt, other: ResNeXt, images: Tensor) -> tuple[float, float, float]:
    """The largest relative difference of logits, of gradients and of running averages."""
    logits, gradients, averages = answer(net, images)
    other_logits, other_gradients, other_averages = answer(other, images)
    return (
        relative(other_logits, logits),
        max(relative(other_gradients[name], gradients[name]) for name in gradients),
        max(relative(other_averages[name], averages[name]) for name in averages),
    )


def answer(net: ResNeXt, images: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Logits, gradients and running averages of a training step, in form (c)'s layout."""
    net.zero_grad()
    logits = net(images)
    logits.square().sum().backward()
    gradients = {name: w.grad for name, w in net.named_parameters() if w.grad is not None}
    averages = {name: b for name, b in net.named_buffers() if b.is_floating_point()}
    return logits.detach(), as_form_c(net, gradients), as_form_c(net, averages)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference as a fraction of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def print_speed(device: Device) -> None:
    """Median time of a training step, forward and backward, in float32 and channels last."""
    batch = BATCH[device]
    print(f"Depth {DEPTH}, batch of {batch} images of {SIDE} pixels, float32, channels last;")
    print("milliseconds of a forward and backward pass, in brackets relative to (c):\n")
    print("| setting | (a) | (b) | (c) |")
    print("|---|---:|---:|---:|")
    images = torch.randn(batch, 3, SIDE, SIDE, device=device)
    images = images.to(memory_format=torch.channels_last)
    for setting in SETTINGS:
        net = build(setting, DEPTH)
        nets = {"a": convert(net, "a"), "b": convert(net, "b"), "c": net}
        times = {form: seconds(nets[form].to(device), images) for form in nets}
        cells = [f"{1e3 * t:.0f} ({t / times['c']:.2f})" for t in times.values()]
        print(f"| {setting} | {' | '.join(cells)} |", flush=True)


def seconds(net: ResNeXt, images: Tensor) -> float:
    """Median over repeated steps after a warm-up; the timer waits for the device."""
    net = net.to(memory_format=torch.channels_last)
    timer = Timer("net(images).sum().backward()", globals={"net": net, "images": images})
    timer.timeit(2)
    return timer.blocked_autorange(min_run_time=SECONDS).median


if __name__ == "__main__":
    main()
