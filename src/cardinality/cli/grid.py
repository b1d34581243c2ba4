"""The command that computes a grid: run."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.cli.opened import check_named, jobs_here, open_plan
from cardinality.cli.options import (
    AblationArgument,
    BatchOption,
    ClusterOption,
    ComputeOn,
    DataOption,
    DepthOption,
    ExecutorOption,
    FirstSeedOption,
    FormatOption,
    GpusOption,
    JobsOption,
    OnlyOption,
    ProtocolOption,
    ResultsOption,
    SeedOption,
    SeedsOption,
    parse_duration,
)
from cardinality.cli.parts import compute, next_command
from cardinality.cli.sharing import take_part
from cardinality.cli.showing import (
    say_what_is_shown,
    say_whose,
    show,
    shown_as_brought,
    write_pages,
)
from cardinality.common.errors import UserError
from cardinality.common.text import line, plural

if TYPE_CHECKING:
    from cardinality.execution.driver import Summary
    from cardinality.experiment.plan import Plan
    from cardinality.experiment.run import Run
    from cardinality.host.launched import Launched
    from cardinality.host.machine import Machine
    from cardinality.results.folder import Results


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
    from cardinality.execution.driver import Summary, missing
    from cardinality.execution.tidying import tidy
    from cardinality.execution.tie import check_images
    from cardinality.report.recorded import as_recorded

    limit = None if stop_after is None else parse_duration(stop_after)
    nodes = read_cluster(executor, cluster, dry_run, device, jobs)
    if nodes is not None and gpus is not None:
        raise UserError("--gpus: is of this machine; allowed: gpus in the cluster's file")
    on = None if nodes is None else nodes.machine()
    stated = (ablation, protocol, seeds, device, results, data, batch, first_seed, on)
    plan, found, machine = open_plan(*stated)
    check_named(plan)
    chosen = plan.select(only, depth, seed)
    which = take_part(plan, gpus, jobs)
    absent = missing(chosen, found, retry_failed)
    if dry_run and nodes is not None:
        show_scripts(nodes, found, len(absent))
        return
    if which is not None and which.number > 0:
        if absent:
            _follow(found, machine, which)
        return
    part = (only, depth, seed) != (None, None, None)
    otherwise = {"--seeds": seeds, "--batch": batch, "--first-seed": first_seed or None}
    if show_committed and not part and shown_as_brought(plan, found, form, _typed(otherwise)):
        return
    if chosen and (absent or data is not None):
        check_images(chosen, found, identify(plan.protocol.data))
    if plan.remark is not None:
        print(f"Note: {plan.remark}.")
    summary = Summary()
    say_what_is_shown(plan, as_recorded(plan, found))
    if absent:
        check_files(absent, found.folder)
    if absent and nodes is not None:
        asked = (ablation, protocol, seeds, batch, first_seed)
        summary = send(absent, found, nodes, asked, limit)
    elif absent:
        jobs = min(len(absent), jobs_here(plan, found, machine, 1 if which else jobs))
        summary = compute(plan, (absent, len(chosen)), found, machine, jobs, limit, which)
    elif chosen:
        tidy(found)  # no driver does, though this command may have been killed while it rendered
        print("The run is there." if len(chosen) == 1 else f"All {len(chosen)} runs are there.")
    show(plan, found, form)
    if absent and any(found.status(run.name) != "missing" for run in absent):
        write_pages(protocol, found)
    say_whose(plan, found)
    _say_how_it_ended(plan, chosen, found, summary, by_make=show_committed)


def _say_how_it_ended(
    plan: "Plan", chosen: "Sequence[Run]", found: "Results", summary: "Summary", by_make: bool
) -> None:
    """Who computed what, what to type next, a stop, which runs failed; the last with status 1.

    Args:
        plan: the table.
        chosen: the runs that were asked for.
        found: the records.
        summary: of this call.
        by_make: how the user types commands.
    """
    from cardinality.execution.driver import missing

    if summary.others:
        print(
            f"{plural(summary.done, 'run')} computed here, {summary.others:,} by other processes."
        )
    if chosen and not missing(plan.runs(), found):
        print(next_command(plan, by_make), end="")
    if summary.stopped:
        print(
            f"{summary.stopped}; the same command goes on where this one stopped.", file=sys.stderr
        )
    _end_with_failures(chosen, dict(summary.failed), found)


def _typed(options: Mapping[str, int | None]) -> list[str]:
    """Options as they are typed, those that were given."""
    return [word for name, value in options.items() if value for word in (name, str(value))]


def _follow(found: "Results", machine: "Machine", which: "Launched") -> None:
    """Compute what the first of several processes does, which alone says anything."""
    from cardinality.execution.contract import Broken
    from cardinality.execution.together import follow

    try:
        follow(found.folder, machine.device, which)
    except Broken as error:
        raise UserError(str(error)) from None


def _end_with_failures(chosen: "Sequence[Run]", fresh: dict[str, str], found: "Results") -> None:
    """List the runs that have failed, and end with status 1 if there are any.

    Args:
        chosen: the runs that were asked for.
        fresh: why those of this call failed; a full disk may have kept that from being recorded.
        found: the records.
    """
    states = {run.name: found.status(run.name) for run in chosen}
    known = [name for name in states if states[name] in ("failed", "diverged") or name in fresh]
    for name in known:
        record = found.read(name)
        reason = fresh.get(name) or (record.failure if record is not None else "")
        print(
            f"{states[name].replace('missing', 'failed')}: {name}: {line(reason)}", file=sys.stderr
        )
    if any(states[name] == "failed" for name in known):
        print("try those that failed again with --retry-failed", file=sys.stderr)
    if known:
        raise typer.Exit(1)
