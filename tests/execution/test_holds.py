"""Each run has one holder: on one machine or several, paused, cut off or dead."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.execution import holds
from cardinality.execution.attempt import attempt
from cardinality.execution.contract import Report
from cardinality.execution.holds import LEASE, RENEWED, Hold, Holder, Holds, Server
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Run
from cardinality.host.processes import Identity, identity
from cardinality.host.provenance import Place
from cardinality.results.folder import Results
from cardinality.training.ends import Lost
from tests.execution import fakes
from tests.execution.fakes import place_of_record, plan_runs
from tests.places import ROOT
from tests.tiny import PLACE

RUN = "32x4d-depth11-seed0-0a1b2c3d4e"


class Clock(Server):
    """A file server whose time a test sets."""

    def __init__(self) -> None:
        self.now = 1e9

    def touch(self, path: Path) -> None:
        os.utime(path, (self.now, self.now))


def elsewhere(number: int) -> Identity:
    """A process of another machine, of which nothing is known here."""
    return Identity(host=f"node{number}", system=f"boot{number}", number=17, began=number)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def nodes(tmp_path: Path, clock: Clock) -> list[Holds]:
    """Three machines that share a folder."""
    return [Holds(Results(tmp_path), clock, elsewhere(number)) for number in range(3)]


def taken(holds: Holds) -> Hold:
    hold = holds.take(RUN)
    assert isinstance(hold, Hold)
    return hold


def test_a_run_is_given_to_one_and_the_others_are_told_to_whom(nodes: list[Holds]) -> None:
    first, second, _ = nodes
    hold = taken(first)
    holder = second.take(RUN)
    assert isinstance(holder, Holder)
    assert str(holder) == "process 17 on node0"
    assert second.look(RUN) == holder
    assert second.look("another") is None
    hold.check()
    assert len(list(hold.folder.iterdir())) == 2  # the loser's own file is gone


def test_a_hold_that_is_renewed_stays_and_one_that_is_not_is_taken_over(
    nodes: list[Holds], clock: Clock
) -> None:
    first, second, third = nodes
    hold = taken(first)
    for _ in range(20):
        clock.now += RENEWED
        hold.renew()
        assert second.look(RUN) is not None
    assert not second.lost(RUN)
    clock.now += LEASE + 1
    assert second.lost(RUN)
    over = taken(second)
    assert not isinstance(third.take(RUN), Hold)
    with pytest.raises(Lost, match="process 17 on node1 has taken it over"):
        hold.check()
    hold.renew()  # a thread that wakes up late changes nothing
    over.check()
    assert third.look(RUN) == second.holder


def test_a_run_that_was_given_up_is_free_at_once_and_not_lost(nodes: list[Holds]) -> None:
    first, second, _ = nodes
    hold = taken(first)
    hold.release()
    assert second.look(RUN) is None
    assert not second.lost(RUN)
    over = taken(second)
    assert over.number == 2
    over.finish()
    with pytest.raises(Lost):
        over.check()  # as a paused process finds it, whose run another has finished


def test_a_process_of_this_system_that_has_ended_is_known_to_have(tmp_path: Path) -> None:
    results = Results(tmp_path)
    program = (
        "import os, sys; from pathlib import Path; from cardinality.execution.holds import Holds;"
        "from cardinality.results.folder import Results;"
        f"Holds(Results(Path(sys.argv[1]))).take({RUN!r}); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment) as dead:
        stat = Path(f"/proc/{dead.pid}/stat")
        while ") Z " not in stat.read_text():  # nobody has waited for it yet
            time.sleep(0.01)
        assert Holds(results).look(RUN) is None
        assert Holds(results).lost(RUN)
    assert taken(Holds(results)).number == 2


def test_a_number_that_was_given_again_is_another_process() -> None:
    own = identity()
    assert not own.is_gone
    assert own.model_copy(update={"began": 1}).is_gone
    assert not own.model_copy(update={"began": 1, "system": "another"}).is_gone


def test_of_many_who_want_a_run_at_once_one_gets_it(tmp_path: Path) -> None:
    barrier = threading.Barrier(16)

    def want(number: int) -> bool:
        holds = Holds(Results(tmp_path), process=elsewhere(number))
        barrier.wait()
        return isinstance(holds.take(RUN), Hold)

    with ThreadPoolExecutor(16) as threads:
        for _ in range(20):
            assert sum(threads.map(want, range(16))) == 1
            newest = max(int(path.name) for path in (tmp_path / "holds" / RUN).glob("[0-9]*"))
            os.utime(tmp_path / "holds" / RUN / str(newest), (0, 0))


def test_a_link_whose_answer_was_lost_is_won_and_one_too_late_is_not(
    nodes: list[Holds], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that repeats a request says that the name is there: it may be one's own."""
    link = os.link

    def repeated(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr("cardinality.execution.holds.os.link", repeated)
    assert isinstance(nodes[0].take(RUN), Hold)

    class Slow(Clock):
        """A client that has not seen yet what others have linked."""

        def numbers(self, folder: Path) -> list[int]:
            return []

    monkeypatch.undo()
    late = Holds(nodes[0].results, Slow(), elsewhere(9))
    assert late.take(RUN) == nodes[0].holder


def test_a_disk_without_hard_links_is_named(
    nodes: list[Holds], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("cardinality.execution.holds.os.link", refused)
    with pytest.raises(UserError, match=r"the disk has no hard links .*; allowed: --results on"):
        nodes[0].take(RUN)


def test_a_record_that_came_while_one_looked_is_not_computed_again(
    tiny: Plan, tmp_path: Path
) -> None:
    run = tiny.runs()[0]
    place_of_record(tmp_path, run).parent.mkdir(parents=True)
    place_of_record(tmp_path, run).write_text("{}")
    report = attempt(fakes.compute, run, tmp_path, PLACE, lambda _epochs: None)
    assert report.outcome == "taken"
    assert not (tmp_path / "computed").exists()


def test_whoever_has_lost_a_run_writes_neither_checkpoint_nor_record(
    tiny: Plan, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real net: another takes the run over in the middle of the second epoch."""
    from cardinality.execution.worker import compute

    run, results = tiny.runs()[0], Results(tmp_path)
    written: list[bytes] = []

    def on_step(epochs: float) -> None:
        if epochs > 1.4 and not written:
            written.append(results.checkpoint(run.name).read_bytes())
            hold = max(results.holds(run.name).glob("[0-9]"))
            os.utime(hold, (1, 1))  # as old as can be
            assert isinstance(Holds(results, process=elsewhere(1)).take(run.name), Hold)

    report = attempt(compute, run, tmp_path, PLACE, on_step)
    assert (report.outcome, report.reason) == ("taken", "process 17 on node1 has taken it over")
    assert results.checkpoint(run.name).read_bytes() == written[0]
    assert results.status(run.name) == "missing"


@pytest.mark.parametrize(
    ("outcome", "left"), [("done", None), ("diverged", None), ("stopped", 0), ("failed", 1)]
)
def test_a_run_is_given_up_however_it_ends(
    tiny: Plan, tmp_path: Path, outcome: str, left: int | None
) -> None:
    """But that of a failure is the driver's to release, when its record is written."""
    run = tiny.runs()[0]

    def compute(run: Run, _folder: Path, _place: Place, *_: Callable[..., None]) -> Report:
        assert Holds(Results(tmp_path)).look(run.name) is not None
        return Report(run, outcome)  # type: ignore[arg-type] # one of them

    report = attempt(compute, run, tmp_path, PLACE, lambda _epochs: None)
    assert (report.hold is not None) == (outcome == "failed")
    folder = Results(tmp_path).holds(run.name)
    assert folder.exists() == (left is not None)
    if left is not None:
        assert ((folder / "1").stat().st_mtime > 0) == bool(left)


# --- real drivers in one folder -----------------------------------------------------------------


def driver(folder: Path, seeds: int, fakes_do: str, lease: float) -> subprocess.Popen[str]:
    """A driver with a worker, in a group of its own."""
    environment = {
        **os.environ,
        fakes.VARIABLE: fakes_do,
        fakes.SEEDS: str(seeds),
        fakes.LEASE: str(lease),
        fakes.JOBS: "1",
        "CARDINALITY_DATA": str(folder / "data"),
    }
    command = [sys.executable, "-m", "tests.execution.fakes", str(folder)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def counted(folder: Path) -> Counter[str]:
    """How often each run was computed to its end."""
    lines = (folder / "computed").read_text().splitlines()
    return Counter(line.split()[0] for line in lines)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    assert true()


def test_three_drivers_share_a_folder_and_compute_each_run_once(tmp_path: Path) -> None:
    drivers = [driver(tmp_path, 4, "1x64d=short 32x4d=short", LEASE) for _ in range(3)]
    out = [one.communicate(timeout=120)[0] for one in drivers]
    assert [one.returncode for one in drivers] == [0, 0, 0], out
    computed = counted(tmp_path)
    assert len(computed) == 8
    assert set(computed.values()) == {1}
    done = [int(text.split(" done,")[0].split()[-1]) for text in out]
    others = [int(text.split(" by others")[0].split()[-1]) for text in out]
    assert sum(done) == 8
    # One that begins when some runs are there does not count those.
    assert all(mine + theirs <= 8 for mine, theirs in zip(done, others, strict=True))
    assert not list((tmp_path / "holds").glob("[!.]*"))


def test_a_driver_that_is_paused_loses_its_runs_and_one_that_is_killed_leaves_none_undone(
    tmp_path: Path,
) -> None:
    paused = driver(tmp_path, 2, "1x64d=middling 32x4d=middling", lease=2)
    os.environ[fakes.SEEDS] = "2"
    try:
        runs = plan_runs(tmp_path)
    finally:
        del os.environ[fakes.SEEDS]
    results = Results(tmp_path)
    until(lambda: list((tmp_path / "holds").glob("[!.]*/1")))
    os.killpg(paused.pid, signal.SIGSTOP)
    # Its processes are there, so that only the server's time tells that they do nothing.
    killed = driver(tmp_path, 2, "1x64d=middling 32x4d=middling", lease=2)
    until(lambda: list((tmp_path / "holds").glob("[!.]*/2")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    os.killpg(paused.pid, signal.SIGCONT)
    last = driver(tmp_path, 2, "", lease=2)
    last.communicate(timeout=60)
    out, _ = paused.communicate(timeout=60)
    assert (last.returncode, paused.returncode) == (0, 0), out
    assert all(results.status(run.name) == "done" for run in runs)
    assert set(counted(tmp_path).values()) == {1}
    assert "0 failed, to the end" in out


def test_the_lease_outlasts_what_clients_of_shared_disks_remember() -> None:
    assert holds.LEASE >= 300
    assert holds.RENEWED <= holds.LEASE / 5
