"""Runs are tied to their images: what was computed on others is never taken for the asked one."""

from collections.abc import Sequence

from cardinality.common.errors import UserError
from cardinality.data.images import Identity
from cardinality.experiment.run import Run
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header


def check_images(runs: Sequence[Run], results: Results, here: Identity) -> None:
    """See that records and checkpoints of runs are of the images at hand.

    Raises:
        UserError: some are not, in one line with what may be done.
    """
    others: dict[str, Identity] = {}
    for run in runs:
        theirs = _images_of(run, results)
        if theirs is not None and theirs != here:
            others[run.name] = theirs
    if not others:
        return
    name, theirs = next(iter(others.items()))
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    raise UserError(
        f"{results.folder}: {name}{more}: computed on other images, {theirs}; those here are"
        f" {here}; allowed: --data with the images that they were computed on, or --results with a"
        " folder of its own for these"
    )


def _images_of(run: Run, results: Results) -> Identity | None:
    """What a run was computed on so far, if it has begun and its files say it."""
    try:
        record = results.read(run.name)
    except UserError:
        return None  # a record that does not hold together is told of elsewhere
    if record is not None and record.status == "done":
        return record.identity
    checkpoint = results.checkpoint(run.name)
    if not checkpoint.is_file():
        return None
    try:
        return read_header(checkpoint).identity
    except (Unsound, OSError):
        return None  # the worker sets it aside
