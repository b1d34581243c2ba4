"""How many processes decode photographs: by the cores and by the memory that they share. No torch.

How many there are, and how far ahead, changes no bit of any batch.
"""

from dataclasses import dataclass

from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.experiment.datasets import Folders
from cardinality.host import limits

# Batches that each keeps ready.
PREFETCH = 4
# More do not help: docs/data.md has the rates.
MOST_WORKERS = 16
# Images at a time that are evaluated in training.
EVALUATION_BATCH = 500

# Bytes that a batch's labels take beside its images, in whole pages of memory.
LABELS = 2**14

# What helps where processes have too little memory to share.
ENLARGE = "allowed: more of it (docker run --shm-size=8g), or a smaller batch"


@dataclass(frozen=True)
class Loaders:
    """How many processes decode, and batches that each keeps ready."""

    workers: int
    prefetch: int


def default_workers() -> int:
    """One on each CPU core that this process may use, up to `MOST_WORKERS`."""
    return min(limits.cores(), MOST_WORKERS)


def fitting(batch: int, workers: int | None = None, prefetch: int = PREFETCH) -> Loaders:
    """As many loaders as are wanted, or as have room for their batches where memory is shared.

    Without room a worker would be killed, or waited for without end; a container has 64 MB there
    unless it is told otherwise.

    Args:
        batch: bytes of one; one more than those that are kept ready is in use.
        workers: that are wanted, by default as many as `default_workers` says.
        prefetch: batches that each is to keep ready.

    Raises:
        UserError: there is not room for one that is ready and one that is in use.
    """
    batch += LABELS
    workers = default_workers() if workers is None else workers
    room = limits.shared_memory()
    if room is None or not workers or (workers * prefetch + 1) * batch <= room:
        return Loaders(workers, prefetch)
    ready = room // batch - 1
    if ready < 1:
        raise UserError(
            f"{limits.SHARED}: {room / 2**20:,.1f} MiB are free, and a loader keeps at least"
            f" {2 * batch / 2**20:,.1f} MiB of batches there; {ENLARGE}"
        )
    fewer = min(workers, ready)
    found = Loaders(fewer, min(prefetch, ready // fewer))
    note(
        f"{limits.SHARED}: {room / 2**20:,.1f} MiB are free, so photographs are decoded by fewer"
        f" processes ({found.workers} for {workers}) with fewer batches ahead ({found.prefetch} for"
        f" {prefetch}), which may be slower; {ENLARGE}"
    )
    return found


def largest_batch(data: Folders, batch: int) -> int:
    """Bytes of the largest batch in training, with ``batch`` images, and in its evaluation."""
    images = max(min(batch, data.training_images), min(EVALUATION_BATCH, data.evaluated_images))
    return images * 3 * data.side**2
