"""The command that checks this machine before hours are spent on it: doctor."""

import os
from typing import Annotated

import typer

from cardinality.cli.opened import open_plan
from cardinality.cli.options import (
    ComputeOn,
    DataOption,
    ProtocolOption,
    ResultsOption,
    results_root,
)
from cardinality.common.errors import UserError


def doctor_command(
    ablation: Annotated[
        str | None,
        typer.Argument(metavar="[ABLATION]", help="Check for this table; by default for all."),
    ] = None,
    protocol: ProtocolOption = "quick",
    device: ComputeOn = "auto",
    results: ResultsOption = None,
    data: DataOption = None,
    preempted: Annotated[
        bool,
        typer.Option("--preempt", help="Kill short runs for a minute, and compare their bits."),
    ] = False,
) -> None:
    """Check this machine before hours are spent on it: a line a check, status 1 if one fails."""
    from cardinality.common.notes import note
    from cardinality.doctor.checks import examine
    from cardinality.doctor.preempt import preempt
    from cardinality.experiment.grid import possible_plans
    from cardinality.host.machine import detect
    from cardinality.results.folder import Results

    if data is not None:
        os.environ["CARDINALITY_DATA"] = str(data.absolute())
    machine = detect(device)
    if ablation is None:
        plans, left_out = possible_plans(protocol, machine)
        for name, why in left_out.items():
            note(f"{name} is left out: {why}")
    else:
        plans = [open_plan(ablation, protocol, None, device, results)[0]]
    plans = [plan for plan in plans if plan.ablation.trains and plan.runs()]
    if not plans:
        raise UserError(f"{ablation or protocol}: trains nothing, so there is nothing to check")
    found = Results(results_root(results) / plans[0].protocol_name)
    found_by = preempt(plans, machine) if preempted else examine(plans, machine, found.folder)
    passed = True
    for finding in found_by:
        passed &= finding.passed
        state = "pass" if finding.passed else "FAIL"
        print(f"{state}  {finding.check:20}  {finding.detail}", flush=True)
    if not passed:
        raise typer.Exit(1)
