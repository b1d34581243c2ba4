"""How far a running grid is: which runs are held, and what is written beside their checkpoints."""

import math
from collections.abc import Iterator
from statistics import fmean

from cardinality.execution.state import states
from cardinality.experiment.grid import numerics_on
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine, detect
from cardinality.report.pages.charts.by_epoch import run_curves
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import Going, Progress
from cardinality.results.epochs import read_epochs
from cardinality.results.estimate import estimate, stated
from cardinality.results.folder import Results

# As many running runs are shown; a cluster may have many.
MOST = 12


def progress_of(gathered: Gathered) -> Progress:
    """The runs that are being computed, and how far each of their tables is.

    The names of runs depend on where they are computed; a grid that is watched is computed here.
    """
    machine = detect()
    planned = {run.name: run for table in gathered.tables for run in _runs(table, machine)}
    begun = states(gathered.results, ended=False)
    running = [one.name for one in begun if one.state == "running"]
    going = tuple(_going(gathered.results, name, planned) for name in running[:MOST])
    tables = tuple(
        line for table in gathered.tables for line in _state(gathered, table, machine, {*running})
    )
    stopped = sum(one.state in ("stopped", "lost") for one in begun)
    return Progress(len(running), stopped, going, tables)


def _runs(table: TableRead, machine: Machine) -> list[Run]:
    """A table's runs as they are named on this machine, and as they are recorded."""
    here = numerics_on(machine, table.plan.protocol)
    return [*table.plan.runs(), *table.plan.with_numerics(here).runs()]


def _going(results: Results, name: str, planned: dict[str, Run]) -> Going:
    try:
        rows = read_epochs(results.progress(name))
    except (OSError, ValueError):  # it has just ended, or is in its first epoch
        rows = []
    run = planned.get(name)
    error = rows[-1].get("top1_error", math.nan) if rows else math.nan
    epochs = None if run is None else run.epochs
    seconds = fmean(row.get("seconds", math.nan) for row in rows) if rows else math.nan
    left = None if epochs is None else max(0.0, (epochs - len(rows)) * seconds)
    return Going(
        name,
        len(rows),
        epochs,
        error if math.isfinite(error) else None,
        left if left is not None and math.isfinite(left) else None,
        run_curves(name, rows),
    )


def _state(
    gathered: Gathered, table: TableRead, machine: Machine, going: set[str]
) -> Iterator[tuple[str, int, int, str]]:
    """A table of which something is going on: what is there, of how many, and the time left."""
    runs = {run.name: run for run in _runs(table, machine)}
    if not going & runs.keys():
        return
    shown = table.plan.runs()
    done = sum(run.name in table.found.done for run in shown)
    absent = [
        run
        for run in runs.values()
        if run.name not in table.found.done and run.name not in table.found.failed
    ][: len(shown) - done]
    jobs = max(1, len(going & runs.keys()))
    left = estimate(
        absent, gathered.results, machine, jobs, lambda: stated(table.plan.protocol, machine)
    )
    yield table.plan.ablation_name, done, len(shown), str(left) if absent else ""
