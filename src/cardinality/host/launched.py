"""The processes that share a run: how many a launcher has started, and which of them this is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cardinality.common.errors import UserError

# What a launcher tells each process: its number, how many there are, its number on its machine.
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
# Where the first process listens, as torch has it.
ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"
# Ports for jobs of Slurm, by the job's number, so that two on a machine have not the same.
FIRST_PORT, PORTS = 20_000, 10_000


@dataclass(frozen=True)
class Launched:
    """One of several processes that share a run.

    Attributes:
        number: which; the first writes checkpoints and records.
        count: how many there are.
        local: its number on its machine, which is that of its GPU.
    """

    number: int = 0
    count: int = 1
    local: int = 0


def launched(asked: int, environment: Mapping[str, str] = os.environ) -> Launched | None:
    """Which of the processes that were asked for this is; nothing if no launcher started it.

    Args:
        asked: how many.
        environment: of this process.

    Raises:
        UserError: a launcher has started another number of them.
    """
    for names, what in ((TORCHRUN, "torchrun"), (SLURM, "Slurm")):
        values = [environment.get(name, "") for name in names]
        if not all(value.isdecimal() for value in values):
            continue
        number, count, local = map(int, values)
        if count != asked:
            raise UserError(f"--gpus {asked}: {what} has started {count}; allowed: --gpus {count}")
        return Launched(number, count, local)
    return None


def sharing_here(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes share this machine's cores; Slurm gives each task its own."""
    here = environment.get("LOCAL_WORLD_SIZE", "")
    return max(1, int(here)) if here.isdecimal() else 1


def meeting_place(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where the processes meet, as torch's own names for it; torchrun states it itself.

    Of a job of Slurm it is the machine that launched it, at a port that follows from its number.
    """
    if ADDRESS in environment and PORT in environment:
        return {}
    first = environment.get("SLURM_LAUNCH_NODE_IPADDR") or "127.0.0.1"
    job = environment.get("SLURM_JOB_ID", "")
    port = FIRST_PORT + (int(job) if job.isdecimal() else 0) % PORTS
    return {ADDRESS: environment.get(ADDRESS, first), PORT: environment.get(PORT, str(port))}
