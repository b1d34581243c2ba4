"""What runs would cost on a machine that others have measured: plan with --machine."""

from pathlib import Path
from typing import TYPE_CHECKING

from cardinality.cli.options import refuse, results_root
from cardinality.common.errors import UserError
from cardinality.common.text import terminal
from cardinality.common.workspace import names

if TYPE_CHECKING:
    from cardinality.results.cost import Cost
    from cardinality.results.folder import Results


def show_costs(
    ablation: str | None,
    protocol: str,
    seeds: int | None,
    batch: int | None,
    results: Path | None,
    name: str,
    price: float | None,
    part: tuple[str | None, str | None, int | None] = (None, None, None),
) -> None:
    """Print hours, energy and, at a price an hour of the whole machine, money: each run, and all.

    Without an ablation it is of every run that any table of the protocol needs, each once. A part
    of one is a setting, a depth and a seed, as `Plan.select` has them.
    """
    from tabulate import tabulate

    from cardinality.experiment.grid import make_plan
    from cardinality.experiment.places import ABLATIONS
    from cardinality.results.cost import costs, known
    from cardinality.results.folder import Results

    if price is not None and not 0 < price < 1e6:
        raise UserError(f"--price {price:g}: allowed are prices above 0 for an hour")
    if ablation is None:
        options = dict(zip(("--only", "--depth", "--seed"), part, strict=True))
        refuse(options, "on all tables together", "with a table's name")
    machine = known(name)
    asked = names(ABLATIONS, ".yaml") if ablation is None else [ablation]
    plans = []
    for one in asked:
        try:
            plans.append(make_plan(one, protocol, machine.machine(), seeds, batch))
        except UserError:
            if ablation is not None:
                raise  # of all tables, some are no question of this protocol's
    if not plans:
        raise UserError(f"--protocol {protocol}: no table can be planned; allowed: a table's name")
    runs = {run.name: run for plan in plans for run in plan.select(*part)}
    found = Results(results_root(results) / plans[0].protocol_name)
    every = costs(list(runs.values()), machine)
    lines = [_line(cost, found, price) for cost in every]
    hours, kwh = sum(cost.hours for cost in every), sum(cost.kwh for cost in every)
    lines.append(
        (f"all {len(every)} runs", f"{hours:.1f}", f"{kwh:.0f}", _money(hours, price), "", "")
    )
    headings = ("run", "hours", "kWh at most", "price", "took, hours", "rate")
    print(tabulate(lines, headings, disable_numparse=True, colalign=("left", *["right"] * 4)))
    whose = terminal(
        f"{machine.name} in {machine.precision}, one run after the other. {machine.source};"
    )
    print(f"\n{whose}")
    print("where a setting was not measured its rate is interpolated over log C.")


def _line(cost: "Cost", found: "Results", price: float | None) -> tuple[str, ...]:
    """One run, beside what it took where it has been computed."""
    record = found.read(cost.run.name)
    done = record is not None and record.status == "done"
    took = f"{record.seconds / 3600:.1f}" if done and record is not None else ""
    money = _money(cost.hours, price)
    return cost.run.name, f"{cost.hours:.1f}", f"{cost.kwh:.0f}", money, took, cost.basis


def _money(hours: float, price: float | None) -> str:
    return "" if price is None else f"{hours * price:,.2f}"
