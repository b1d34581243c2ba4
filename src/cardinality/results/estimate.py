"""How long runs will take, and what that is known from."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cardinality.common.text import plural
from cardinality.experiment.configuration import Protocol
from cardinality.experiment.run import Run
from cardinality.host.machine import Device, Machine
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header
from cardinality.results.records import Record

# What is guessed where nothing is known: multiply-adds a second of a small net's training.
GUESS: dict[Device, float] = {"cpu": 20e9, "cuda": 5e12}
# Seconds that a worker takes to start, where nothing was measured: mostly to import torch.
START_UP = 4.0


# Bytes that a run is taken to need where none was measured: torch itself, the images and a net of
# some million parameters; the highest peak of CIFAR-10's small nets was 1.81 GiB.
MEMORY = 2.0 * 2**30


@dataclass(frozen=True)
class Rate:
    """How fast runs are computed: multiply-adds a second of one, and seconds to start a worker."""

    macs: float
    basis: str
    start_up: float = START_UP


@dataclass(frozen=True)
class Estimate:
    """Seconds by the clock for some runs, how many of them go side by side, and the basis."""

    seconds: float
    jobs: int
    basis: str

    def __str__(self) -> str:
        return f"about {duration(self.seconds)}, {self.jobs} side by side ({self.basis})"


def estimate(
    runs: Sequence[Run],
    results: Results,
    machine: Machine,
    jobs: int,
    otherwise: Callable[[], Rate],
) -> Estimate:
    """Estimate the time of what is left of some runs.

    A run that this kind of machine has computed with another seed takes as long again; other runs
    take their multiply-adds at the rate of its records. Only sittings count that had their device
    to themselves. Epochs that a checkpoint has are done.

    Args:
        runs: what is to be computed.
        results: of the protocol, with records wherever they were made, and checkpoints.
        machine: where they are to be computed.
        jobs: how many go side by side.
        otherwise: gives the rate where this kind of machine has no record.
    """
    numerics = {run.numerics for run in runs}
    here: list[tuple[Record, float]] = [
        (record, seconds)
        for record in (results.finished() if runs else ())
        if record.numerics in numerics and (seconds := _seconds(record, machine))
    ]
    same: dict[str, list[float]] = {}
    for record, seconds in here:
        same.setdefault(_recipe(record.configuration), []).append(seconds)
    if here:
        # Cost is proportional to a net's multiply-adds for runs of one protocol's recipe.
        per_mac = fmean(seconds / record.macs for record, seconds in here)
        whole = {run.name: per_mac * run.complexity.macs for run in runs}
        basis, start_up = f"from {count(here)} of this kind of machine", START_UP
    else:
        rate = otherwise()
        whole = {run.name: run.cost / rate.macs for run in runs}
        basis, start_up = rate.basis, rate.start_up
    left = sum(
        fmean(same.get(_recipe(run.configuration), [whole[run.name]])) * _left(run, results)
        for run in runs
    )
    together = max(1, min(jobs, len(runs)))
    return Estimate(left / together + start_up * bool(runs), together, basis)


def memory_per_run(runs: Sequence[Run], results: Results) -> float:
    """Bytes that one of these runs takes at most: the highest peak in their protocol's records.

    With a tenth to spare; where none of the same numerics was measured, `MEMORY`.
    """
    numerics = {run.numerics for run in runs}
    records = results.finished() if runs else ()
    peaks = [r.peak_memory for r in records if r.numerics in numerics and r.peak_memory]
    return 1.1 * max(peaks) if peaks else MEMORY


def count(records: Iterable[object]) -> str:
    """``1 record``, ``2 records``."""
    return plural(sum(1 for _ in records), "record")


def stated(protocol: Protocol, machine: Machine) -> Rate:
    """The rate that a protocol states for such a device, else a guess, and said to be one."""
    speed = protocol.speed
    if isinstance(speed, dict):
        speed = speed.get(machine.device)
    if speed is None:
        return Rate(GUESS[machine.device], "a guess: nothing was measured here yet")
    basis = f"a guess from the protocol's stated {speed:g} billion multiply-adds a second a run"
    return Rate(speed * 1e9, basis)


def _left(run: Run, results: Results) -> float:
    """Which part of a run is still to be computed."""
    try:
        header = read_header(results.checkpoint(run.name))
    except (Unsound, OSError):
        return 1.0
    return max(0.0, 1 - (header.epochs + header.part) / run.epochs)


def _seconds(record: Record, machine: Machine) -> float:
    """What the whole run takes on such a machine alone, by its sittings there; 0 without any."""
    here = [
        sitting
        for sitting in record.sittings
        if (sitting.device, sitting.cores) == (machine.name, machine.cores)
        and record.alone(sitting)
    ]
    epochs = sum(sitting.passes for sitting in here)
    seconds = sum(sitting.wall_seconds for sitting in here)
    return seconds * record.sittings[-1].last_epoch / epochs if epochs else 0.0


def _recipe(configuration: dict[str, object]) -> str:
    """A configuration but for its seed."""
    recipe = {key: value for key, value in configuration.items() if key != "seed"}
    return json.dumps(recipe, sort_keys=True)


def duration(seconds: float) -> str:
    """A time as people say it: ``45 s``, ``4 min``, ``3 h 20 min``, ``5 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 60 / 24:.0f} days"
