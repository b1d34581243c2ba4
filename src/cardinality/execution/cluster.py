"""What is asked of a cluster for each run, from a YAML file; without Slurm, a GPU or data."""

import re

from pydantic import Field, field_validator

from cardinality.common.strict import Strict
from cardinality.host import kernel
from cardinality.host.machine import Device, Machine, Precision

# Seconds before a job's end at which it is told so, and at which it stops even if it was not: time
# for a step, an evaluation at worst, and a checkpoint. Of a short job a quarter of its time.
NOTICE = 300


class Cluster(Strict):
    """A cluster's nodes, and what a run's job asks for.

    Attributes:
        device, precision: what the nodes have, since runs are named by it and the machine from
            which jobs are sent may have something else.
        partition, account, constraint, comment: as Slurm has them.
        time: of a job, such as 24h or 90m; a run that needs more goes on in the next one.
        gpus: of a run's job, no more than one; one unless stated where the device is a GPU.
        cpus: cores of a run's job.
        memory: of a run's job in GB.
        array: how many jobs run at once at most.
    """

    device: Device
    precision: Precision
    partition: str | None = None
    account: str | None = None
    time: str = "24h"
    gpus: int | None = None
    cpus: int = Field(default=1, ge=1, le=1024)
    memory: int | None = Field(default=None, ge=1, le=100_000)
    constraint: str | None = None
    array: int = Field(default=256, ge=1, le=100_000)
    comment: str | None = None

    @field_validator("time")
    @classmethod
    def _check_time(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9][0-9]{0,4}[hm]", value):
            raise ValueError(f"{value!r}; allowed: hours or minutes, such as 24h or 90m")
        return value

    @field_validator("partition", "account", "constraint", "comment")
    @classmethod
    def _check_word(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.,:&|\[\]()*@ -]{1,200}", value):
            raise ValueError(f"{value!r:.60}; allowed: letters, digits and .,:&|[]()*@-")
        return value

    @field_validator("gpus")
    @classmethod
    def _check_gpus(cls, value: int | None) -> int | None:
        if value not in (None, 1):
            raise ValueError(
                f"{value}; allowed: 1, since a run's job is one process; several share a run only"
                " where one starts them: run --gpus, or srun (docs/scale.md)"
            )
        return value

    @property
    def minutes(self) -> int:
        """Of a job."""
        return int(self.time[:-1]) * (60 if self.time[-1] == "h" else 1)

    @property
    def notice(self) -> int:
        """Seconds before its end at which a job stops."""
        return min(NOTICE, 60 * self.minutes // 4)

    def machine(self) -> Machine:
        """The nodes, as far as naming runs needs it."""
        own = self.device == "cpu" and kernel.load() is not None
        return Machine(self.device, "a cluster", self.cpus, self.precision == "bfloat16", own)
