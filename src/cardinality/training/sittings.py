"""What a process notes while it computes a run: the sitting that stands in the record."""

import time

import psutil
import torch

from cardinality.host.energy import Meter
from cardinality.host.machine import processor
from cardinality.host.memory import peak, start_peak
from cardinality.host.provenance import Place, built_with
from cardinality.results.records import Energy, Sitting, now


class Watch:
    """Measures a sitting from its start on.

    Args:
        place: where it is.
        device: what computes.
    """

    def __init__(self, place: Place, device: torch.device) -> None:
        self.place, self.device = place, device
        self.measured = start_peak(device)
        share = 1 / (place.side_by_side or 1)
        self.meter = Meter("cuda" if device.type == "cuda" else "cpu", share)
        self.versions = {**place.provenance.versions, **built_with()}
        self.began, self.wall, self.cpu = now(), time.perf_counter(), _cpu_seconds()

    def sitting(self, first_epoch: int, last_epoch: int, epochs: float | None = None) -> Sitting:
        """The sitting as it is now, in which those epochs were computed.

        Args:
            first_epoch, last_epoch: of those that it computed, as a whole or a part.
            epochs: how many these come to, where they are not all whole.
        """
        joules = self.meter.joules()
        made = self.place.provenance
        return Sitting(
            machine=processor(),
            device=made.machine if self.device.type == "cpu" else torch.cuda.get_device_name(),
            cores=made.cores,
            processes=self.place.processes,
            side_by_side=self.place.side_by_side,
            commit=made.commit,
            clean=made.clean,
            versions=self.versions,
            first_epoch=first_epoch,
            last_epoch=last_epoch,
            epochs=epochs,
            began=self.began,
            ended=now(),
            wall_seconds=time.perf_counter() - self.wall,
            cpu_seconds=_cpu_seconds() - self.cpu,
            peak_memory=peak(self.device) if self.measured else None,
            energy=None if joules is None else Energy(joules=joules, source=self.meter.source),
        )


def _cpu_seconds() -> float:
    """Of this process's threads and of the loaders that it started."""
    process = psutil.Process()
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.Error:  # it has ended meanwhile; its parent has its seconds then
            continue
        used += times.user + times.system + times.children_user + times.children_system
    return used
