"""Several processes for one run: whether a table's runs can be shared, and who starts them."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from cardinality.common.errors import UserError
from cardinality.host.launched import Launched, launched

if TYPE_CHECKING:
    from cardinality.experiment.plan import Plan


def take_part(plan: "Plan", processes: int | None, jobs: int | None) -> Launched | None:
    """Which of the processes that share each run this is; nothing where each run has one.

    Where no launcher has started this process, it starts them all by torch's, and ends as they do.

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
    runs, name = plan.runs(), plan.protocol_name
    training = runs[0].training if runs else plan.protocol.training  # --batch is in the runs
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


def launch(processes: int) -> NoReturn:
    """Start this command in so many processes by torch's launcher, and end as they do.

    A stop that they have heard is no failure, and the first of them has said it.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    sys.stdout.flush()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does, and says at length
    torchrun = ["--standalone", "--nproc-per-node", str(processes), "-m", "cardinality.cli"]
    try:
        main([*torchrun, *sys.argv[1:]])
    except SignalException:
        sys.exit(0)
    except ChildFailedError as error:
        sys.exit(2 if error.get_first_failure()[1].exitcode == 2 else 1)
    sys.exit(0)
