"""The command that shows a grid and what it costs before it is computed: plan."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.cli.opened import check_named, jobs_here, open_plan
from cardinality.cli.options import (
    BatchOption,
    ComputeOn,
    DepthOption,
    FirstSeedOption,
    JobsOption,
    OnlyOption,
    ProtocolOption,
    ResultsOption,
    SeedOption,
    SeedsOption,
    refuse,
)
from cardinality.cli.showing import say_what_is_shown
from cardinality.common.errors import UserError

if TYPE_CHECKING:
    from cardinality.experiment.plan import Entry, Plan
    from cardinality.experiment.run import Run
    from cardinality.host.machine import Machine
    from cardinality.results.folder import Results


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
    first_seed: FirstSeedOption = 0,
) -> None:
    """Show every run with its cost and state, and how long the missing ones would take."""
    if on is not None:
        from cardinality.cli.cost import show_costs

        here = {"--device": device != "auto", "--detect": detect, "--jobs": jobs}
        refuse(here | {"--first-seed": first_seed > 0}, "beside --machine", "without")
        show_costs(ablation, protocol, seeds, batch, results, on, price, (only, depth, seed))
        return
    if ablation is None:
        raise UserError("plan: ABLATION is missing; allowed: a table's name, or --machine NAME")
    if price is not None:
        raise UserError("--price: of which machine?; allowed: with --machine NAME")
    from tabulate import tabulate

    from cardinality.execution.probe import rate
    from cardinality.report.recorded import as_recorded
    from cardinality.results.estimate import estimate

    stated = (ablation, protocol, seeds, device, results, None, batch, first_seed)
    plan, found, machine = open_plan(*stated)
    check_named(plan)
    if detect is not None:
        part = {"--only": only, "--depth": depth, "--seed": seed}
        refuse(part, "beside --detect, which is about a whole table", "without")
        _detect(plan, found, machine, detect, jobs)
        return
    chosen = plan.select(only, depth, seed)
    shown = as_recorded(plan, found)
    states = {
        run.name: "unsound" if run.name in shown.unsound else found.status(run.name)
        for run in chosen
    }
    lines = list(_lines(plan, plan.lines(only, depth), states, counted=seed is None))
    headings = ("setting", "depth", "params, M", "MACs, M", "Eq. (4)", "seed", "state", "run")
    print(tabulate(lines, headings, disable_numparse=True, colalign=("left", *["right"] * 5)))
    if plan.remark is not None:
        print(f"\nNote: {plan.remark}.")
    if plan.ablation.trains and not chosen:
        print("\nNothing is trained: this scale states no seeds for these depths.")
    elif plan.ablation.trains:
        absent = [run for run in chosen if states[run.name] == "missing"]
        jobs = jobs_here(plan, found, machine, jobs)
        time = estimate(absent, found, machine, jobs, lambda: rate(plan, absent, machine))
        counts = Counter(states.values())
        told = [f"{counts['done']} of {len(chosen)} runs are there"]
        ended = ("failed", "diverged", "unsound")
        told += [f"{counts[what]} {what}" for what in ended if counts[what]]
        print(f"\n{', '.join(told)}.", end=" ")
        print(f"The missing ones: {time}." if absent else "Nothing is missing.")
        say_what_is_shown(plan, shown)


def _lines(
    plan: "Plan", entries: "Sequence[Entry]", states: Mapping[str, str], counted: bool
) -> Iterator[tuple[object, ...]]:
    """A line a run: its net's counts, and how far it is.

    Args:
        plan: of the table.
        entries: the lines of it that are asked for.
        states: of the runs that are, by name.
        counted: whether lines without runs are shown.
    """
    from cardinality.architecture.complexity import block_parameters, deviation
    from cardinality.architecture.names import net_in_words

    for entry in entries:
        row, net, cost = entry.row, entry.architecture, entry.complexity
        budget = row.budget * block_parameters(plan.ablation.reference)
        off = "deeper" if row.deeper else f"{deviation(row.setting, budget):+.2%}"
        name = net_in_words(row.setting, residual=row.residual, variant=net.variant)
        common = (name, net.depth, f"{cost.params / 1e6:.2f}", f"{cost.macs / 1e6:.1f}", off)
        for run in entry.runs:
            if run.name in states:
                yield (*common, run.seed, states[run.name], run.name)
        if not entry.runs and counted:
            yield (*common, "", "only counted" if plan.ablation.trains else "arithmetic alone", "")


def _detect(
    plan: "Plan", found: "Results", machine: "Machine", points: float, jobs: int | None
) -> None:
    """Say how many seeds and how much time each comparison of a table needs."""
    from functools import cache

    from cardinality.execution.probe import rate
    from cardinality.report.detect import demands, page
    from cardinality.report.judged import folders_of
    from cardinality.results.estimate import duration, estimate

    if not 0 < points < 100:
        raise UserError(f"--detect {points:g}: allowed are points above 0 and below 100")
    if not plan.ablation.trains:
        raise UserError(
            f"--detect: {plan.ablation_name} is arithmetic; allowed: a table that trains"
        )
    root = found.folder.parent
    others = [each for each in folders_of(root) if each.folder.name != plan.protocol_name]
    wanted = demands(plan, points, found, others)
    jobs = jobs_here(plan, found, machine, jobs)
    # What nothing is known of is measured once, not for every line.
    measured = cache(lambda: rate(plan, plan.runs(), machine))

    def time(runs: "Sequence[Run]") -> str:
        return duration(estimate(runs, found, machine, jobs, measured).seconds)

    print(page(plan, points, wanted, time))
    print(f"\n{estimate(plan.runs(), found, machine, jobs, measured)} for the table as stated.")
