"""A cluster in one process: real drivers, holds and records; made machines, times and deaths.

Time jumps from one event to the next. Each driver's machine has a clock of its own, hours away
from the others', and sees the holds' folders as they were up to a minute ago. Workers die, whole
machines do, and some are paused for longer than a lease and then go on as if nothing had been.
"""

import heapq
import os
import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cardinality.execution.contract import Progress, Report
from cardinality.execution.driver import Driver
from cardinality.execution.holds import LEASE, RENEWED, Hold, Holds, Server
from cardinality.execution.stopping import Stop
from cardinality.experiment.run import Run
from cardinality.host.processes import Identity
from cardinality.results.folder import Results
from cardinality.training.ends import Lost
from tests.execution.fakes import Quiet
from tests.execution.records import write

# By so many seconds at most a client's view of a folder may be old.
STALE = 60.0
# Of a run, in seconds: a tenth of the longest to the longest.
LONGEST = 1200.0


@dataclass
class World:
    """The time, and what is going to happen.

    Attributes:
        runs: what is to be computed.
        results: where.
        dice: decides everything that happens by chance.
        deaths, pauses: the chance that a worker's run ends in one.
        computed: how often each run came to its record.
        given_up: how often a worker saw that another has its run.
        dead: how many workers have died.
    """

    runs: list[Run]
    results: Results
    dice: random.Random
    deaths: float = 0.02
    pauses: float = 0.01
    now: float = 1e9
    events: list[tuple[float, int, "Worker", str]] = field(default_factory=list)
    computed: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    dead: int = 0
    count: int = 0

    def at(self, when: float, worker: "Worker", what: str) -> None:
        """Something will happen to a worker."""
        self.count += 1
        heapq.heappush(self.events, (when, self.count, worker, what))

    def advance(self, longest: float) -> None:
        """Let time pass to the next event, and at most so long."""
        until = self.now + longest
        if self.events:
            until = min(until, max(self.now, self.events[0][0]))
        self.now = until
        while self.events and self.events[0][0] <= self.now:
            _, _, worker, what = heapq.heappop(self.events)
            worker.happens(what)


class Client(Server):
    """A file server as one machine sees it: times are the server's, listings may be old."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: dict[Path, tuple[float, list[int]]] = {}

    def touch(self, path: Path) -> None:
        os.utime(path, (self.world.now, self.world.now))

    def numbers(self, folder: Path) -> list[int]:
        when, seen = self.seen.get(folder, (-STALE, []))
        if self.world.now - when > STALE * self.world.dice.random():
            seen = super().numbers(folder)
            self.seen[folder] = self.world.now, seen
        return seen


@dataclass
class Worker:
    """Computes one run: takes its hold, renews it, writes its record, unless something happens."""

    world: World
    machine: "Machine"
    run: Run
    hold: Hold
    alive: bool = True
    awake: bool = True

    def begin(self) -> None:
        """Decide how it will end."""
        world, roll = self.world, self.world.dice.random()
        seconds = LONGEST * world.dice.uniform(0.1, 1)
        moment = world.now + seconds * world.dice.random()
        world.at(world.now + RENEWED, self, "renew")
        if roll < world.deaths:
            world.at(moment, self, "die")
        elif roll < world.deaths + world.pauses:
            world.at(moment, self, "sleep")
            seconds += 3 * LEASE
        world.at(world.now + seconds, self, "end")

    def happens(self, what: str) -> None:
        if not self.alive or not self.machine.alive:
            return
        if what == "renew" and self.awake:
            self.hold.renew()
            self.world.at(self.world.now + RENEWED, self, "renew")
        elif what == "sleep":
            self.awake = False
        elif what == "die":
            self.alive = False
            self.world.dead += 1
            self.machine.lose(self)
        elif what == "end":
            self.alive = False
            self.end()

    def end(self) -> None:
        """Write the record, as a worker does."""
        try:
            self.hold.check()
        except Lost as error:
            self.world.given_up += 1
            self.machine.reports.append(Report(self.run, "taken", str(error)))
            return
        write(self.run, self.world.results)
        self.world.computed[self.run.name] += 1
        self.hold.finish()
        self.machine.reports.append(Report(self.run, "done"))


class Machine:
    """An executor of so many workers, and the driver that it belongs to."""

    def __init__(self, world: World, number: int, workers: int) -> None:
        self.world, self.number, self.workers = world, number, workers
        self.alive, self.busy = True, 0
        self.reports: deque[Progress | Report] = deque()
        self.client = Client(world)
        skew = world.dice.uniform(-1e5, 1e5)
        process = Identity(host=f"node{number}", system=f"boot{number}", number=1, began=1)
        self.driver = Driver(
            world.results,
            self,
            Quiet(world.runs, 1.0),
            Stop(),
            Holds(world.results, self.client, process),
            lambda: world.now + skew,
        )
        self.driver.display.__enter__()
        self.driver.begin(world.runs)

    def step(self) -> bool:
        return self.alive and self.driver.step()

    @property
    def free(self) -> int:
        return self.workers - self.busy

    def submit(self, run: Run) -> None:
        self.busy += 1
        process = Identity(
            host=f"node{self.number}", system=f"boot{self.number}", number=self.busy + 1, began=1
        )
        hold = Holds(self.world.results, self.client, process).take(run.name)
        if not isinstance(hold, Hold):
            self.reports.append(Report(run, "taken", str(hold)))
        elif self.world.results.status(run.name) == "done":
            hold.finish()
            self.reports.append(Report(run, "taken", "done meanwhile"))
        else:
            Worker(self.world, self, run, hold).begin()

    def lose(self, worker: Worker) -> None:
        """A worker has died: that is all that its driver hears, as of a job that is gone."""
        self.reports.append(Report(worker.run, "taken", "lost"))

    def poll(self, seconds: float) -> Iterable[Progress | Report]:
        while self.reports:
            self.busy -= 1
            yield self.reports.popleft()

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def close(self) -> None: ...


def simulate(world: World, drivers: int, workers: int, machine_deaths: int) -> int:
    """Compute all runs of a world by drivers with so many workers each.

    Machines die, one after the other, and another takes the place of each.

    Returns:
        How many steps the drivers took.
    """
    machines = [Machine(world, number, workers) for number in range(drivers)]
    number, begun, steps = drivers, world.now, 0
    deaths = sorted(begun + world.dice.uniform(100, 2000) for _ in range(machine_deaths))
    while True:
        busy = [machine.step() for machine in machines]
        steps += len(machines)
        if not any(busy):
            return steps
        if deaths and world.now > deaths[0]:
            deaths.pop(0)
            victim = world.dice.randrange(len(machines))
            machines[victim].alive = False
            number += 1
            machines[victim] = Machine(world, number, workers)
        world.advance(5.0)
