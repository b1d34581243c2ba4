"""Medians of what is measured in turns, so that a noisy machine slows all of it alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

# Seconds of a turn at least, as far as whole steps make it up: on a GPU long enough for a loader to
# run out of what it prepared in the others' turns.
TURN = {"cpu": 0.1, "cuda": 0.5}

# Whatever a step returns is not looked at.
Step = Callable[[], object]
Maker = Callable[[], Step]


@dataclass(frozen=True)
class Where:
    """What a measurement is of; a part that does not apply is empty."""

    section: str
    protocol: str = ""
    depth: int | None = None
    setting: str = ""
    batch: int | None = None


@dataclass(frozen=True)
class Measurement:
    """A line of the CSV file: the median of some rounds, with the lowest and the highest.

    Attributes:
        where: what it is of.
        what: the contender, part or command.
        unit: of the figures.
        value, lowest, highest: over ``rounds``; not a number where it failed.
        failure: why.
    """

    where: Where
    what: str
    unit: str
    value: float
    lowest: float
    highest: float
    rounds: int
    failure: str = ""

    def row(self) -> dict[str, Any]:
        """As flat columns."""
        rest = {key: value for key, value in asdict(self).items() if key != "where"}
        return asdict(self.where) | rest


def single(where: Where, what: str, unit: str, value: float) -> Measurement:
    """Of what was measured once."""
    return Measurement(where, what, unit, value, value, value, 1)


def failed(where: Where, what: str, unit: str, error: Exception) -> Measurement:
    """Of what could not be measured."""
    nan = float("nan")
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return Measurement(where, what, unit, nan, nan, nan, 0, reason)


def seconds(step: Step, steps: int, device: str) -> float:
    """Mean seconds of one of some steps, the device's work included."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def in_turns(
    where: Where,
    makers: Mapping[str, Maker],
    device: str,
    rounds: int = 5,
    at_least: float | None = None,
) -> list[Measurement]:
    """Time one step of each contender at the same thing; see `all_in_turns`."""
    contenders = {(where, name): make for name, make in makers.items()}
    return all_in_turns(contenders, device, rounds, at_least)


def all_in_turns(
    contenders: Mapping[tuple[Where, str], Maker],
    device: str,
    rounds: int = 5,
    at_least: float | None = None,
) -> list[Measurement]:
    """Time one step of each contender, in turns; a contender that fails is a failed line.

    Args:
        contenders: by what is measured and who does it, what makes a step.
        device: that the steps compute on.
        rounds: how often each has its turn.
        at_least: seconds of a turn, instead of the device's.
    """
    at_least = TURN[device] if at_least is None else at_least
    steps: dict[tuple[Where, str], Step] = {}
    turns: dict[tuple[Where, str], int] = {}
    lines = []
    for who, make in contenders.items():
        try:
            step = make()
            first = seconds(step, 1, device)  # caches, memory and a GPU's clocks
            again = seconds(step, 1 if first > at_least else 2, device)
            turns[who] = max(1, round(at_least / again))
            steps[who] = step
        except Exception as error:  # one that fails is a finding, and the others go on
            lines.append(failed(*who, "s", error))
    times: dict[tuple[Where, str], list[float]] = {who: [] for who in steps}
    for _ in range(rounds):
        for who, step in list(steps.items()):
            try:
                times[who].append(seconds(step, turns[who], device))
            except Exception as error:
                lines.append(failed(*who, "s", error))
                del steps[who]
    for who in steps:
        taken = times[who]
        lines.append(Measurement(*who, "s", median(taken), min(taken), max(taken), len(taken)))
    return lines
