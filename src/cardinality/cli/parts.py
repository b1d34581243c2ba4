"""A table that is computed in parts, each shown as soon as it is there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cardinality.common.text import line

if TYPE_CHECKING:
    from cardinality.execution.stopping import Stop
    from cardinality.experiment.plan import Plan, Run
    from cardinality.host.launched import Launched
    from cardinality.host.machine import Machine
    from cardinality.results.folder import Results


def compute_parts(
    plan: "Plan",
    absent: "Sequence[Run]",
    found: "Results",
    machine: "Machine",
    jobs: int,
    seconds: float,
    stop: "Stop",
    which: "Launched | None" = None,
) -> tuple[list[tuple[str, str]], str]:
    """Compute runs of a table, part by part (`Plan.parts`), and show each part when it is there.

    Args:
        absent: the runs.
        seconds: that all of them are estimated to take.
        stop: when it is to end before.
        which: of the processes that share each run this is; then it has no parts.

    Returns:
        The runs that failed with the reason, and by what it was stopped, if it was.
    """
    from cardinality.execution.display import Display
    from cardinality.execution.driver import compute_all
    from cardinality.host.provenance import provenance
    from cardinality.report.render import closing

    parts = plan.parts() if which is None else (plan,)
    asked = [(part, _among(absent, part)) for part in parts]
    asked = [(part, runs) for part, runs in asked if runs]
    place, failed, stopped = provenance(machine), list[tuple[str, str]](), ""
    if len(asked) > 1:
        print(f"First {_named(asked[0][1])}.", flush=True)
    for number, (part, runs) in enumerate(asked, start=1):
        share = seconds * _cost(runs) / _cost(absent)
        display = Display(runs, share)
        summary = compute_all(runs, found, min(jobs, len(runs)), place, display, stop, which)
        failed += summary.failed
        stopped = summary.stopped
        if stopped:
            break
        if number < len(asked):
            print(f"\n{closing(part, found)}\nNow {_named(asked[number][1])}.", end=" ")
            print(
                "Stop when you like (Ctrl-C): what is there is kept and shown,"
                " and the same command goes on.\n",
                flush=True,
            )
    return failed, stopped


def _among(runs: "Sequence[Run]", plan: "Plan") -> "list[Run]":
    """Those of some runs that a plan has, too."""
    names = {run.name for run in plan.runs()}
    return [run for run in runs if run.name in names]


def _cost(runs: "Sequence[Run]") -> int:
    return sum(run.cost for run in runs)


def _named(runs: "Sequence[Run]") -> str:
    depths = sorted({run.architecture.depth for run in runs})
    count = f"{len(runs)} run{'s'[: len(runs) > 1]}"
    return f"{count} with {' and '.join(map(str, depths))} layers"


def next_command(plan: "Plan", by_make: bool) -> str:
    """The one command that is worth typing after a table is there, if its scale names one."""
    from cardinality.experiment.configuration import Protocol
    from cardinality.experiment.plan import PROTOCOLS, find
    from cardinality.experiment.reading import load

    name, following = plan.ablation_name, plan.protocol.next
    if following is None:
        return ""
    title = load(find(following, PROTOCOLS), Protocol, bases=PROTOCOLS).title
    command = f"cardinality run {name} --protocol {following}"
    if by_make:
        command = f"make {name} PROTOCOL={following}"
    return f"Next ({line(title)}): {command}\n"
