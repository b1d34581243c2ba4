"""What a cluster's job does: one run, until it is done or the job's time is over; then again.

All that it is told are two strings, the workspace and an order. Nothing of ours is pickled, so jobs
that wait in a queue for days survive a new version of the suite, or are refused by it in words.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Self

from cardinality.common.errors import UserError, one_line
from cardinality.common.files import written_aside
from cardinality.common.strict import Strict
from cardinality.common.workspace import VARIABLE
from cardinality.execution.contract import Broken, Compute
from cardinality.execution.display import Display
from cardinality.execution.driver import Driver
from cardinality.execution.here import Here
from cardinality.execution.holds import Holds
from cardinality.execution.process import torch_on
from cardinality.execution.scheduler import requeue, this_job
from cardinality.execution.stopping import Stop
from cardinality.experiment.grid import make_plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Device, Machine, Precision, detect
from cardinality.host.provenance import Place, provenance
from cardinality.results.folder import Results

# By which Slurm says that a job's time is nearly over: submitit asks for USR2, since NCCL may catch
# USR1, which some clusters send all the same.
NEARLY_OVER = (signal.SIGUSR1, signal.SIGUSR2)
BROKEN = "environment broken: "


class Order(Strict):
    """Which run, of which plan; as JSON it is the second string.

    Attributes:
        run: its name.
        ablation, protocol: names, or whole paths.
        seeds, batch, first_seed: as they were given.
        device, precision: that the cluster was said to have.
        results: the protocol's folder.
        data: where data sets are.
        seconds: after which the job stops by itself.
    """

    run: str
    ablation: str
    protocol: str
    seeds: int | None
    batch: int | None
    first_seed: int
    device: Device
    precision: Precision
    results: str
    data: str
    seconds: float


class JobStop(Stop):
    """Whether a job is to end; its signals set a flag that is looked at between steps.

    It takes the place of submitit's own handler, which would write a checkpoint in the midst of
    whatever is computed, and puts a job back three times at most.

    Attributes:
        ended: whether Slurm ends the job itself: it was cancelled; or it was preempted, in which
            case Slurm puts it back as well.
    """

    ended = False

    def __enter__(self) -> Self:
        super().__enter__()
        for number in (*NEARLY_OVER, signal.SIGTERM, signal.SIGCONT):
            before = signal.signal(number, self._hear)
            self._before.setdefault(number, before)
        return self

    def __exit__(self, *_error: object) -> None:
        """Go on to hear them: the process ends, and submitit's handler is not to come back."""

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGCONT:  # comes before SIGTERM and says nothing
            return
        self.ended = self.ended or number == signal.SIGTERM
        self._noted = self._noted or f"stopped by {signal.Signals(number).name}"


def compute_one(workspace: str, order: str) -> str:
    """Compute a run in a job, and put the job back into the queue where its time was not enough.

    Returns:
        ``done``, ``failed``, ``stopped`` or ``taken`` by another process; or, after
        "environment broken: ", why nothing can be computed on this node.
    """
    return carry_out(workspace, order, torch_on)


def carry_out(workspace: str, order: str, make_ready: Callable[[Device], Compute]) -> str:
    """The same; ``make_ready`` imports what computes a run."""
    told = Order.model_validate_json(order)
    os.environ[VARIABLE], os.environ["CARDINALITY_DATA"] = workspace, told.data
    words = said_by(Results(Path(told.results)), this_job())
    words.unlink(missing_ok=True)  # of its life before
    with JobStop(told.seconds) as stop:
        try:
            outcome = _drive(told, stop, make_ready)
        except (Broken, UserError) as error:
            outcome = f"{BROKEN}{one_line(error)}"
        print(f"{told.run}: {outcome}", file=sys.stderr, flush=True)
        if outcome in ("done", "failed"):
            return outcome  # its record says so
        if outcome != "stopped" or stop.ended or not requeue():
            with written_aside(words) as aside:
                aside.write_text(f"{outcome}\n", encoding="utf-8")
    return outcome


def said_by(results: Results, job: str) -> Path:
    """The file in which a job says why it left no record; what submitit keeps is a pickle."""
    return results.job(job).with_suffix(".said")


def _drive(told: Order, stop: Stop, make_ready: Callable[[Device], Compute]) -> str:
    """Compute the run, as a driver with one run and no other process does."""
    machine = _machine(told)
    run, results = _planned(told, machine), Results(Path(told.results))
    try:
        compute = make_ready(told.device)
    except Exception as error:
        raise Broken(one_line(error)) from error
    place = Place(provenance(machine), side_by_side=1)
    with Display([run]) as display:
        display.console.quiet = True
        here = Here(compute, results.folder, place, stop)
        waits = _was_its_own(results, run)
        summary = Driver(results, here, display, stop, waits=waits).drive([run])
    if summary.failed:
        return "failed"
    if summary.done:
        return "done"
    return "stopped" if summary.stopped else "taken"


def _planned(told: Order, machine: Machine) -> Run:
    asked = (told.seeds, told.batch, told.first_seed)
    plan = make_plan(told.ablation, told.protocol, machine, *asked)
    run = next((run for run in plan.runs() if run.name == told.run), None)
    if run is None:
        raise UserError(
            f"{told.run}: no run of {told.ablation} as this node plans it; allowed: one version of"
            " this suite on all nodes, built alike"
        )
    return run


def _was_its_own(results: Results, run: Run) -> bool:
    """Whether this job had the run in a life that died without a word, on another node perhaps.

    Then the lease is waited for; other holders are left to it.
    """
    holder = Holds(results).look(run.name)
    return holder is not None and holder.job == os.environ.get("SLURM_JOB_ID")


def _machine(told: Order) -> Machine:
    """This node, which computes as the cluster was said to.

    Raises:
        UserError: it cannot.
    """
    found = detect(told.device)
    wanted = told.precision == "bfloat16"
    if wanted and not found.bfloat16:
        raise UserError(
            f"precision bfloat16: {found.name} has no instructions for it; allowed: in the"
            " cluster's file what its nodes have"
        )
    return replace(found, bfloat16=wanted)
