"""How many processes decode photographs: by the cores and by the memory that they share. No torch.

How many there are, and how far ahead, changes no bit of any batch.
"""

from dataclasses import dataclass

from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.experiment.datasets import Folders
from cardinality.host import limits
from cardinality.host.launched import sharing_here
from cardinality.host.processes import check_sockets

# Batches that each keeps ready.
PREFETCH = 4
# More do not help: docs/data.md has the rates.
MOST_WORKERS = 16
# Images at a time that are evaluated in training.
EVALUATION_BATCH = 500

# Bytes that a batch's labels take beside its images, in whole pages of memory.
LABELS = 2**14
# Semaphores of a loader's queues, and more for each of its workers; each takes a page.
PAGE, QUEUES, QUEUES_A_WORKER = 2**12, 8, 3

# What helps where processes have too little memory to share.
ENLARGE = "allowed: more of it (docker run --shm-size=8g), or a smaller batch"


@dataclass(frozen=True)
class Loaders:
    """How many processes decode, and batches that each keeps ready."""

    workers: int
    prefetch: int


def default_workers() -> int:
    """One on each CPU core that this process may use, up to `MOST_WORKERS`.

    Of several processes that share a run here each has its part of the cores.
    """
    return max(1, min(limits.cores() // sharing_here(), MOST_WORKERS))


def fitting(batch: int, workers: int | None = None, prefetch: int = PREFETCH) -> Loaders:
    """As many loaders as are wanted, or as have room for their batches where memory is shared.

    Without room a worker would be killed, or waited for without end; a container has 64 MB there
    unless it is told otherwise.

    Args:
        batch: bytes of one.
        workers: that are wanted, by default as many as `default_workers` says.
        prefetch: batches that each is to keep ready.

    Raises:
        UserError: there is not room for one worker with one batch, or the folder for temporary
            files has too long a name for workers to be reached.
    """
    workers = default_workers() if workers is None else workers
    if workers:
        check_sockets()
    room = limits.shared_memory()
    if room is None or not workers or needed(batch, workers, prefetch) <= room:
        return Loaders(workers, prefetch)
    least = needed(batch)
    if room < least:
        raise UserError(
            f"{limits.SHARED}: {room / 2**20:,.1f} MiB are free, and a loader needs at least"
            f" {least / 2**20:,.1f} MiB for its batches there; {ENLARGE}"
        )
    fewer = max(n for n in range(1, workers + 1) if needed(batch, n) <= room)
    ahead = max(n for n in range(1, prefetch + 1) if needed(batch, fewer, n) <= room)
    note(
        f"{limits.SHARED}: {room / 2**20:,.1f} MiB are free, so photographs are decoded by fewer"
        f" processes ({fewer} for {workers}) with fewer batches ahead ({ahead} for {prefetch}),"
        f" which may be slower; {ENLARGE}"
    )
    return Loaders(fewer, ahead)


def needed(batch: int, workers: int = 1, prefetch: int = 1) -> int:
    """Bytes that a run's loaders share at most.

    Beside the batches that are kept ready one is in use and one has just been asked for; training
    and evaluation have loaders of their own, of which one is at work.

    Args:
        batch: bytes of one.
        workers: that decode.
        prefetch: batches that each keeps ready.
    """
    queues = 2 * PAGE * (QUEUES + QUEUES_A_WORKER * workers)
    return (workers * prefetch + 2) * (batch + LABELS) + queues


def most_side_by_side(batch: int) -> int | None:
    """How many runs have room for their loaders' batches at once; nothing where that is unknown.

    Args:
        batch: bytes of the largest.
    """
    room = limits.shared_memory()
    return None if room is None else room // needed(batch)


def largest_batch(data: Folders, batch: int) -> int:
    """Bytes of the largest batch in training, with ``batch`` images, and in its evaluation."""
    images = max(min(batch, data.training_images), min(EVALUATION_BATCH, data.evaluated_images))
    return images * 3 * data.side**2
