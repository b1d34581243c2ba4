"""The commands about grids: plan, run, render, doctor."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.cli.options import (
    AblationArgument,
    BatchOption,
    ClusterOption,
    ComputeOn,
    DataOption,
    DepthOption,
    DeviceOption,
    ExecutorOption,
    FirstSeedOption,
    FormatName,
    FormatOption,
    GpusOption,
    JobsOption,
    OnlyOption,
    ProtocolOption,
    ResultsOption,
    SeedOption,
    SeedsOption,
    parse_duration,
    results_root,
)
from cardinality.cli.parts import compute_parts, next_command
from cardinality.cli.sharing import take_part
from cardinality.common.errors import UserError
from cardinality.common.text import line

if TYPE_CHECKING:
    from cardinality.experiment.plan import Plan, Run
    from cardinality.host.launched import Launched
    from cardinality.host.machine import Machine
    from cardinality.results.folder import Results


def _open(
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
    from cardinality.experiment.plan import make_plan
    from cardinality.host.machine import detect
    from cardinality.results.folder import Results

    if data is not None:  # workers inherit it
        os.environ["CARDINALITY_DATA"] = str(data.absolute())
    machine = nodes or detect(device)
    plan = make_plan(ablation, protocol, machine, seeds, batch, first_seed)
    folder = results_root(results) / plan.protocol_name
    return plan, Results(folder), machine


def plan_command(
    ablation: Annotated[
        str | None,
        typer.Argument(
            metavar="[ABLATION]", help="A name (table3) or a .yaml file; with --machine all tables."
        ),
    ] = None,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    device: ComputeOn = "auto",
    results: ResultsOption = None,
    batch: BatchOption = None,
    only: OnlyOption = None,
    depth: DepthOption = None,
    seed: SeedOption = None,
    detect: Annotated[
        float | None,
        typer.Option(
            "--detect", metavar="POINTS", help="How many seeds and hours would find so many points."
        ),
    ] = None,
    jobs: JobsOption = None,
    on: Annotated[
        str | None,
        typer.Option("--machine", metavar="NAME", help="What it costs on, e.g., 8xV100."),
    ] = None,
    price: Annotated[
        float | None, typer.Option("--price", help="Of an hour of that machine, in your money.")
    ] = None,
) -> None:
    """Show every run with its cost and state, and how long the missing ones would take."""
    if on is not None:
        from cardinality.cli.cost import show_costs

        show_costs(ablation, protocol, seeds, batch, results, on, price)
        return
    if ablation is None:
        raise UserError("plan: ABLATION is missing; allowed: a table's name, or --machine NAME")
    if price is not None:
        raise UserError("--price: of which machine?; allowed: with --machine NAME")
    from tabulate import tabulate

    from cardinality.architecture.complexity import block_parameters, deviation
    from cardinality.execution.driver import missing
    from cardinality.execution.probe import rate
    from cardinality.results.estimate import estimate

    plan, found, machine = _open(ablation, protocol, seeds, device, results, None, batch)
    if detect is not None:
        _detect(plan, found, machine, detect)
        return
    chosen = plan.select(only, depth, seed)
    names = {run.name for run in chosen}
    lines: list[tuple[object, ...]] = []
    for entry in plan.entries:
        row, net = entry.row, entry.architecture
        budget = row.budget * block_parameters(plan.ablation.reference)
        off = "deeper" if row.deeper else f"{deviation(row.setting, budget):+.2%}"
        kind = f" {net.variant}" if net.variant else ""
        name = f"{row.setting}{kind}{'' if row.residual else ' no shortcuts'}"
        cost = entry.complexity
        common = (name, net.depth, f"{cost.params / 1e6:.2f}", f"{cost.macs / 1e6:.1f}", off)
        for run in entry.runs:
            if run.name in names:
                lines.append((*common, run.seed, found.status(run.name), run.name))
        if not entry.runs:
            state = "only counted" if plan.ablation.trains else "arithmetic alone"
            lines.append((*common, "", state, ""))
    headings = ("setting", "depth", "params, M", "MACs, M", "Eq. (4)", "seed", "state", "run")
    print(tabulate(lines, headings, disable_numparse=True, colalign=("left", *["right"] * 5)))
    if plan.remark is not None:
        print(f"\nNote: {plan.remark}.")
    if plan.ablation.trains:
        absent = missing(chosen, found)
        jobs = _jobs(plan, found, machine, jobs)
        time = estimate(absent, found, machine, jobs, lambda: rate(plan, absent, machine))
        print(f"\n{len(chosen) - len(absent)} of {len(chosen)} runs are there.", end=" ")
        print(f"The missing ones: {time}." if absent else "Nothing is missing.")


def _jobs(plan: "Plan", found: "Results", machine: "Machine", asked: int | None = None) -> int:
    """How many runs go side by side: as many as was asked for, else as there is room for."""
    from cardinality.data.loaders import largest_batch, most_side_by_side
    from cardinality.execution.executors import side_by_side
    from cardinality.host.machine import Gpu, usable_gpus
    from cardinality.results.estimate import memory_per_run

    if asked is not None:
        return asked
    protocol = plan.protocol
    memory, gpus, macs = memory_per_run(plan.runs(), found), tuple[Gpu, ...](), 0
    if machine.device == "cuda":
        gpus = usable_gpus(machine.resolve(protocol.numerics.precision))
        macs = max(entry.complexity.macs for entry in plan.entries) * protocol.training.batch
    jobs = side_by_side(machine, protocol.numerics.threads, memory, gpus, macs)
    room = None
    if protocol.data.name == "folders":
        room = most_side_by_side(largest_batch(protocol.data, protocol.training.batch))
    return jobs if room is None else max(1, min(jobs, room))


def _detect(plan: "Plan", found: "Results", machine: "Machine", points: float) -> None:
    """Say how many seeds and how much time each comparison of a table needs."""
    from functools import cache

    from cardinality.execution.probe import rate
    from cardinality.report.detect import demands, page
    from cardinality.results.estimate import duration, estimate
    from cardinality.results.folder import Results

    if not 0 < points < 100:
        raise UserError(f"--detect {points:g}: allowed are points above 0 and below 100")
    if not plan.ablation.trains:
        raise UserError(
            f"--detect: {plan.ablation_name} is arithmetic; allowed: a table that trains"
        )
    root = found.folder.parent
    folders = [Results(path) for path in sorted(root.glob("*")) if (path / "runs").is_dir()]
    others = [results for results in folders if results.folder.name != plan.protocol_name]
    wanted = demands(plan, points, found, others)
    jobs = _jobs(plan, found, machine)
    # What nothing is known of is measured once, not for every line.
    measured = cache(lambda: rate(plan, plan.runs(), machine))

    def time(runs: "Sequence[Run]") -> str:
        return duration(estimate(runs, found, machine, jobs, measured).seconds)

    print(page(plan, points, wanted, time))
    print(f"\n{estimate(plan.runs(), found, machine, jobs, measured)} for the table as stated.")


def run_command(
    ablation: AblationArgument,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    device: ComputeOn = "auto",
    results: ResultsOption = None,
    data: DataOption = None,
    batch: BatchOption = None,
    only: OnlyOption = None,
    depth: DepthOption = None,
    seed: SeedOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed runs again.")
    ] = False,
    stop_after: Annotated[
        str | None, typer.Option("--stop-after", metavar="TIME", help="Stop after, e.g., 9m.")
    ] = None,
    show_committed: Annotated[
        bool,
        typer.Option(
            "--show-committed",
            help="Where a protocol's results come with the repository, show them and run nothing.",
        ),
    ] = False,
    form: FormatOption = "markdown",
    jobs: JobsOption = None,
    first_seed: FirstSeedOption = 0,
    executor: ExecutorOption = "pool",
    cluster: ClusterOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script for the cluster, send nothing.")
    ] = False,
    gpus: GpusOption = None,
) -> None:
    """Compute the runs that are missing, then render the table."""
    from cardinality.cli.cluster import read_cluster, send, show_scripts
    from cardinality.data.store import identify
    from cardinality.execution.beforehand import check as check_files
    from cardinality.execution.driver import missing
    from cardinality.execution.probe import rate
    from cardinality.execution.stopping import Stop
    from cardinality.execution.tie import check_images
    from cardinality.results.estimate import estimate

    limit = None if stop_after is None else parse_duration(stop_after)
    nodes = read_cluster(executor, cluster, dry_run, device, jobs)
    on = None if nodes is None else nodes.machine()
    stated = (ablation, protocol, seeds, device, results, data, batch, first_seed, on)
    plan, found, machine = _open(*stated)
    chosen = plan.select(only, depth, seed)
    if nodes is not None and gpus is not None:
        raise UserError("--gpus: is of this machine; allowed: gpus in the cluster's file")
    which = take_part(plan, gpus, jobs)
    absent = missing(chosen, found, retry_failed)
    if dry_run and nodes is not None:
        show_scripts(nodes, found, len(absent))
        return
    if which is not None and which.number > 0:
        if absent:
            _follow(found, machine, which)
        return
    if show_committed and _shown_as_brought(plan, found, form):
        return
    if chosen and (absent or data is not None):
        check_images(chosen, found, identify(plan.protocol.data))
    if plan.remark is not None:
        print(f"Note: {plan.remark}.")
    failed: list[tuple[str, str]] = []
    stopped = ""
    if absent:
        check_files(absent, found.folder)
    if absent and nodes is not None:
        asked = (ablation, protocol, seeds, batch, first_seed)
        summary = send(absent, found, nodes, asked, limit)
        failed, stopped = summary.failed, summary.stopped
    elif absent:
        jobs = min(len(absent), _jobs(plan, found, machine, 1 if which else jobs))
        time = estimate(absent, found, machine, jobs, lambda: rate(plan, absent, machine))
        with Stop(limit) as stop:
            print(f"{len(absent)} of {len(chosen)} runs to compute: {time}.", flush=True)
            failed, stopped = compute_parts(
                plan, absent, found, machine, jobs, time.seconds, stop, which
            )
    elif chosen:
        print(f"All {len(chosen)} runs are there.")
    _render(plan, found, form)
    if absent and any(found.status(run.name) != "missing" for run in absent):
        _write_pages(protocol, found)
    _whose(plan, found)
    if chosen and not missing(plan.runs(), found):
        print(next_command(plan, by_make=show_committed), end="")
    known = [
        run.name
        for run in chosen
        # A full disk may have kept a failure from being recorded.
        if found.status(run.name) in ("failed", "diverged") or run.name in dict(failed)
    ]
    if stopped:
        print(f"{stopped}; the same command goes on where this one stopped.", file=sys.stderr)
    if known:
        _list_failures(known, dict(failed), found)
        raise typer.Exit(1)


def _follow(found: "Results", machine: "Machine", which: "Launched") -> None:
    """Compute what the first of several processes does, which alone says anything."""
    from cardinality.execution.contract import Broken
    from cardinality.execution.together import follow

    try:
        follow(found.folder, machine.device, which)
    except Broken as error:
        raise UserError(str(error)) from None


def _list_failures(names: list[str], fresh: dict[str, str], found: "Results") -> None:
    for name in names:
        record = found.read(name)
        reason = fresh.get(name) or (record.failure if record is not None else "")
        state = found.status(name).replace("missing", "failed")
        print(f"{state}: {name}: {line(reason)}", file=sys.stderr)
    if any(found.status(name) == "failed" for name in names):
        print("try those that failed again with --retry-failed", file=sys.stderr)


def _write_pages(protocol: str, found: "Results") -> None:
    """Bring the pages to browse up to date with the records."""
    from cardinality.report.pages.write import write_report

    first, _ = write_report(found.folder.parent, protocol)
    print(f"wrote {_shown(first)}")


def _shown_as_brought(plan: "Plan", found: "Results", form: FormatName) -> bool:
    """Show a table as the repository brings it, unless the user has begun to compute it.

    Returns:
        Whether it was shown.
    """
    from cardinality.report.recorded import as_recorded
    from cardinality.results.manifest import brought

    shown = as_recorded(plan, found)
    whose = shown.done.keys() & brought(found.folder)
    begun = shown.done.keys() - whose or any(
        found.checkpoint(run.name).is_file() or found.status(run.name) != "missing"
        for run in plan.runs()
        if run.name not in whose
    )
    if not whose or begun:
        return False
    sittings = [sitting for name in whose for sitting in shown.done[name].sittings]
    machines = line(", ".join(sorted({sitting.device for sitting in sittings})))
    asked = len(shown.plan.runs())
    what = "All" if len(whose) == asked else f"{len(whose)} of"
    print(f"{what} {asked} runs come with the repository, made on {machines}.")
    command = f"cardinality run {plan.ablation_name} --protocol {plan.protocol_name}"
    if len(whose) < asked and shown.plan == plan:
        print(f"To compute the others here: .venv/bin/{command}\n")
    else:  # with other numerics, or to see them come out again
        print(f"To compute them here: .venv/bin/{command} --results my-results\n")
    _render(plan, found, form)
    return True


def _whose(plan: "Plan", found: "Results") -> None:
    """Where some runs of a table come with the repository and others do not, say how many."""
    from cardinality.report.recorded import as_recorded
    from cardinality.results.manifest import brought

    done = as_recorded(plan, found).done.keys()
    theirs = len(done & brought(found.folder))
    if 0 < theirs < len(done):
        print(f"{theirs} of these {len(done)} runs come with the repository, the others are yours.")


def render_command(
    ablation: AblationArgument,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    results: ResultsOption = None,
    batch: BatchOption = None,
    form: FormatOption = "markdown",
) -> None:
    """Write a table's Markdown, CSV and plots from the records on disk, partial or not."""
    plan, found, _ = _open(ablation, protocol, seeds, "auto", results, None, batch)
    _render(plan, found, form, anew=True)


def _render(plan: "Plan", found: "Results", form: FormatName, anew: bool = False) -> None:
    """Show a table and say where its files are; drawn anew only where something has changed."""
    from cardinality.report.kept import keep, recall

    before = None if anew else recall(plan, found, form)
    if before is None:
        from cardinality.report.render import render as write

        page, files = write(plan, found, form)
        keep(plan, found, form, page, files)
    else:
        page, files = before
    print(page)
    for file in files:
        print(f"wrote {_shown(file)}")


def _shown(file: Path) -> Path:
    """A file's path as a reader in this folder would write it."""
    whole, here = file.resolve(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


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
    from cardinality.cli.doctor import examine
    from cardinality.cli.preempt import preempt
    from cardinality.common.notes import note
    from cardinality.experiment.plan import possible_plans
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
        plans = [_open(ablation, protocol, None, device, results)[0]]
    plans = [plan for plan in plans if plan.ablation.trains]
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
