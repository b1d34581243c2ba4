"""What can be known before hours are spent: that results can be written, and that there is room."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import check_writable
from cardinality.data.loaders import fitting, largest_batch
from cardinality.data.store import cache_folder, data_root
from cardinality.experiment.run import Run

INSIDE = (
    "runs", "failed", "checkpoints", "weights", "images", "holds", "kept", "jobs", "tables", "plots"
)  # fmt: skip


def check(runs: Sequence[Run], results: Path) -> None:
    """See that runs can be computed as far as their files go, the cheapest first.

    Raises:
        UserError: a folder cannot be written to, or the disk or the memory that loaders share has
            too little room.
    """
    check_places(results)
    for run in runs[:1]:
        if run.data.name == "folders":
            fitting(largest_batch(run.data, run.training.batch))
    free, needed = room(runs, results)
    if free < needed:
        raise UserError(
            f"{results}: {free / 2**20:,.1f} MiB are free and these runs write"
            f" {needed / 2**20:,.1f} MiB; allowed: --results on a disk with more"
        )


def check_places(results: Path) -> tuple[Path, ...]:
    """See by writing that everything that a run writes to can be written to, and say what that is.

    Raises:
        UserError: it cannot.
    """
    places = (results, *(results / name for name in INSIDE), cache_folder(data_root()))
    for place in places:
        check_writable(place)
    return places


def room(runs: Sequence[Run], results: Path) -> tuple[int, int]:
    """Bytes that are free, and bytes for the weights of all runs and two checkpoints.

    A checkpoint has weights and momentum; one is written while the one before is still there.
    """
    unique = {run.name: run for run in runs}
    needed = sum(4 * run.complexity.params for run in unique.values())
    needed += 2 * 2 * 4 * max((run.complexity.params for run in unique.values()), default=0)
    folder = next(path for path in (results, *results.resolve().parents) if path.exists())
    return shutil.disk_usage(folder).free, needed
