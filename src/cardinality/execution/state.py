"""How far a protocol's runs are, as anybody who sees the folder can tell."""

from dataclasses import dataclass

from cardinality.common.errors import UserError
from cardinality.execution.holds import Holds
from cardinality.execution.scheduler import LIVE, queue
from cardinality.execution.slurm import job_of
from cardinality.results.folder import RECORD, Results
from cardinality.results.progress import Unsound, read_header

# In the order in which they are told.
STATES = ("running", "queued", "stopped", "lost", "failed", "diverged", "unsound", "done")
# Said of a run's state where its hold's age could not be told by the file server's clock.
GUESS = "a guess by this machine's clock, since the folder cannot be written to"


@dataclass(frozen=True)
class State:
    """One run: its name, one of `STATES`, its epochs so far, and who has it or what is wrong."""

    name: str
    state: str
    epochs: int | None
    note: str = ""


def states(results: Results, ended: bool = True) -> list[State]:
    """Every run of which something is known, by state and name.

    A run is lost if whoever had it has died and nobody goes on with it; the next driver will.

    Args:
        results: of a protocol.
        ended: whether those that have ended are told, too, whose records are read for it.
    """
    folder = results.folder
    kinds = ("runs", "failed") if ended else ()
    names = {path.parent.name for kind in kinds for path in folder.glob(f"{kind}/*/{RECORD}")}
    names |= {path.name for path in folder.glob("holds/*")}
    names |= {path.stem for path in folder.glob("checkpoints/*.pt")}
    names |= {path.stem for path in folder.glob("jobs/*.json")}
    holds, jobs = Holds(results), queue() if any(folder.glob("jobs/*.json")) else {}
    found = [_state(name, results, holds, jobs) for name in names]
    return sorted(found, key=lambda one: (STATES.index(one.state), one.name))


def _state(name: str, results: Results, holds: Holds, jobs: dict[str, str] | None) -> State:
    try:
        record = results.read(name)
    except UserError as error:
        return State(name, "unsound", None, str(error))
    if record is not None:
        return State(name, record.status, None)
    epochs, job = _epochs(results, name), job_of(results, name)
    now = None if jobs is None or job is None else jobs.get(job, "gone")
    told = "" if job is None else f"job {job}, {(now or 'the queue cannot be asked here').lower()}"
    holder = holds.look(name)
    if holder is not None and now != "PENDING":  # else it was put back, and its lease runs out
        return State(name, "running", epochs, _guess(holds, str(holder)))
    if job is not None and (now is None or now in LIVE):
        return State(name, "queued", epochs, told)
    if job is not None or holds.lost(name):
        return State(name, "lost", epochs, _guess(holds, told))
    return State(name, "stopped", epochs)


def _guess(holds: Holds, told: str) -> str:
    """What is told of a run, and that it is a guess where it is."""
    return "; ".join(filter(None, (told, GUESS if holds.guessed else "")))


def _epochs(results: Results, name: str) -> int:
    try:
        return read_header(results.checkpoint(name)).epochs
    except (Unsound, OSError):
        return 0
