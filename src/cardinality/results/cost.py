"""What runs would cost on a machine that others have measured: hours, energy, money.

A machine's rate, multiply-adds a second, is known for some settings, at one depth, and taken for
the setting's other depths; between settings it is interpolated over log C, and beyond them it is
the nearest one's. Which of these it was is always said.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from cardinality.architecture.complexity import complexity
from cardinality.architecture.settings import Architecture, Setting
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.experiment.configuration import SettingText
from cardinality.experiment.reading import load
from cardinality.experiment.run import Run
from cardinality.host.machine import Machine, Precision

# What the measured trainings were of: ImageNet-1K at 224 pixels, evaluated after each epoch.
TRAIN, TEST, SIDE = 1_281_167, 50_000, 224

Basis = Literal["measured", "as another depth", "interpolated", "beyond what was measured"]


class Measured(Strict):
    """One training of a net on ImageNet: so many hours for so many epochs."""

    setting: SettingText
    depth: int = Field(ge=1)
    hours: float = Field(gt=0)
    epochs: int = Field(ge=1)

    @property
    def rate(self) -> float:
        """Multiply-adds a second, counted as `cardinality.experiment.run.Run.cost` does."""
        net = Architecture(self.setting, self.depth, "imagenet", 1000, 64)
        cost = complexity(net, SIDE).macs * (3 * TRAIN + TEST) * self.epochs
        return cost / (3600 * self.hours)


class Known(Strict):
    """A machine.

    Attributes:
        name: such as 8xV100.
        gpus: that share a run.
        watts: of one of them, at most.
        precision: of what was measured.
        measured: by which its rates are known.
        source: who measured.
    """

    name: str
    gpus: int = Field(ge=1)
    watts: float = Field(gt=0)
    precision: Precision
    measured: tuple[Measured, ...] = Field(min_length=1)
    source: str

    def rate(self, setting: Setting, depth: int) -> tuple[float, Basis]:
        """Multiply-adds a second for a setting, and what that is known from: the nearest depth."""
        rates = sorted((one.setting.cardinality, one.rate) for one in self.measured)
        same = [one for one in self.measured if one.setting == setting]
        if same:
            nearest = min(same, key=lambda one: abs(one.depth - depth))
            return nearest.rate, "measured" if nearest.depth == depth else "as another depth"
        wanted = setting.cardinality
        if not rates[0][0] <= wanted <= rates[-1][0]:
            return min(rates, key=lambda known: abs(math.log(known[0] / wanted)))[1], (
                "beyond what was measured"
            )
        exact = next((rate for cardinality, rate in rates if cardinality == wanted), None)
        if exact is not None:  # of another width
            return exact, "interpolated"
        below = max(known for known in rates if known[0] < wanted)
        above = min(known for known in rates if known[0] > wanted)
        part = math.log(wanted / below[0]) / math.log(above[0] / below[0])
        return below[1] + part * (above[1] - below[1]), "interpolated"

    def machine(self) -> Machine:
        """The same, as far as naming runs needs it."""
        return Machine("cuda", self.name, 1, self.precision == "bfloat16")


class Machines(Strict):
    """All machines that something is known of."""

    machines: tuple[Known, ...]


def known(name: str) -> Known:
    """A machine by its name.

    Raises:
        UserError: nothing is known of it, with those that something is.
    """
    path = workspace.find("paper_tables", "machines", ".yaml")
    if path is None:
        raise UserError("paper_tables/machines.yaml: is missing; allowed: the suite's own")
    every = load(path, Machines).machines
    found = next((one for one in every if one.name == name), None)
    if found is None:
        allowed = ", ".join(one.name for one in every)
        raise UserError(f"--machine {name!r:.60}: not in {path}; allowed: {allowed}")
    return found


@dataclass(frozen=True)
class Cost:
    """What a run would take: hours of the whole machine, kilowatt hours at most, and the basis."""

    run: Run
    hours: float
    kwh: float
    basis: Basis


def costs(runs: Sequence[Run], machine: Known) -> list[Cost]:
    """What each run would take, one after the other on the whole machine."""
    found = []
    for run in runs:
        rate, basis = machine.rate(run.architecture.setting, run.architecture.depth)
        hours = run.cost / rate / 3600
        kwh = hours * machine.gpus * machine.watts / 1000
        found.append(Cost(run, hours, kwh, basis))
    return found
