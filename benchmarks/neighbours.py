"""Several processes that train side by side, and what they come to together."""

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from queue import Empty
from threading import BrokenBarrierError
from typing import TypeAlias

import torch

from benchmarks.contenders import made_images, plain, suite
from benchmarks.measure import seconds
from cardinality.experiment.run import Run
from cardinality.host.memory import keep_freed_memory

SECONDS = 5.0  # of measurement
PATIENCE = 100.0  # seconds for all of them to start

# A rate, or why there is none.
Answers: TypeAlias = "Queue[float | str]"


def side_by_side(kind: str, run: Run, count: int) -> float:
    """Images a second of ``count`` processes together, each training the run by itself.

    Args:
        kind: ``suite``, ``plain``, or ``searching``: the suite with cuDNN's benchmark mode. That
            needs a process of its own, because torch asks what it chose before whether to search.
        run: what each trains.
        count: how many.

    Raises:
        RuntimeError: one of them failed.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    answers: Answers = context.Queue()
    processes = [
        context.Process(target=_answer, args=(kind, run, barrier, answers)) for _ in range(count)
    ]
    if run.numerics.device == "cuda":
        torch.cuda.empty_cache()  # what this process keeps, they cannot have
    for process in processes:
        process.start()
    try:
        rate = sum(_next(answers, processes) for _ in processes)
        for process in processes:
            process.join(timeout=10)
        return rate
    finally:
        for process in processes:
            process.kill()
            process.join()


def _next(answers: Answers, processes: Sequence[BaseProcess]) -> float:
    """The next rate; a process that failed or died is told at once."""
    while True:
        dead = [process.exitcode for process in processes if process.exitcode]
        try:
            answer = answers.get(timeout=1)
        except Empty:
            if dead:
                raise RuntimeError(f"a process ended with status {dead[0]}") from None
            continue
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


def _answer(kind: str, run: Run, barrier: Barrier, answers: Answers) -> None:
    try:
        answers.put(_train(kind, run, barrier))
        barrier.wait(PATIENCE)  # none ends while another still measures
    except BrokenBarrierError:  # another has failed and says why
        return
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")
        barrier.abort()


def _train(kind: str, run: Run, barrier: Barrier) -> float:
    """Train until the time is over; the others are at it all the while."""
    device = run.numerics.device
    torch.set_num_threads(run.numerics.threads)
    torch.backends.cudnn.benchmark = kind == "searching"
    images = made_images(run)
    if kind == "plain":
        # Its loader's workers take turns with its net on the same cores.
        step = plain(run, images, run.numerics.threads)
    else:
        keep_freed_memory()
        step = suite(run, images)
    seconds(step, 3, device)
    barrier.wait(PATIENCE)
    # To wait for a GPU after each step would leave it idle until the next is there.
    start, steps, turn = time.perf_counter(), 0, 20 if device == "cuda" else 1
    while time.perf_counter() - start < SECONDS:
        seconds(step, turn, device)
        steps += turn
    return steps * run.training.batch / (time.perf_counter() - start)
