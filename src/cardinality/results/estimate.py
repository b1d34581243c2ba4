"""How long runs will take, and what that is known from."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from cardinality.experiment.plan import Run
from cardinality.host.machine import Machine
from cardinality.results.records import Record


@dataclass(frozen=True)
class Estimate:
    """Seconds by the clock for some runs, how many of them go side by side, and the basis."""

    seconds: float
    jobs: int
    basis: str

    def __str__(self) -> str:
        return f"about {duration(self.seconds)}, {self.jobs} side by side ({self.basis})"


def estimate(
    runs: Sequence[Run], records: Iterable[Record], machine: Machine, jobs: int, speed: float
) -> Estimate:
    """Estimate the time of some runs.

    A run that this kind of machine has computed with another seed takes as long again; other runs
    take their multiply-adds at the rate of its records; where it has none, at the stated rate.

    Args:
        runs: what is to be computed.
        records: finished runs of the protocol, wherever they were made.
        machine: where they are to be computed.
        jobs: how many go side by side.
        speed: stated multiply-adds a second of one run, in 10^9.
    """
    here = [
        record
        for record in records
        if (not runs or record.numerics == runs[0].numerics) and _seconds(record, machine)
    ]
    same: dict[str, list[float]] = {}
    for record in here:
        same.setdefault(_recipe(record.configuration), []).append(_seconds(record, machine))
    basis = f"from {len(here)} records of this kind of machine"
    rate = speed * 1e9
    if here:
        # Cost is proportional to a net's multiply-adds for runs of one protocol's recipe.
        per_mac = fmean(_seconds(record, machine) / record.macs for record in here)
        known = {run.name: per_mac * run.complexity.macs for run in runs}
    else:
        basis = f"from the protocol's stated {speed:g} billion multiply-adds a second a run"
        known = {run.name: run.cost / rate for run in runs}
    seconds = (fmean(same.get(_recipe(run.configuration), [known[run.name]])) for run in runs)
    return Estimate(
        sum(seconds) / max(1, min(jobs, len(runs))), min(jobs, max(1, len(runs))), basis
    )


def _seconds(record: Record, machine: Machine) -> float:
    """What the whole run takes on such a machine alone, by its sittings there; 0 without any."""
    here = [
        sitting
        for sitting in record.sittings
        if (sitting.device, sitting.cores) == (machine.name, machine.cores)
        and record.alone(sitting)
    ]
    epochs = sum(sitting.last_epoch - sitting.first_epoch + 1 for sitting in here)
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
