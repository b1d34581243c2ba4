"""A training run: what decides its bits, and the name that follows from that."""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from typing import Any

from cardinality.architecture.complexity import Complexity, complexity
from cardinality.architecture.settings import Architecture, Setting
from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.experiment.configuration import Training
from cardinality.experiment.datasets import DataSpec
from cardinality.host.machine import Device, Precision

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
    def net(self) -> str:
        """What tells its net from others, as its name has it."""
        return net_name(self.architecture)

    @cached_property
    def name(self) -> str:
        """A readable slug and a hash of the configuration: ``32x4d-depth11-seed0-0a1b2c3d4e``."""
        return f"{self.net}-seed{self.seed}-{digest(self.configuration)}"

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


class LaterNetError(UserError):
    """A configuration says of a net what this version does not know."""


def net_name(net: Architecture) -> str:
    """What a net is called in the names of its runs: ``32x4d-depth11``."""
    plain = "" if net.residual else "-noshortcut"
    more = "".join(f"-{part.replace(' ', '')}" for part in net.variant.split(", ") if part)
    return f"{net.setting}-depth{net.depth}{more}{plain}"


def net_from(described: Mapping[str, Any]) -> Architecture:
    """The net that a configuration describes: what `net_of` says of it, the other way.

    Raises:
        LaterNetError: something is said of it that is not known here.
        UserError: no net can be built so.
    """
    known = {field.name: field.default is MISSING for field in fields(Architecture)}
    for key in described.keys() - known.keys():
        raise LaterNetError(f"no net of ours: {key} is not known here")
    for key, needed in known.items():
        if needed and key not in described:
            raise UserError(f"no net of ours: {key} is missing")
    try:
        return Architecture(**{**described, "setting": Setting.parse(described["setting"])})
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"no net of ours: {error}") from None


def _departures(described: object, omit: Container[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass that have no default, or another value than it."""
    usual = {f.name: f.default for f in fields(described)}  # type: ignore[arg-type] # a dataclass
    values = {name: getattr(described, name) for name in usual if name not in omit}
    return {name: value for name, value in values.items() if value != usual[name]}


def _stated(model: Strict) -> dict[str, Any]:
    """The same of what a protocol says."""
    return model.model_dump(mode="json", exclude_defaults=True)
