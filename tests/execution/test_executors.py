"""Worker processes: what each way to end says of the run, of the worker and of the environment."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from cardinality.execution.contract import Broken, Compute, Report
from cardinality.execution.executors import (
    LOST_STARTS,
    RUNS_ON_A_GPU,
    Pool,
    runs_on,
    side_by_side,
)
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Gpu, Machine
from cardinality.results.folder import Results
from tests.execution import fakes
from tests.execution.records import write_stopped
from tests.tiny import MADE


@contextmanager
def pool(
    folder: Path, make_ready: Callable[[], Compute] = fakes.ready, fake_runs: str = ""
) -> Iterator[Pool]:
    """A pool of one worker that leaves no process behind."""
    os.environ[fakes.VARIABLE] = fake_runs
    try:
        with closing(Pool(1, folder, MADE, "cpu", make_ready)) as made:
            yield made
    finally:
        del os.environ[fakes.VARIABLE]
    assert not [child for child in psutil.Process().children() if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    return "--multiprocessing-fork" in process.cmdline()


def heard(made: Pool, until: Callable[[], object]) -> list[object]:
    """All that a pool tells until something holds, for half a minute at most."""
    news: list[object] = []
    end = time.monotonic() + 30
    while not until() and time.monotonic() < end:
        news += made.poll(0.05)
    assert until()
    return news


def outcome(made: Pool, plan: Plan) -> Report:
    """How the plan's first run ends in a pool."""
    reports: list[Report] = []
    heard(made, lambda: made.free)
    made.submit(plan.runs()[0])
    assert made.free == 0
    end = time.monotonic() + 30
    while not reports and time.monotonic() < end:
        reports += [news for news in made.poll(0.05) if isinstance(news, Report)]
    return reports[0]


def test_a_worker_that_is_killed_fails_its_run_with_the_true_reason(
    tiny: Plan, tmp_path: Path
) -> None:
    with pool(tmp_path, fake_runs="1x64d=die 32x4d=die") as made:
        report = outcome(made, tiny)
        assert report.outcome == "failed"
        assert report.reason == "the worker process died (killed by SIGKILL)"
        assert report.record is not None
        assert report.record.failure == report.reason
        assert report.record.sittings == ()
        heard(made, lambda: made.free)  # another has taken its place


def test_a_worker_that_is_killed_leaves_word_of_where_its_run_was_computed(
    tiny: Plan, tmp_path: Path
) -> None:
    """In the run's checkpoint, which stays, and so in the record of the failure."""
    made = write_stopped(tiny.runs()[0], Results(tmp_path))
    with pool(tmp_path, fake_runs="1x64d=die 32x4d=die") as workers:
        report = outcome(workers, tiny)
    assert report.record is not None
    assert report.record.sittings == (made,)
    assert report.record.data_checksum == "0123456789abcdef"


def test_out_of_memory_is_said_where_the_system_counts_it(
    tiny: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(range(100))
    monkeypatch.setattr("cardinality.execution.executors.oom_kills", lambda: next(counts))
    with pool(tmp_path, fake_runs="1x64d=die 32x4d=die") as made:
        assert "out of memory" in outcome(made, tiny).reason


@pytest.mark.parametrize(
    ("make_ready", "message"),
    [
        (fakes.broken, r"ImportError: libmade\.so: cannot open shared object file"),
        (fakes.leaving, r"a worker process ended while it started \(exit status 7\)"),
    ],
)
def test_a_worker_that_cannot_start_breaks_the_grid(
    tmp_path: Path, make_ready: Callable[[], Compute], message: str
) -> None:
    with pool(tmp_path, make_ready) as made, pytest.raises(Broken) as caught:
        heard(made, lambda: made.free)
    assert re.fullmatch(message, str(caught.value))


def test_what_fails_before_there_are_images_breaks_the_grid(tiny: Plan, tmp_path: Path) -> None:
    with (
        pool(tmp_path, fake_runs="1x64d=broken 32x4d=broken") as made,
        pytest.raises(Broken, match=r"ImportError: libmade\.so"),
    ):
        outcome(made, tiny)


def kill_workers(made: Pool) -> None:
    """By their numbers: what has just begun may not have its own command line yet."""
    for worker in made.workers:
        psutil.Process(worker.process.pid).kill()


def test_a_worker_that_is_killed_while_it_starts_is_started_again_a_few_times(
    tiny: Plan, tmp_path: Path
) -> None:
    with pool(tmp_path) as made:
        kill_workers(made)
        assert outcome(made, tiny).outcome == "done"
    with pool(tmp_path) as made:
        for _ in range(LOST_STARTS):
            before = made.workers[0].process.pid
            kill_workers(made)
            heard(made, lambda before=before: made.workers[0].process.pid != before)  # type: ignore[misc]
        kill_workers(made)
        with pytest.raises(Broken, match="killed by SIGKILL"):
            heard(made, lambda: made.free)


def test_a_worker_that_dies_with_nothing_to_do_is_replaced(tiny: Plan, tmp_path: Path) -> None:
    with pool(tmp_path) as made:
        heard(made, lambda: made.free)
        kill_workers(made)
        heard(made, lambda: not made.free)
        assert outcome(made, tiny).outcome == "done"


def test_a_run_that_is_asked_to_stop_is_reported_and_a_worker_is_used_again(
    tiny: Plan, tmp_path: Path
) -> None:
    with pool(tmp_path, fake_runs="1x64d=long 32x4d=long") as made:
        heard(made, lambda: made.free)
        made.submit(tiny.runs()[0])
        assert list(made.poll(10))  # it says how far it is
        made.stop()
        news = heard(made, lambda: made.free)
        assert news[-1] == Report(tiny.runs()[0], "stopped")


def test_workers_begin_with_stop_signals_masked(tmp_path: Path) -> None:
    with pool(tmp_path) as made:
        status = Path(f"/proc/{made.workers[0].process.pid}/status").read_text()
        masked = int(re.findall(r"SigBlk:\s*(\w+)", status)[0], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert masked & 1 << (number - 1)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_how_many_runs_go_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 8 * 2**30

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    assert side_by_side(Machine("cpu", "a CPU", 2, True), threads=1, memory=1.5 * 2**30) == 2
    assert (
        side_by_side(Machine("cpu", "a CPU", 64, True), threads=1, memory=1.5 * 2**30) == 5
    )  # by memory
    assert side_by_side(Machine("cpu", "a CPU", 4, True), threads=8, memory=1.5 * 2**30) == 1
    assert side_by_side(Machine("cuda", "a GPU", 64, True), threads=1, memory=1.5 * 2**30) == 1


A100, V100 = (Gpu(f"GPU-{name}", name, True) for name in ("A100", "V100"))


def test_a_run_a_gpu_or_several_small_ones_where_the_rule_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, gpus = Machine("cuda", "A100", 64, True), (A100, V100, V100)
    assert RUNS_ON_A_GPU == {}  # until a GPU has been measured
    assert side_by_side(machine, 1, 2**30, gpus, macs=1e9) == 3
    monkeypatch.setitem(RUNS_ON_A_GPU, "A100", ((1e10, 4), (1e11, 2)))
    assert [runs_on(A100, macs) for macs in (1e10, 5e10, 1e12)] == [4, 2, 1]
    assert side_by_side(machine, 1, 2**30, gpus, macs=1e9) == 6
    assert side_by_side(machine, 1, 2**30, gpus) == 3  # nothing is known of the steps


def test_each_worker_sees_one_gpu_in_turn_and_records_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three workers on two unlike GPUs; one that dies is replaced on the same one."""
    monkeypatch.setenv(fakes.VARIABLE, "1x64d=where 32x4d=where")
    monkeypatch.setenv(fakes.SEEDS, "2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    runs = fakes.plan_runs(tmp_path)
    with closing(Pool(3, tmp_path, MADE, "cuda", fakes.ready, gpus=(A100, V100))) as made:
        heard(made, lambda: made.free == 3)
        made.workers[0].process.kill()
        heard(made, lambda: made.free == 2)
        heard(made, lambda: made.free == 3)
        for run in runs[:3]:
            made.submit(run)
        news = heard(made, lambda: made.free == 3)
    assert sum(isinstance(one, Report) for one in news) == 3
    where = sorted((tmp_path / "where").read_text().splitlines())
    # Which, its name, how many share it, and how many share the machine.
    assert where == ["GPU-A100 A100 2 3", "GPU-A100 A100 2 3", "GPU-V100 V100 1 3"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
