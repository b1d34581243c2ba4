"""How far a protocol's runs are, as anybody who sees the folder can tell."""

from dataclasses import dataclass

from cardinality.common.errors import UserError
from cardinality.execution.holds import Holds
from cardinality.execution.slurm import job_of, queue
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header

# In the order in which they are told.
STATES = ("running", "queued", "stopped", "lost", "failed", "diverged", "unsound", "done")


@dataclass(frozen=True)
class State:
    """One run: its name, one of `STATES`, its epochs so far and who has it or what was wrong."""

    name: str
    state: str
    epochs: int | None
    note: str = ""


def states(results: Results) -> list[State]:
    """Every run of which something is known, by state and name.

    A run is lost if whoever had it has died, and nobody goes on with it; the next driver will.
    """
    folder = results.folder
    names = {path.parent.name for kind in ("runs", "failed") for path in folder.glob(f"{kind}/*/*")}
    names |= {path.name for path in folder.glob("holds/[!.]*")}
    names |= {path.stem for path in folder.glob("checkpoints/*.pt")}
    names |= {path.stem for path in folder.glob("jobs/*.json")}
    holds, jobs = Holds(results), queue() if any(folder.glob("jobs/*.json")) else {}
    try:
        found = [_state(name, results, holds, jobs) for name in names]
    finally:
        holds.forget()
    return sorted(found, key=lambda one: (STATES.index(one.state), one.name))


def _state(name: str, results: Results, holds: Holds, jobs: dict[str, str] | None) -> State:
    try:
        status = results.status(name)
    except UserError as error:
        return State(name, "unsound", None, str(error))
    if status != "missing":
        return State(name, status, None)
    epochs = _epochs(results, name)
    holder = holds.look(name)
    if holder is not None:
        return State(name, "running", epochs, str(holder))
    job = job_of(results, name)
    if job is not None and jobs is None:
        return State(name, "queued", epochs, f"job {job}; the queue cannot be asked here")
    if job is not None and job in (jobs or {}):
        return State(name, "queued", epochs, f"job {job}, {(jobs or {})[job].lower()}")
    lost = holds.lost(name) or job is not None
    return State(name, "lost" if lost else "stopped", epochs, f"job {job}" if job else "")


def _epochs(results: Results, name: str) -> int:
    try:
        return read_header(results.checkpoint(name)).epochs
    except (Unsound, OSError):
        return 0
