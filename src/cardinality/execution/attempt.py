"""A run computed by this process, if nobody else has it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cardinality.common.errors import one_line
from cardinality.execution.contract import Compute, Report
from cardinality.execution.failure import failure_of
from cardinality.execution.holds import Hold, Holds
from cardinality.experiment.run import Run
from cardinality.host.provenance import Place
from cardinality.results.folder import Results
from cardinality.training.ends import Lost


def attempt(
    compute: Compute, run: Run, folder: Path, place: Place, on_step: Callable[[float], None]
) -> Report:
    """Take a run, compute it, and give it up again, however it ends.

    Args:
        compute: trains it and writes its record.
        run: which.
        folder: of the protocol's results.
        place: where, for the record.
        on_step: told how many epochs are done; it may raise `Stopped`.

    Raises:
        Broken: nothing can be computed here.
        UserError: the disk has no hard links.
    """
    results = Results(folder)
    try:
        hold = Holds(results).take(run.name)
    except OSError as error:  # a full disk: with room again other runs go on
        reason = one_line(error)
        record = failure_of(run, results, reason)
        return Report(run, "failed", reason, record)
    if not isinstance(hold, Hold):
        return Report(run, "taken", f"computed by {hold or 'another process'}")
    if results.status(run.name) in ("done", "diverged"):  # since the driver has looked
        hold.finish()
        return Report(run, "taken", "computed by another process")
    try:
        with hold.renewed():
            report = compute(run, folder, place, on_step, hold.check)
    except Lost as error:
        return Report(run, "taken", str(error))
    except BaseException:
        hold.release()
        raise
    if report.outcome in ("done", "diverged"):
        hold.finish()
    elif report.outcome == "failed":
        return replace(report, hold=hold)
    else:
        hold.release()
    return report
