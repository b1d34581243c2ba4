"""From a question and a scale to the list of runs that answer it."""

import hashlib
import json
import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cardinality.architecture.complexity import Complexity, complexity
from cardinality.architecture.settings import Architecture, Setting
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.files import look
from cardinality.common.notes import note
from cardinality.common.strict import Strict
from cardinality.experiment.configuration import Ablation, Protocol, Row, Training
from cardinality.experiment.datasets import DataSpec
from cardinality.experiment.reading import load, names_of_chain
from cardinality.host.machine import Device, Machine, Precision

# Where ablations and protocols lie, below a workspace.
ABLATIONS, PROTOCOLS = "ablations", "ablations/protocols"

# Part of every run's identity. To be raised when a change of the code gives the same
# configuration another result, so that no table mixes runs from before and after.
REVISION = 4


@dataclass(frozen=True)
class Numerics:
    """What decides a run's bits besides its seed; resolved before the run is named.

    Attributes:
        device, precision: what computes, and in which numbers.
        threads: of a run.
        fused: whether batch norm is the suite's own kernel (`cardinality.nets.fast`).
    """

    device: Device
    precision: Precision
    threads: int
    fused: bool = False


def digest(configuration: dict[str, Any]) -> str:
    """What names a configuration: 10 hexadecimal digits of a hash of its plain values."""
    text = json.dumps(configuration, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Run:
    """One training run, completely; nothing else decides its result.

    Attributes:
        architecture: the net.
        data, training: the set and the recipe, as the protocol states them.
        numerics: device, precision and threads.
        seed: of initialisation, order and augmentation.
    """

    architecture: Architecture
    data: DataSpec
    training: Training
    numerics: Numerics
    seed: int

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The effective configuration in plain values, which names the run.

        A key at its default is left out, so that an option which is added later, with what was
        done before as its default, renames no run. Hence a default is never changed.
        """
        return {
            "revision": REVISION,
            "net": net_of(self.architecture),
            "data": {"name": self.data.name} | _stated(self.data),
            "training": _stated(self.training),
            "numerics": _departures(self.numerics),
            "seed": self.seed,
        }

    @cached_property
    def name(self) -> str:
        """A readable slug and a hash of the configuration: ``32x4d-depth11-seed0-0a1b2c3d4e``."""
        net = self.architecture
        plain = "" if net.residual else "-noshortcut"
        more = "".join(f"-{part.replace(' ', '')}" for part in net.variant.split(", ") if part)
        ending = digest(self.configuration)
        return f"{net.setting}-depth{net.depth}{more}{plain}-seed{self.seed}-{ending}"

    @cached_property
    def complexity(self) -> Complexity:
        """Parameters, MACs and activations at the size of the data set's images."""
        return complexity(self.architecture, self.data.side)

    @property
    def cost(self) -> int:
        """Multiply-adds of the whole run: three forward passes' worth an image trained on.

        The backward pass multiplies twice: for the gradients of inputs and of weights.
        """
        training, images = self.training, self.data.training_images
        trained = min(training.all_steps(images) * training.batch, images * self.epochs)
        last = self.data.evaluated_images
        before = last if training.curve is None else min(training.curve, last)
        return self.complexity.macs * (3 * trained + before * (self.epochs - 1) + last)

    @property
    def epochs(self) -> int:
        """Epochs of the whole run, one that is cut short included."""
        return self.training.all_epochs(self.data.training_images)


def net_of(net: Architecture) -> dict[str, Any]:
    """What a configuration says of a net."""
    always = {"setting": str(net.setting), "depth": net.depth, "residual": net.residual}
    return always | _departures(net, omit=always)


def _departures(described: object, omit: Container[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass that have no default, or another value than it."""
    usual = {f.name: f.default for f in fields(described)}  # type: ignore[arg-type] # a dataclass
    values = {name: getattr(described, name) for name in usual if name not in omit}
    return {name: value for name, value in values.items() if value != usual[name]}


def _stated(model: Strict) -> dict[str, Any]:
    """The same of what a protocol says."""
    return model.model_dump(mode="json", exclude_defaults=True)


@dataclass(frozen=True)
class Entry:
    """One line of a table: a row of the ablation at one depth.

    Attributes:
        row: what the ablation says of it.
        role: the role of its depth; of a row that states its layers, those.
        architecture, complexity: the net, and its counts at the size of the data set's images.
        runs: one a seed; none where the ablation, or the scale, only counts it.
    """

    row: Row
    role: str
    architecture: Architecture
    complexity: Complexity
    runs: tuple[Run, ...]

    @property
    def key(self) -> tuple[str, str, bool, str]:
        """What finds the same line in the paper's table."""
        net = self.architecture
        return str(net.setting), self.role, net.residual, net.variant


@dataclass(frozen=True)
class Plan:
    """Every run that one table needs at one scale.

    Attributes:
        ablation_name, protocol_name: names of the two files, without their endings.
        entries: the table's lines, depth by depth, in the ablation's order.
        remark: in what the runs depart from the protocol, if in anything.
    """

    ablation_name: str
    ablation: Ablation
    protocol_name: str
    protocol: Protocol
    entries: tuple[Entry, ...]
    remark: str | None = None

    def runs(self) -> list[Run]:
        """Every run once, in the order in which they are to be computed.

        Seed by seed, so that a table of half the runs compares like with like; in a seed the
        costly ones first, so that no worker is left alone with a long one at the end.
        """
        unique = {run.name: run for entry in self.entries for run in entry.runs}
        return sorted(unique.values(), key=lambda run: (run.seed, -run.cost))

    def select(
        self, only: str | None = None, role: str | None = None, seed: int | None = None
    ) -> list[Run]:
        """The runs of one setting, one depth or one seed, in the same order.

        Raises:
            UserError: there are none, with what there is.
        """
        setting = None if only is None else Setting.parse(only)
        chosen = {
            run.name
            for entry in self.entries
            for run in entry.runs
            if setting in (None, entry.row.setting)
            and role in (None, entry.role, entry.role.partition(" ")[0])
            and seed in (None, run.seed)
        }
        asked = (only, role, seed) != (None, None, None)
        if self.ablation.trains and asked and not chosen:
            settings = ", ".join(dict.fromkeys(str(entry.row.setting) for entry in self.entries))
            roles = ", ".join(dict.fromkeys(entry.role for entry in self.entries))
            raise UserError(
                f"{self.ablation_name} has no such run; allowed: --only {settings};"
                f" --depth {roles}; --seed {self._seeds_in_words()}"
            )
        return [run for run in self.runs() if run.name in chosen]

    def _seeds_in_words(self) -> str:
        seeds = [run.seed for entry in self.entries for run in entry.runs]
        return f"{min(seeds)} to {max(seeds)}" if seeds else "none, since the scale states none"

    def parts(self) -> "tuple[Plan, ...]":
        """The table depth by depth, where every row stands at several; else as a whole."""
        roles = self.ablation.depths or ()
        if len(roles) < 2:
            return (self,)
        return tuple(self.at(role) for role in roles)

    def at(self, role: str) -> "Plan":
        """The lines of one depth alone."""
        return replace(self, entries=tuple(e for e in self.entries if e.role == role))

    def with_numerics(self, numerics: Numerics) -> "Plan":
        """The same runs with other numerics, as another machine would have resolved them."""
        entries = (
            replace(entry, runs=tuple(replace(run, numerics=numerics) for run in entry.runs))
            for entry in self.entries
        )
        return replace(self, entries=tuple(entries))

    @property
    def seeds(self) -> int:
        """How many seeds its rows have, at most."""
        return max((len(entry.runs) for entry in self.entries), default=0)

    def reference(self, entry: Entry) -> Entry | None:
        """The line that a line is compared with, if the table has it.

        It is the one that the row names. Else it has the reference setting, once the complexity,
        and shortcuts if the line has them; at the line's depth, or for a line that goes deeper at
        the depth that it goes deeper than.
        """
        for candidate in self.entries:
            row = candidate.row
            if entry.row.against is not None:
                alike = candidate.role == entry.role or row.layers is not None
                if row.label == entry.row.against and alike:
                    return candidate
            elif (
                row.setting == self.ablation.reference
                and row.budget == 1
                and not row.deeper
                and row.residual == entry.row.residual
                and (candidate.role == entry.role or entry.row.deeper)
            ):
                return candidate
        return None

    def with_shortcuts(self, entry: Entry) -> Entry | None:
        """For a line without shortcuts, the same net with them, if the table has it.

        Where it has it with shortcuts of several types, the first.
        """
        if entry.row.residual:
            return None
        net = entry.architecture

        def alike(other: Architecture) -> bool:
            return replace(net, residual=True, shortcut=other.shortcut) == other

        matches = (
            other
            for other in self.entries
            if other.role == entry.role and alike(other.architecture)
        )
        return next(matches, None)


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
    threads = scale.numerics.threads
    # The kernel computes on one thread.
    numerics = Numerics(
        machine.device,
        machine.resolve(scale.numerics.precision),
        threads,
        fused=machine.kernel and threads == 1,
    )

    def entry(row: Row, role: str) -> Entry:
        where, depth = _depth(row, role, scale, protocol_path, ablation_path.stem)
        usual = scale.deeper_block if row.deeper else "original"
        try:
            net = Architecture(
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
    return Plan(ablation_path.stem, question, protocol_path.stem, scale, entries, remark)


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
        none = f"{protocol}: of its ablations none is in {ABLATIONS}/; allowed: one that is"
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


def find(name: str, place: str) -> Path:
    """The file that a name or path stands for.

    Args:
        name: of a file in the workspace or among the suite's own, or a path that ends in .yaml.
        place: `ABLATIONS` or `PROTOCOLS`.

    Raises:
        UserError: there is none, with the names that there are.
    """
    kind = Path(place).name.removesuffix("s")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        found = workspace.find(place, name, ".yaml")
        if found is None:
            allowed = ", ".join(workspace.names(place, ".yaml"))
            raise UserError(f"{kind} {name!r}: no such {kind}; allowed: {allowed}, or a .yaml file")
        path = found
    if not os.path.lexists(path):
        raise UserError(f"{path}: no such file; allowed: a known {kind}'s name, or a .yaml file")
    look(path)
    # The name becomes a folder or a file in results/.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem):
        raise UserError(f"{path}: the name of a file may have letters, digits, '.', '_' and '-'")
    return path
