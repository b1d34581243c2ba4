"""Several processes that compute one run: how they meet, who tells whom, and who is missed.

A launcher has started them (`cardinality.host.launched`). The first is a driver's worker and takes
part as such; the others follow it from run to run. Whichever dies or falls silent, all the others
end with a line that says so: a process that waits for another in NCCL would wait for ever.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING

from cardinality.common.errors import one_line
from cardinality.execution.contract import Broken, Compute, Report
from cardinality.execution.process import Task, torch_on
from cardinality.experiment.run import Run
from cardinality.host.launched import ADDRESS, PORT, Launched, meeting_place
from cardinality.host.machine import Device
from cardinality.host.processes import LOST_PEER, STOPS
from cardinality.host.provenance import Place

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined] # of run time

    from cardinality.training.peers import Peers

# Seconds for which the first waits for the others, which have nothing else to do, and they for it,
# which may have to look through a million images before.
JOINING, FIRST = 50.0, 600.0
# A collective ends by itself after so long: a driver may wait for other drivers' runs meanwhile.
COLLECTIVE = timedelta(days=7)
# Seconds between two signs of life, and after which a process without any is given up.
BEAT, PATIENCE = 1.0, 40.0
ENDED = "ended"


def together_on(device: Device, which: Launched) -> Compute:
    """Get ready as the first of several processes; see `cardinality.execution.process.serve`."""
    from cardinality.execution.worker import compute

    torch_on(device)
    peers = join(device, which)

    def compute_together(
        run: Run,
        folder: Path,
        place: Place,
        on_step: Callable[[float], None],
        check: Callable[[], None],
    ) -> Report:
        peers.tell(Task(run, place))
        return compute(run, folder, place, on_step, check, peers)

    return compute_together


def follow(folder: Path, device: Device, which: Launched) -> None:
    """All that another process than the first does: compute what that one computes.

    Raises:
        Broken: nothing can be computed here, or another process is lost.
    """
    # The first alone hears them, and tells the others at which step they all stop.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    from cardinality.execution.worker import compute

    torch_on(device)
    peers = join(device, which)
    try:
        while (task := peers.tell(None)) is not None:
            compute(task.run, folder, task.place, lambda _epochs: None, lambda: None, peers)
    except Broken:
        raise
    except Exception as error:
        raise Broken(one_line(error)) from error


def join(device: Device, which: Launched) -> "Peers":
    """Meet the other processes.

    Raises:
        Broken: they do not come, or the place is taken.
    """
    import torch
    from torch import distributed
    from torch.distributed import (  # type: ignore[attr-defined] # of run time
        PrefixStore,
        TCPStore,
        rendezvous,
    )

    from cardinality.training.peers import Together

    os.environ.update(meeting_place())
    os.environ |= {"RANK": str(which.number), "WORLD_SIZE": str(which.count)}
    if device == "cuda":  # the launcher may have left each process one alone
        torch.cuda.set_device(which.local % torch.cuda.device_count())
    first = which.number == 0
    waited = timedelta(seconds=JOINING if first else FIRST)
    try:
        store, _, _ = next(rendezvous("env://", timeout=waited))
        store.set(f"joined/{which.number}", "")
        store.wait([f"joined/{number}" for number in range(which.count)], waited)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
            store=PrefixStore("run", store),
            rank=which.number,
            world_size=which.count,
            timeout=COLLECTIVE,
        )
        place = os.environ[ADDRESS], int(os.environ[PORT])
        life = TCPStore(*place, is_master=False, timeout=waited)
    except Exception as error:  # torch has no one kind of error for it
        raise Broken(
            f"{which.count} processes did not meet at {os.environ[ADDRESS]}:{os.environ[PORT]}"
            f" within {waited.seconds} s ({one_line(error)}); allowed: all started by one launcher"
        ) from None
    Signs(life, which).begin()
    peers = Together()
    Finalize(peers, _leave, args=(peers, life, which), exitpriority=10)
    return peers


def _leave(peers: "Peers", life: "TCPStore", which: Launched) -> None:
    """End as is usual: the first lets the others go."""
    if which.number == 0:
        peers.tell(None)
    life.set(f"life/{which.number}", ENDED)


class Signs:
    """Gives signs of life, and ends this process when another gives none any more.

    Args:
        life: where they stand; nobody else may use this connection, which waits for nothing.
        which: of the processes this is.
    """

    def __init__(self, life: "TCPStore", which: Launched) -> None:
        self.life, self.which = life, which
        self.seen: dict[int, tuple[str, float]] = {}

    def begin(self) -> None:
        """Begin in a thread of its own."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        number = 0
        while True:
            try:
                number += 1
                self.life.set(f"life/{self.which.number}", str(number))
                lost = self.lost(time.monotonic())
            except Exception:  # the one that keeps them has gone
                lost = "the first process is gone"
            if lost is not None:
                told = f"error: {lost}; the same command goes on from its checkpoint"
                print(told, file=sys.stderr, flush=True)
                os._exit(LOST_PEER)
            time.sleep(BEAT)

    def lost(self, now: float) -> str | None:
        """Who has given no sign for too long, if anybody."""
        for other in range(self.which.count):
            key = f"life/{other}"
            sign = self.life.get(key).decode() if self.life.check([key]) else ""
            if sign == ENDED:
                continue
            before, since = self.seen.get(other, (None, now))
            if sign != before:
                self.seen[other] = (sign, now)
            elif now - since > PATIENCE:
                return (
                    f"process {other + 1} of {self.which.count} was not heard of for"
                    f" {PATIENCE:.0f} s"
                )
        return None
