"""The record of a run that failed: what it came to, and where that was computed."""

from collections.abc import Sequence

from cardinality.data.images import Identity
from cardinality.experiment.run import Run
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results
from cardinality.results.progress import Header, Unsound, read_header
from cardinality.results.records import Record, make_record


def failure_of(
    run: Run,
    results: Results,
    reason: str,
    identity: Identity | None = None,
    epochs: Sequence[Epoch] = (),
    diverged: bool = False,
) -> Record:
    """The record of a run that failed, with the sittings that its checkpoint tells of.

    That one has them all, the sitting that failed included, whoever notices the failure.

    Args:
        run: which.
        results: that it has its checkpoint in.
        reason: why it failed.
        identity: of the images, where whoever asks has read them; else the checkpoint's.
        epochs: those that it did, where they are known.
        diverged: whether it would fail again.
    """
    kept = _kept(run, results)
    if identity is None and kept is not None:
        identity = kept.identity
    sittings = () if kept is None else kept.sittings
    return make_record(run, identity, epochs, sittings, failure=reason, diverged=diverged)


def _kept(run: Run, results: Results) -> Header | None:
    """What the run's checkpoint says; one that cannot be read must not hide the failure."""
    try:
        header = read_header(results.checkpoint(run.name))
    except (Unsound, OSError):
        return None
    return header if header.run == run.name else None
