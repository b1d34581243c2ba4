"""Several processes for one run: whether a table's runs can be shared, and who starts them."""

import os
import sys
from typing import TYPE_CHECKING

from cardinality.common.errors import UserError
from cardinality.host.launched import Launched, launched

if TYPE_CHECKING:
    from cardinality.experiment.plan import Plan


def take_part(plan: "Plan", processes: int | None, jobs: int | None) -> Launched | None:
    """Which of the processes that share each run this is; nothing where each run has one.

    Where no launcher has started this process, it becomes torch's own, which starts them all.

    Raises:
        UserError: the runs cannot be shared among so many.
    """
    if processes is None or processes == 1:
        return None
    check(plan, processes)
    if jobs not in (None, 1):
        raise UserError(f"--jobs {jobs}: runs that share GPUs go one by one; allowed: --jobs 1")
    which = launched(processes)
    if which is None:
        launch(processes)
    return which


def check(plan: "Plan", processes: int) -> None:
    """See that a table's runs can be shared among so many processes.

    Raises:
        UserError: batch norm's groups are not stated, or are too few.
    """
    training, name = plan.protocol.training, plan.protocol_name
    if training.norm_images is None:
        raise UserError(
            f"--gpus {processes}: {name}: training.norm_images: is missing, so batch norm is over"
            f" the whole batch, which {processes} processes cannot share; allowed: --gpus 1, or a"
            " protocol with groups"
        )
    groups = -(-training.batch // training.norm_images)
    if processes > groups:
        raise UserError(
            f"--gpus {processes}: {name}: a batch of {training.batch} has {groups} groups of"
            f" {training.norm_images} images; allowed: --gpus 1 to {groups}"
        )


def launch(processes: int) -> None:
    """Become torch's launcher of this command, on this machine; it does not come back."""
    sys.stdout.flush()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, and says at length
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *torchrun, "-m", "cardinality.cli", *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606 -- our own words
