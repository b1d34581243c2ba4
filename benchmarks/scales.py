"""What is measured on each kind of device."""

from dataclasses import replace

from benchmarks.measure import Where
from cardinality.architecture.settings import Role
from cardinality.experiment.grid import make_plan
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine

# What runs on each kind of device: protocol, images a step where not the protocol's (a whole step
# of the plain loop takes seconds on a CPU), and the roles of the depths.
SCALES: dict[str, list[tuple[str, int | None, tuple[Role, ...]]]] = {
    "cpu": [
        ("quick", None, ("base", "deep")),
        ("cifar10-small", None, ("base", "deep")),
        ("cifar10", 32, ("base",)),
    ],
    # `cifar10` is the same nets, trained longer.
    "cuda": [("cifar10-short", None, ("base", "deep"))],
}
# The scale of the committed evidence, for what is measured at one alone.
EVIDENCE = {"cpu": SCALES["cpu"][1], "cuda": SCALES["cuda"][0]}
# More nets of which the cost of cardinality alone is measured: ablation, protocol and roles.
MORE: dict[str, list[tuple[str, str, tuple[Role, ...]]]] = {
    "cpu": [("residual", "quick", ("residual",)), ("residual", "cifar10-small", ("residual",))],
    "cuda": [("table3", "imagenette", ("base", "deep"))],
}
# Loader workers of the other loops: on a CPU the core's own process, on a GPU what a node has.
WORKERS = {"cpu": 0, "cuda": 8}


def runs(
    machine: Machine, protocol: str, role: Role, batch: int | None = None, ablation: str = "table3"
) -> list[Run]:
    """The run of every setting at one depth, shortcuts included, with the first seed.

    Batch norm is over the whole batch, as the others have it, also where the protocol's is not.
    """
    plan = make_plan(ablation, protocol, machine, seeds=1, batch=batch)
    found = [e.runs[0] for e in plan.entries if e.role == role and e.row.residual]
    whole = {"norm_images": None}
    return [replace(r, training=r.training.model_copy(update=whole)) for r in found]


def where(section: str, protocol: str, run: Run) -> Where:
    """What a measurement of a run's net is of."""
    net = run.architecture
    return Where(section, protocol, net.depth, str(net.setting), run.training.batch)
