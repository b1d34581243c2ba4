"""A process's memory: kept from one step to the next, and measured at its peak.

Linux with glibc and CUDA; elsewhere nothing is kept and the peak is not known.
"""

import ctypes
import gc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# mallopt's names for them in glibc's malloc.h, and from how many bytes on.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
NEVER = 2**30

PROCESS = Path("/proc/self")


def keep_freed_memory() -> None:
    """Keep what a step frees for the next one; else every step asks the kernel for it anew.

    Giving pages back and zeroing fresh ones is up to a tenth of a training step.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        # Older versions take half a heap at most, and to refuse would be worse than not to ask.
        if not library.mallopt(MMAP_THRESHOLD, NEVER):
            library.mallopt(MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(TRIM_THRESHOLD, NEVER)


def start_peak(device: "torch.device") -> bool:
    """Give back what earlier runs of this process kept, and measure the peak from now on.

    Returns:
        Whether the system allows that.
    """
    gc.collect()
    if device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return True
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
    try:
        # VmHWM starts from what is held now (proc(5)).
        with (PROCESS / "clear_refs").open("r+", encoding="utf-8") as file:
            file.write("5")
    except OSError:
        return False
    return True


def peak(device: "torch.device") -> int | None:
    """Bytes at most since `start_peak`: of tensors on a GPU, else of the whole process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    status = PROCESS / "status"
    if not status.exists():
        return None
    lines = (line.split() for line in status.read_text(encoding="utf-8").splitlines())
    return next((1024 * int(line[1]) for line in lines if line[0] == "VmHWM:"), None)
