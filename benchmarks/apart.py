"""Contenders in processes of their own, as those who use them have them.

In one process they would share a heap: what one leaves behind in memory slows another's steps, by
up to a quarter where twenty nets were alive.
"""

import multiprocessing
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection

import torch

from benchmarks.measure import TURN, Maker, Measurement, Where, seconds, take_turns


def in_turns_apart(
    contenders: Mapping[tuple[Where, str], Maker], device: str, rounds: int
) -> list[Measurement]:
    """Time one step of each contender, in turns, while the others' processes wait.

    Args:
        contenders: by what is measured and who does it, what makes a step; to be pickled.
        device: that the steps compute on.
        rounds: how often each has its turn.
    """
    with ExitStack() as stack:
        made = {
            who: partial(stack.enter_context, Apart(make, device))
            for who, make in contenders.items()
        }
        return take_turns(made, rounds, TURN[device])


class Apart:
    """A contender's timer, whose steps are taken in a process that lives as long as the context."""

    def __init__(self, make: Maker, device: str) -> None:
        # It starts from one that has imported torch and done nothing else.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["benchmarks.contenders"])
        self.pipe, self.its_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, device, self.its_end))

    def __enter__(self) -> "Apart":
        self.process.start()
        self.its_end.close()  # then its death ends what is read here
        return self

    def __call__(self, steps: int) -> float:
        """Mean seconds of one of so many steps.

        Raises:
            RuntimeError: a step failed.
            EOFError: the process died.
        """
        self.pipe.send(steps)
        answer = self.pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return float(answer)

    def __exit__(self, *_: object) -> None:
        self.pipe.close()
        self.process.join(timeout=10)
        self.process.kill()


def _serve(make: Maker, device: str, pipe: Connection) -> None:
    """Answer every number of steps with seconds, or with why not, until the pipe is closed."""
    torch.set_num_threads(1)
    try:
        step = make()
        while True:
            pipe.send(seconds(step, pipe.recv(), device))
    except EOFError:
        return
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
