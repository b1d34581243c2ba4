"""A table that is computed in parts, each shown as soon as it is there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cardinality.common.errors import UserError
from cardinality.common.text import line, plural

if TYPE_CHECKING:
    from cardinality.execution.driver import Summary
    from cardinality.experiment.plan import Plan
    from cardinality.experiment.run import Run
    from cardinality.host.launched import Launched
    from cardinality.host.machine import Machine
    from cardinality.results.folder import Results


def compute(
    plan: "Plan",
    asked: "tuple[Sequence[Run], int]",
    found: "Results",
    machine: "Machine",
    jobs: int,
    limit: float | None,
    which: "Launched | None" = None,
) -> "Summary":
    """Compute runs of a table, part by part (`Plan.parts`), and show each part when it is there.

    Args:
        plan: the table.
        asked: the runs that are missing, and how many were asked for with them.
        found: its results.
        machine: where.
        jobs: so many side by side.
        limit: seconds; then it stops, if it is limited.
        which: of the processes that share each run this is; then it has no parts.
    """
    from cardinality.execution.display import Display
    from cardinality.execution.driver import Summary, compute_all
    from cardinality.execution.probe import rate
    from cardinality.execution.stopping import Stop
    from cardinality.host.provenance import provenance
    from cardinality.report.render import closing
    from cardinality.results.estimate import duration, estimate

    absent, count = asked
    time = estimate(absent, found, machine, jobs, lambda: rate(plan, absent, machine))
    parts = [(part, _among(absent, part)) for part in (plan.parts() if which is None else (plan,))]
    parts = [(part, runs) for part, runs in parts if runs]
    total = Summary()
    with Stop(limit) as stop:
        print(f"{len(absent)} of {count} runs to compute: {time}.", flush=True)
        if which is not None:
            least = duration(time.seconds / which.count)
            print(f"{which.count} processes share each run: at best {least}.", flush=True)
        place = provenance(machine)
        if len(parts) > 1:
            print(f"First {_named(parts[0][1])}.", flush=True)
        for number, (part, runs) in enumerate(parts, start=1):
            display = Display(runs, time.seconds * _cost(runs) / _cost(absent))
            summary = compute_all(runs, found, min(jobs, len(runs)), place, display, stop, which)
            total.done += summary.done
            total.others += summary.others
            total.failed += summary.failed
            total.stopped = summary.stopped
            if total.stopped:
                break
            if number < len(parts):
                print(f"\n{closing(part, found)}\nNow {_named(parts[number][1])}.", end=" ")
                print(
                    "Stop when you like (Ctrl-C): what is there is kept and shown,"
                    " and the same command goes on.\n",
                    flush=True,
                )
    return total


def _among(runs: "Sequence[Run]", plan: "Plan") -> "list[Run]":
    """Those of some runs that a plan has, too."""
    names = {run.name for run in plan.runs()}
    return [run for run in runs if run.name in names]


def _cost(runs: "Sequence[Run]") -> int:
    return sum(run.cost for run in runs)


def _named(runs: "Sequence[Run]") -> str:
    depths = sorted({run.architecture.depth for run in runs})
    return f"{plural(len(runs), 'run')} with {' and '.join(map(str, depths))} layers"


def next_command(plan: "Plan", by_make: bool) -> str:
    """The one command that is worth typing after a table is there, if its scale names one."""
    from cardinality.experiment.grid import make_plan
    from cardinality.experiment.places import by_hand, command
    from cardinality.report.recorded import ANY

    name, following = plan.typed[0], plan.protocol.next
    if following is None:
        return ""
    try:
        there = make_plan(name, following, ANY)
    except UserError:  # that scale cannot have this table, or is not here
        return ""
    typed = (command if by_make else by_hand)(name, following)
    return f"Next ({line(there.protocol.title)}): {typed}\n"
