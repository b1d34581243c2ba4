"""Several processes that train side by side, and what they come to together."""

import multiprocessing
import time
from multiprocessing.synchronize import Barrier

import torch

from benchmarks.contenders import made_images, plain, suite
from benchmarks.measure import seconds
from cardinality.memory import keep_freed_memory
from cardinality.plan import Run

SECONDS = 5.0  # of measurement


def side_by_side(kind: str, run: Run, count: int) -> float:
    """Images a second of ``count`` processes together, each training the run by itself."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(count), context.Queue()
    processes = [
        context.Process(target=_train, args=(kind, run, barrier, rates)) for _ in range(count)
    ]
    for process in processes:
        process.start()
    try:
        return sum(rates.get(timeout=120) for _ in processes)
    finally:
        for process in processes:
            process.join(timeout=10)
            process.kill()


def _train(kind: str, run: Run, barrier: Barrier, rates: "multiprocessing.Queue[float]") -> None:
    """Train until the time is over; the others are at it all the while."""
    torch.set_num_threads(run.numerics.threads)
    if kind == "suite":
        keep_freed_memory()
    images, device = made_images(run), run.numerics.device
    # The plain loop's workers take turns with its net on the same cores.
    step = suite(run, images) if kind == "suite" else plain(run, images, run.numerics.threads)
    seconds(step, 3, device)
    barrier.wait(timeout=100)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        seconds(step, 1, device)
        steps += 1
    rates.put(steps * run.training.batch / (time.perf_counter() - start))
    barrier.wait(timeout=100)  # none ends while another still measures
