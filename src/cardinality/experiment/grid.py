"""From a question and a scale to the list of runs that answer it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cardinality.architecture.complexity import complexity
from cardinality.architecture.settings import Architecture
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.experiment.configuration import Ablation, Protocol, Row, Training
from cardinality.experiment.places import ABLATIONS, PROTOCOLS, find, typed
from cardinality.experiment.plan import Entry, Plan
from cardinality.experiment.reading import load, names_of_chain
from cardinality.experiment.run import Numerics, Run
from cardinality.host.machine import Machine


class OtherScaleError(UserError):
    """An ablation and a protocol that are not for each other, by what they list."""


def make_plan(
    ablation: str,
    protocol: str,
    machine: Machine,
    seeds: int | None = None,
    batch: int | None = None,
    first_seed: int = 0,
) -> Plan:
    """Read an ablation and a protocol and work out every run.

    Args:
        ablation, protocol: a name (a file in ablations/ or ablations/protocols/) or a path.
        machine: where the runs would be computed; it resolves the numerics.
        seeds: how many seeds; by default the protocol's.
        batch: images a step, by default the protocol's; the rate changes in proportion.
        first_seed: where they begin; those that a protocol states begin at 0.

    Raises:
        OtherScaleError: the two are not for each other.
        UserError: a file that is missing or wrong, or a net that cannot be built.
    """
    ablation_path = find(ablation, ABLATIONS)
    protocol_path = find(protocol, PROTOCOLS)
    question = load(ablation_path, Ablation)
    scale = load(protocol_path, Protocol, bases=PROTOCOLS)
    _check_scale(ablation_path, question, protocol_path, scale)
    if scale.committed is not None:
        note(f"{protocol_path}: committed: has no effect any more; it may be left out")
    if seeds is not None and seeds < 1:
        raise UserError(f"seeds {seeds}: at least 1")
    training = scale.training if batch is None else scale.with_batch(batch).training
    numerics = numerics_on(machine, scale)

    def entry(row: Row, role: str) -> Entry:
        where, depth = _depth(row, role, scale, protocol_path, ablation_path.stem)
        try:
            net = _net(row, depth, scale)
        except UserError as error:
            raise UserError(f"{protocol_path}: base or {where}: {error}") from None
        stated = scale.count(role) if question.trains else 0
        count = stated if seeds is None or not stated else seeds
        own = training.of_depth(depth)
        asked = range(first_seed, first_seed + count)
        runs = (Run(net, scale.data, own, numerics, seed) for seed in asked)
        return Entry(row, role, net, complexity(net, scale.data.side), tuple(runs))

    entries = tuple(entry(row, role) for role, row in _lines(question))
    remark = _batch_remark(scale.training, training)
    commanded = typed(ablation_path, ABLATIONS), typed(protocol_path, PROTOCOLS)
    return Plan(ablation_path.stem, question, protocol_path.stem, scale, commanded, entries, remark)


def numerics_on(machine: Machine, scale: Protocol) -> Numerics:
    """How a machine computes the runs of a scale: what the scale leaves open, it decides."""
    threads = scale.numerics.threads
    return Numerics(
        machine.device,
        machine.resolve(scale.numerics.precision),
        threads,
        fused=machine.kernel and threads == 1,  # the kernel computes on one thread
    )


def _net(row: Row, depth: int, scale: Protocol) -> Architecture:
    """The net of a row at a depth of a scale."""
    usual = scale.deeper_block if row.deeper else "original"
    return Architecture(
        row.setting,
        depth,
        scale.stem,
        scale.data.classes,
        scale.base,
        row.residual,
        row.block or usual,
        row.shortcut,
        row.deep_stem,
        row.pooled_projection,
        row.squeeze,
    )


def possible_plans(
    protocol: str, machine: Machine, first: Iterable[str] = ()
) -> tuple[list[Plan], dict[str, str]]:
    """The plans of every table that a scale can have, and why it cannot have the others, by name.

    It may state no such depth, or have a base at which a setting has no whole width. Tables that
    are for other scales are in neither.

    Args:
        protocol, machine: as for `make_plan`.
        first: names that come before the others, where they are there.

    Raises:
        UserError: there is no such protocol, or it can have no table.
    """
    find(protocol, PROTOCOLS)
    there = workspace.names(ABLATIONS, ".yaml")
    plans: list[Plan] = []
    problems: dict[str, str] = {}
    for name in dict.fromkeys([*(name for name in first if name in there), *there]):
        try:
            plans.append(make_plan(name, protocol, machine))
        except OtherScaleError:
            continue
        except UserError as error:
            problems[name] = str(error)
    if not plans:
        none = f"{protocol}: ablations: none of them is in {ABLATIONS}/; allowed: one that is"
        raise UserError(next(iter(problems.values()), none))
    return plans, problems


def _batch_remark(stated: Training, used: Training) -> str | None:
    if used == stated:
        return None
    return (
        f"batch {used.batch} instead of {stated.batch}: the rate is scaled linearly,"
        f" {used.rate:g} instead of {stated.rate:g}, and the duration stays"
        f" {used.epochs or used.steps} {'epochs' if used.epochs else 'steps'}"
    )


def protocols_of(ablation: str) -> tuple[str, ...] | None:
    """The scales that an ablation lists; none where it is for all, or is not known."""
    if ablation not in workspace.names(ABLATIONS, ".yaml"):
        return None
    return load(find(ablation, ABLATIONS), Ablation).protocols


def _check_scale(path: Path, question: Ablation, scale_path: Path, scale: Protocol) -> None:
    """See that two files do not say that they are not for each other."""
    if question.protocols is not None:
        based_on = names_of_chain(scale_path, PROTOCOLS, Protocol)
        if not {*based_on} & {*question.protocols}:
            allowed = ", ".join(question.protocols)
            raise OtherScaleError(
                f"{path}: protocols: is not for {scale_path.stem}; allowed: {allowed}, or one that"
                " is based on them"
            )
    if scale.ablations is not None and path.stem not in scale.ablations:
        allowed = ", ".join(scale.ablations)
        raise OtherScaleError(
            f"{scale_path}: ablations: is not for {path.stem}; allowed: {allowed}"
        )


def _depth(row: Row, role: str, scale: Protocol, protocol: Path, ablation: str) -> tuple[str, int]:
    """The depth of a line in layers, and the key that states it."""
    if row.layers is not None:
        return "layers", row.layers
    depth: int | None = getattr(scale.depths, role)
    if depth is None:
        stated = ", ".join(scale.depths.model_dump(exclude_none=True)) or "none"
        raise UserError(
            f"{protocol}: depths.{role}: is missing, and {ablation} asks for it; stated"
            f" are {stated}"
        )
    return f"depths.{role}", depth


def _lines(ablation: Ablation) -> Iterator[tuple[str, Row]]:
    """Depth by depth, every row; an ablation without depths is shown at the base depth."""
    common: tuple[str, ...] = ablation.depths or ("base",)
    for role in common:
        for row in ablation.rows:
            yield row.role or role, row
