"""Workers that compute nothing, so that a test of who ends when needs neither torch nor time.

What a fake run does stands in the environment, by the run's setting, as in ``1x64d=fail``. As a
program this is a driver of such workers in a results folder.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import written_aside
from cardinality.execution import driver, holds, scheduler
from cardinality.execution import job as jobs
from cardinality.execution.contract import Compute, Report
from cardinality.execution.display import Display
from cardinality.execution.driver import compute_with, missing
from cardinality.execution.executors import Pool
from cardinality.execution.stopping import Stop
from cardinality.experiment.grid import make_plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine
from cardinality.host.provenance import Place
from cardinality.results.folder import Results
from cardinality.results.records import make_record
from cardinality.training.ends import Stopped
from tests.execution.records import write
from tests.tiny import MADE, TINY_ABLATION, TINY_PROTOCOL

VARIABLE = "FAKE_RUNS"
# Seconds of a hold's lease, so that a test need not wait for minutes.
LEASE = "FAKE_LEASE"
SEEDS, JOBS = "FAKE_SEEDS", "FAKE_JOBS"
# Seconds that a fake worker takes to get ready, as importing torch would.
STARTING = 0.4


Ready = Callable[[], Compute]


class Quiet(Display):
    """A display that remembers what it was told."""

    def _say(self, text: str) -> None:
        self.said = [*getattr(self, "said", []), text]


def nothing() -> None:
    """What is asked before a record is written where nobody else can have the run."""


def compute(
    run: Run,
    folder: Path,
    place: Place,
    on_step: Callable[[float], None],
    check: Callable[[], None] = nothing,
) -> Report:
    """End as the environment says; without a word, write a record.

    Who has computed a run stands in ``computed``, a line a time.
    """
    pairs = (pair.split("=") for pair in os.environ.get(VARIABLE, "").split() if "=" in pair)
    what = dict(pairs).get(str(run.architecture.setting), "done")
    if what == "once":  # slow, unless it was begun before
        begun = folder / f"begun-{run.name}"
        what = "done" if begun.exists() else "long"
        begun.touch()
    try:
        for step in range(1, 101):
            on_step(step / 100 * run.epochs)
            time.sleep({"long": 0.1, "middling": 0.03, "short": 0.005}.get(what, 0))
    except Stopped:
        return Report(run, "stopped")
    if what == "deaf":  # as in a long step, an evaluation, or a write to a slow disk
        time.sleep(60)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "broken":
        raise ImportError("libmade.so: cannot open shared object file\nand more")
    if what == "fail":
        return Report(run, "failed", "made", make_record(run, None, [], [], failure="made"))
    check()
    if what == "where":
        where = f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {place.provenance.machine}"
        with (folder / "where").open("a") as file:
            file.write(f"{where} {place.side_by_side} {place.here}\n")
    with (folder / "computed").open("a") as file:
        file.write(f"{run.name} {os.getpid()}\n")
    write(run, Results(folder))
    return Report(run, "done")


def place_of_record(folder: Path, run: Run) -> Path:
    """The file by which a run is known to be done."""
    return folder / "runs" / run.name / "run.json"


def ready() -> Compute:
    """Get ready as a worker does."""
    shorten_leases()
    time.sleep(STARTING)
    return compute


def at_once() -> Compute:
    """Get ready without taking any time for it."""
    shorten_leases()
    return compute


def shorten_leases() -> None:
    """Make leases as short as the environment says."""
    if LEASE in os.environ:
        holds.LEASE = float(os.environ[LEASE])
        holds.RENEWED, driver.ELSEWHERE = holds.LEASE / 5, 0.2


def job(workspace: str, order: str) -> str:
    """What a cluster's job calls, with fake runs, on a node like the machine of `plan_runs`."""
    return on_node(Machine("cpu", "a CPU", 2, False), workspace, order)


def old_node(workspace: str, order: str) -> str:
    """The same on a node without the instructions that the cluster was said to have."""
    return on_node(Machine("cpu", "an old CPU", 1, False), workspace, order)


def on_node(node: Machine, workspace: str, order: str, ready: Ready | None = None) -> str:
    """Carry an order out with fake runs, in a process of its own."""
    setattr(jobs, "detect", lambda _device: node)  # noqa: B010
    shorten_leases()
    driver.GRACE, scheduler.BETWEEN = 0.1, 0.05
    return jobs.carry_out(workspace, order, lambda _device: compute if ready is None else ready())


def broken_node(workspace: str, order: str) -> str:
    """The same where nothing can be imported."""
    return on_node(Machine("cpu", "a CPU", 2, False), workspace, order, broken)


def broken() -> Compute:
    """Fail as an import does."""
    raise ImportError("libmade.so: cannot open shared object file\nand more")


def leaving() -> Compute:
    """Leave while starting, without a word."""
    os._exit(7)


def _write_whole(path: Path, text: str) -> None:
    """Several drivers begin at once, and none may read what another has half written."""
    with written_aside(path) as aside:
        aside.write_text(text)


def plan_runs(folder: Path) -> list[Run]:
    """The runs of the tiny ablation, whose files are written into a folder."""
    _write_whole(folder / "two.yaml", TINY_ABLATION)
    _write_whole(folder / "tiny.yaml", TINY_PROTOCOL)
    machine, seeds = Machine("cpu", "a CPU", 2, False), int(os.environ.get(SEEDS, "1"))
    return make_plan(str(folder / "two.yaml"), str(folder / "tiny.yaml"), machine, seeds).runs()


def main() -> None:
    """Compute what is missing in a folder, as the command line does, and say how that ended."""
    folder = Path(sys.argv[1])
    shorten_leases()
    runs, results = plan_runs(folder), Results(folder)
    absent = missing(runs, results)
    with Stop() as stop:
        print(f"{len(absent)} runs to compute", flush=True)
        start = partial(Pool, int(os.environ.get(JOBS, "2")), folder, MADE, "cpu", ready)
        try:
            summary = compute_with(start, absent, results, Quiet(absent, 1.0), stop)
        except UserError as error:
            print(error)
            sys.exit(2)
    print(f"{summary.done} done, {len(summary.failed)} failed, {summary.stopped or 'to the end'}")
    print(f"{summary.others} by others")


if __name__ == "__main__":
    main()
