"""What computing takes: a GPU's driver counts it, and so do many processors (RAPL)."""

import time
from dataclasses import dataclass
from pathlib import Path

from cardinality.host.machine import Device

# Linux's powercap: a folder for each processor's package; reading them may need rights.
POWERCAP = Path("/sys/class/powercap")
# More watts than a package draws for long: by it a counter of 262 kJ, the usual one, may have begun
# anew twice after 655 seconds. A checkpoint comes every 600 at most, and each asks.
MOST_WATTS = 400


@dataclass(frozen=True)
class Count:
    """What a counter has come to.

    Attributes:
        counter: which.
        microjoules: since some moment.
        begins_anew: at how many it does; none where it never does.
    """

    counter: str
    microjoules: int
    begins_anew: int | None = None


class Meter:
    """Counts joules from its start on, where the machine says them.

    A processor's counter begins anew within the hour, so it has to be asked (`joules`) more often.

    Args:
        device: what computes.
        share: of a CPU's packages that is counted, since the runs side by side share them.
    """

    def __init__(self, device: Device, share: float) -> None:
        self.device, self.share = device, share
        self.microjoules: int | None = 0
        self.asked, self.counts = time.monotonic(), self._read()

    @property
    def source(self) -> str:
        """Who counts."""
        if self.device == "cuda":
            return "NVML, the whole GPU"
        return f"RAPL, {self.share:.2g} of the processor's packages"

    def joules(self) -> float | None:
        """Since the start; nothing where nobody counts, or a counter may have begun anew unseen."""
        before, asked = self.counts, self.asked
        self.asked, self.counts = time.monotonic(), self._read()
        used = _between(before, self.counts, self.asked - asked)
        if used is None or self.microjoules is None:  # what was missed once is missing from then on
            self.microjoules = None
            return None
        self.microjoules += used
        return self.microjoules / 1e6 * (self.share if self.device == "cpu" else 1)

    def _read(self) -> list[Count]:
        return _gpu() if self.device == "cuda" else _packages()


def _between(before: list[Count], after: list[Count], seconds: float) -> int | None:
    """Microjoules between two times that the same counters were read, if that can be known."""
    if not before or [one.counter for one in before] != [one.counter for one in after]:
        return None
    used = 0
    for first, last in zip(before, after, strict=True):
        more = last.microjoules - first.microjoules
        if last.begins_anew is not None:
            if seconds * MOST_WATTS * 1e6 > last.begins_anew:
                return None
            more %= last.begins_anew
        if more < 0:
            return None
        used += more
    return used


def _packages() -> list[Count]:
    """What all of this machine's packages have come to; nothing where one may not be read."""
    try:
        return [
            Count(
                folder.name,
                int((folder / "energy_uj").read_text(encoding="ascii")),
                int((folder / "max_energy_range_uj").read_text(encoding="ascii")),
            )
            for folder in sorted(POWERCAP.glob("intel-rapl:*"))
            # intel-rapl:0 is a package, intel-rapl:0:1 a part of it; psys is the whole machine.
            if (folder / "name").read_text(encoding="ascii").startswith("package")
        ]
    except (OSError, ValueError):
        return []


def _gpu() -> list[Count]:
    """What the GPU that this process computes on has come to, since its driver was loaded."""
    import pynvml
    import torch

    try:
        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        return [Count(uuid, 1000 * pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))]
    except pynvml.NVMLError:  # a slice has no counter of its own, and old GPUs have none
        return []
