"""What computing takes: a GPU's driver counts it, and so do many processors (RAPL)."""

import os
from collections.abc import Iterator
from pathlib import Path

from cardinality.host.machine import Device

# Linux's powercap: a folder for each processor's package; reading them may need rights.
POWERCAP = Path("/sys/class/powercap")


class Meter:
    """Counts joules from its start on, where the machine says them.

    Args:
        device: what computes.
        share: of a CPU's packages that is counted, since the runs side by side share them.
    """

    def __init__(self, device: Device, share: float) -> None:
        self.device, self.share = device, share
        self.start = self._read()

    @property
    def source(self) -> str:
        """Who counts."""
        if self.device == "cuda":
            return "NVML, the whole GPU"
        return f"RAPL, {self.share:.2g} of the processor's packages"

    def joules(self) -> float | None:
        """Since the start; nothing where nobody counts, or the counter has begun anew."""
        end = self._read()
        if self.start is None or end is None or end < self.start:
            return None
        return (end - self.start) * (self.share if self.device == "cpu" else 1)

    def _read(self) -> float | None:
        return _gpu() if self.device == "cuda" else _packages()


def _packages() -> float | None:
    """Joules of all of this machine's packages since some moment."""
    try:
        counted = [int(path.read_text(encoding="utf-8")) for path in _counters()]
    except (OSError, ValueError):
        return None
    return sum(counted) / 1e6 if counted else None


def _counters() -> Iterator[Path]:
    for folder in sorted(POWERCAP.glob("intel-rapl:*")):
        # intel-rapl:0 is a package, intel-rapl:0:1 a part of it.
        if folder.name.count(":") == 1 and os.access(folder / "energy_uj", os.R_OK):
            yield folder / "energy_uj"


def _gpu() -> float | None:
    """Joules of the GPU that this process computes on, since its driver was loaded."""
    import pynvml
    import torch

    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
    except pynvml.NVMLError:  # a slice has no counter of its own, and old GPUs have none
        return None
