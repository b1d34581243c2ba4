"""What every command about a grid begins with: its plan, its results and this machine."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cardinality.cli.options import DeviceOption, refuse, results_root

if TYPE_CHECKING:
    from cardinality.experiment.plan import Plan
    from cardinality.host.machine import Machine
    from cardinality.results.folder import Results


def open_plan(
    ablation: str,
    protocol: str,
    seeds: int | None,
    device: DeviceOption,
    results: Path | None,
    data: Path | None = None,
    batch: int | None = None,
    first_seed: int = 0,
    nodes: "Machine | None" = None,
) -> "tuple[Plan, Results, Machine]":
    """The plan, the folder of its results, and the machine that it is for.

    Args:
        ablation, protocol: as the user names them.
        seeds, batch, first_seed: where they are not the protocol's.
        device: what computes; unless there are ``nodes``.
        results, data: where they are, if not in the workspace.
        nodes: a cluster's machine.

    Raises:
        UserError: one of them cannot be read or planned.
    """
    from cardinality.experiment.grid import make_plan
    from cardinality.host.machine import detect
    from cardinality.results.folder import Results

    if data is not None:  # workers inherit it
        os.environ["CARDINALITY_DATA"] = str(data.absolute())
    machine = nodes or detect(device)
    plan = make_plan(ablation, protocol, machine, seeds, batch, first_seed)
    if not plan.ablation.trains:
        runs = {"--seeds": seeds, "--batch": batch, "--first-seed": first_seed or None}
        refuse(runs, f"on {plan.ablation_name}, which trains nothing", "without")
    folder = results_root(results) / plan.protocol_name
    return plan, Results(folder), machine


def check_named(plan: "Plan") -> None:
    """See that there are the figures and the claims that files name, before anything is computed.

    Raises:
        UserError: one names something that there is not.
    """
    from cardinality.experiment.places import published_figures

    if plan.ablation.paper is not None:
        published_figures(plan.ablation.paper)
    if plan.protocol.claims is not None:
        from cardinality.analysis.claims import claims_of

        claims_of(plan)


def jobs_here(plan: "Plan", found: "Results", machine: "Machine", asked: int | None = None) -> int:
    """How many runs go side by side: as many as was asked for, else as there is room for."""
    from cardinality.data.loaders import largest_batch, most_side_by_side
    from cardinality.execution.executors import side_by_side
    from cardinality.host.machine import Gpu, usable_gpus
    from cardinality.results.estimate import memory_per_run

    if asked is not None:
        return asked
    protocol, runs = plan.protocol, plan.runs()
    batch = runs[0].training.batch if runs else protocol.training.batch
    memory, gpus, macs = memory_per_run(runs, found), tuple[Gpu, ...](), 0
    if machine.device == "cuda":
        gpus = usable_gpus(machine.resolve(protocol.numerics.precision))
        macs = max(entry.complexity.macs for entry in plan.entries) * batch
    jobs = side_by_side(machine, protocol.numerics.threads, memory, gpus, macs)
    room = None
    if protocol.data.name == "folders":
        room = most_side_by_side(largest_batch(protocol.data, batch))
    return jobs if room is None else max(1, min(jobs, room))
