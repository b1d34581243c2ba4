"""How fast the suite trains, against what people use instead; writes results/bench/DEVICE.*.

Usage: python -m benchmarks.speed [--device auto|cpu|cuda] [--only SECTION ...]

With ``--only`` the other sections of the device's page stay as they were measured before.

Everything is timed on whole steps, in turns, in this one run, so that ratios hold where times
do not. On a CPU a contender has one core: its net on one thread, its images decoded between the
steps. Several at once are `side_by_side`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from benchmarks import ROOT
from benchmarks.contenders import again, made_images, plain, suite, with_timm
from benchmarks.limit import limit, profile
from benchmarks.measure import (
    Maker,
    Measurement,
    Step,
    Where,
    all_in_turns,
    failed,
    in_turns,
    seconds,
    single,
)
from benchmarks.neighbours import side_by_side
from benchmarks.report import write
from benchmarks.scales import EVIDENCE, MORE, SCALES, WORKERS, runs, where
from benchmarks.variants import variants
from cardinality.data.device import batches
from cardinality.data.folders import ClassFolders
from cardinality.data.loaders import PREFETCH, default_workers
from cardinality.data.store import load_images
from cardinality.experiment.datasets import Folders
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine, check_usable, detect
from cardinality.host.memory import keep_freed_memory, peak, start_peak
from cardinality.host.provenance import provenance


def main() -> None:
    """Measure section by section, saying so, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS))
    arguments = parser.parse_args()
    machine = detect(arguments.device)
    check_usable(machine.device)
    torch.set_num_threads(1)
    keep_freed_memory()
    console, start = Console(stderr=True), time.monotonic()
    made, folder = provenance(machine), ROOT / "results" / "bench"
    lines: list[Measurement] = []
    page = ""
    for number, name in enumerate(arguments.only, start=1):
        console.print(f"{time.monotonic() - start:4.0f} s  {name}")
        try:
            lines += SECTIONS[name](machine)
        except Exception as error:  # the other sections are worth having
            lines.append(failed(Where(name), "the whole section", "", error))
            console.print(f"        failed: {error!r}")
        # Whatever becomes of the next one, this one is kept.
        page = write(lines, arguments.only[:number], machine, made, folder)
    console.print(f"{time.monotonic() - start:4.0f} s  done")
    sys.stdout.write(page)


def whole_steps(machine: Machine) -> Iterator[Measurement]:
    """Training steps with their input: the suite, the plain loop and timm."""
    workers = WORKERS[machine.device]
    for protocol, batch, roles in SCALES[machine.device]:
        for role in roles:
            of_depth = runs(machine, protocol, role, batch)
            # Others' steps take long there, so only the ends of the row.
            ends = protocol == "cifar10" or (role != "base" and machine.device == "cpu")
            for run in (of_depth[0], of_depth[-1]) if ends else of_depth:
                images = made_images(run)
                makers: dict[str, Maker] = {
                    "suite": partial(suite, run, images),
                    "plain": partial(plain, run, images, workers),
                    "timm": partial(with_timm, run, images, workers, own_input=False),
                    "timm's net": partial(with_timm, run, images, workers, own_input=True),
                }
                yield from in_turns(
                    where("steps", protocol, run),
                    makers,
                    machine.device,
                    rounds=3 if protocol == "cifar10" else 5,
                )


def cardinality(machine: Machine) -> Iterator[Measurement]:
    """The suite's steps with images in memory, all settings of a depth in turns."""
    scales = [("table3", *scale) for scale in SCALES[machine.device]]
    scales += [(ablation, name, None, roles) for ablation, name, roles in MORE[machine.device]]
    for ablation, protocol, batch, roles in scales:
        for role in roles:
            of_depth = runs(machine, protocol, role, batch, ablation)
            images = made_images(of_depth[0], steps=40)
            contenders: dict[tuple[Where, str], Maker] = {
                (where("cardinality", protocol, run), "suite"): partial(suite, run, images)
                for run in of_depth
            }
            rounds = 3 if protocol == "cifar10" else 5
            yield from all_in_turns(contenders, machine.device, rounds)


# --- what each fast path is worth --------------------------------------------------------------


def paths(machine: Machine) -> Iterator[Measurement]:
    """A step on images at hand, with all of the fast paths, without each and without any."""
    protocol, batch, _ = EVIDENCE[machine.device]
    both = runs(machine, protocol, "base", batch)
    for run in (both[0], both[-1]):
        yield from in_turns(where("paths", protocol, run), variants(run, machine), machine.device)


# --- input and memory --------------------------------------------------------------------------


def inputs(machine: Machine) -> Iterator[Measurement]:
    """Seconds of a batch alone: of resident images, and of photographs through the loader."""
    for protocol, batch, roles in SCALES[machine.device]:
        run = runs(machine, protocol, roles[0], batch)[0]
        resident, _ = batches(made_images(run), run.training, torch.device(machine.device))
        generator = torch.Generator().manual_seed(0)
        size = run.training.batch
        stream = again(partial(resident.epoch, generator, size))
        makers = {"resident": partial(partial, next, stream)}
        yield from in_turns(where("input", protocol, run), makers, machine.device)
    yield from streamed(machine)


MEASURED = 40  # batches of photographs


def streamed(machine: Machine) -> Iterator[Measurement]:
    """Images a second through the loader's workers, of made photographs of Imagenette's size."""
    run = runs(machine, "imagenette", "base", 32)[0]
    data = run.data
    if not isinstance(data, Folders):
        raise TypeError(f"imagenette is {type(data).__name__}")
    rng = np.random.default_rng(0)
    ahead = default_workers() * PREFETCH  # batches that are begun before the clock starts
    each = (ahead + MEASURED) * run.training.batch // data.classes
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "val"):
            for name in range(data.classes):
                path = Path(folder, data.folders[0], split, f"class{name}")
                path.mkdir(parents=True)
                for number in range(each if split == "train" else 2):
                    # Smooth, as photographs are: noise compresses and decodes unlike them.
                    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
                    small.resize((170, 128), Image.Resampling.BICUBIC).save(path / f"{number}.jpg")
        made = data.model_copy(update={"train": each * data.classes, "test": 2 * data.classes})
        images = load_from(made, Path(folder))
        train, _ = batches(images, run.training, torch.device(machine.device))
        generator = torch.Generator().manual_seed(0)
        epoch = train.epoch(generator, run.training.batch)
        for _ in range(ahead):
            next(epoch)
        start, n = time.perf_counter(), sum(len(labels) for _, labels in epoch)
        rate = n / (time.perf_counter() - start)
    of = where("input", "imagenette", run)
    yield single(of, "loader", "images/s", rate)


def load_from(data: Folders, root: Path) -> ClassFolders:
    """Class folders below a root."""
    with patch.dict(os.environ, CARDINALITY_DATA=str(root)):
        return load_images(data)


def memory(machine: Machine) -> Iterator[Measurement]:
    """The most that training steps hold beside what was held before."""
    device = torch.device(machine.device)
    for protocol, batch, roles in SCALES[machine.device]:
        of_depth = runs(machine, protocol, roles[0], batch)
        for run in (of_depth[0], of_depth[-1]):
            images = made_images(run)
            seconds(suite(run, images), 1, machine.device)  # what libraries load once
            start_peak(device)
            before = peak(device)
            step = suite(run, images)
            seconds(step, 3, machine.device)
            after = peak(device)
            of = where("memory", protocol, run)
            if before is not None and after is not None:
                yield single(of, "peak of training", "bytes", float(after - before))
            yield single(of, "activations", "values", float(run.complexity.activations))
            del step


# --- processes ---------------------------------------------------------------------------------


def runs_side_by_side(machine: Machine) -> Iterator[Measurement]:
    """Images a second of the whole machine, shared in different ways."""
    protocol, batch, roles = EVIDENCE[machine.device]
    of_depth = runs(machine, protocol, roles[0], batch)
    for run in (of_depth[0], of_depth[-1]):
        of = where("side by side", protocol, run)
        for name, kind, each, count in ways(machine, run):
            try:
                rate = side_by_side(kind, each, count)
                yield single(of, name, "images/s", rate)
            except Exception as error:  # one that does not fit is a finding
                yield failed(of, name, "images/s", error)


def ways(machine: Machine, run: Run) -> list[tuple[str, str, Run, int]]:
    """Names, kinds, runs and counts of the processes that share the machine."""
    if machine.device == "cuda":
        some = [(f"suite, {n} on the GPU", "suite", run, n) for n in (1, 2, 4, 8)]
        return [*some, ("suite, 1 with cuDNN's benchmark mode", "searching", run, 1)]
    whole = replace(run, numerics=replace(run.numerics, threads=machine.cores, fused=False))
    return [
        ("suite, a run a core", "suite", run, machine.cores),
        ("suite, one run on all cores", "suite", whole, 1),
        ("plain loop on all cores", "plain", whole, 1),
    ]


COMMANDS = {
    "--help": "--help",
    "solve": "solve --cardinality 32",
    "inspect": "inspect 32x4d --depth 50",
    "plan table3": "plan table3 --device cpu",
    "table2": "run table2 --device cpu",
    "render table3": "render table3 --protocol cifar10-small",
    "a finished table3": "run table3 --protocol cifar10-small --depth base --show-committed"
    " --device cpu",
}


def commands(machine: Machine) -> Iterator[Measurement]:
    """Seconds from a command to its end."""
    program = Path(sys.executable).with_name("cardinality")

    def command(words: str) -> Step:
        line = [str(program), *words.split()]

        def step() -> None:
            answer = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603 -- ours
            if answer.returncode:
                raise RuntimeError(f"status {answer.returncode}: {answer.stderr}")

        return step

    for name, words in COMMANDS.items():
        makers = {name: partial(command, words)}
        yield from in_turns(Where("start"), makers, "cpu", 3, 0)


# By the names under which their lines are kept.
SECTIONS: dict[str, Callable[[Machine], Iterator[Measurement]]] = {
    "steps": whole_steps,
    "cardinality": cardinality,
    "paths": paths,
    "limit": limit,
    "profile": profile,
    "input": inputs,
    "memory": memory,
    "side by side": runs_side_by_side,
    "start": commands,
}


if __name__ == "__main__":
    main()
