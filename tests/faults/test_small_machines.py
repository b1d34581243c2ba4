"""Containers for real: little shared memory, and control groups that give few cores and bytes.

What the kernel is asked for here is what container engines ask it for. Without leave to (root, and
groups that can be made) it is skipped.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardinality.host.limits import GROUPS
from tests.faults.grids import COMMAND, Grid, Untouched, untouched_in

pytestmark = pytest.mark.faults

MIB = 2**20
# A run that needs some GiB.
LARGE = """\
based_on: training
title: Large
data: {name: patches, side: 32, train: 3000, test: 40}
stem: cifar
base: 64
depths: {base: 29}
seeds: 1
training: {epochs: 1, batch: 1000, rate: 0.05}
"""


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Untouched:
    """The grids to compare with."""
    return untouched_in(tmp_path_factory.mktemp("grids"))


def command(grid: Grid) -> list[str]:
    """What computes a grid, with its data."""
    words, environment = grid.command()
    return ["env", f"CARDINALITY_DATA={environment['CARDINALITY_DATA']}", *words]


def with_shared_memory(
    size: int, command: list[str], traceback: bool = False
) -> subprocess.CompletedProcess[str]:
    """A command where processes share at most so many bytes, as in a container."""
    script = f"mount -t tmpfs -o size={size} tmpfs /dev/shm || exit 77; {shlex.join(command)}"
    answer = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if answer.returncode == 77 or "unshare failed" in answer.stderr:
        pytest.skip(f"no leave to mount: {answer.stderr.strip()}")
    assert traceback or "Traceback" not in answer.stderr, answer.stderr
    return answer


def test_little_shared_memory_changes_no_bit(untouched: Untouched) -> None:
    """A batch of 32 images of 16 x 16 pixels takes 40 KiB: there is room for one run's loader."""
    grid = Grid(untouched.root, "streamed", 9400)
    answer = with_shared_memory(256 * 1024, command(grid))
    assert answer.returncode == 0, answer.stderr
    assert "decoded by fewer processes" in answer.stderr
    assert ", 1 side by side" in answer.stdout
    assert grid.checksums() == untouched.of("streamed")


def test_none_that_suffices_is_said_at_once(untouched: Untouched) -> None:
    grid = Grid(untouched.root, "streamed", 9500)
    answer = with_shared_memory(16 * 1024, command(grid))
    errors = [line for line in answer.stderr.splitlines() if not line.startswith("note: ")]
    assert answer.returncode == 2
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: /dev/shm: 0.0 MiB are free, and a loader needs at least")
    assert not grid.results.folder.exists()


def test_runs_that_are_asked_for_side_by_side_have_half_each(untouched: Untouched) -> None:
    grid = Grid(untouched.root, "streamed", 9600)
    answer = with_shared_memory(256 * 1024, [*command(grid), "--jobs", "2"])
    assert answer.returncode == 1
    assert set(grid.failures().values()) == {
        "UserError: /dev/shm: 0.1 MiB are free, and a loader needs at least 0.2 MiB for its"
        " batches there; allowed: more of it (docker run --shm-size=8g), or a smaller batch"
    }


# Batches of 48 KiB in 128 KiB, of which a loader's queues take 44.
TOO_MANY = """\
import torch
from torch.utils.data import DataLoader, Dataset
from cardinality.data.streamed import collate, patiently

class Images(Dataset):
    def __len__(self): return 64
    def __getitem__(self, index): return torch.zeros(3, 64, 64, dtype=torch.uint8), index

loader = DataLoader(Images(), 4, num_workers=1, prefetch_factor=4, collate_fn=collate, timeout=60)
kept = list(patiently(loader))
"""


def test_a_batch_without_room_is_told_and_not_waited_for() -> None:
    begun = time.monotonic()
    answer = with_shared_memory(128 * 1024, [sys.executable, "-c", TOO_MANY], traceback=True)
    assert "UserError: a loader gave no batch (Caught RuntimeError" in answer.stderr
    assert time.monotonic() - begun < 30


@pytest.fixture
def groups() -> Iterator[dict[str, Path]]:
    """A control group of version 1 or 2 for cores, and one for memory (the same in version 2)."""
    name = f"cardinality-tests-{os.getpid()}"
    second = (GROUPS / "cgroup.controllers").is_file()
    made = [GROUPS / name] if second else [GROUPS / kind / name for kind in ("cpu", "memory")]
    try:
        for folder in made:
            folder.mkdir()
    except OSError as error:
        pytest.skip(f"no leave to make control groups: {error}")
    found = {"cpu": made[0], "memory": made[-1]}
    try:
        limit(found, cores=1, memory=3 * 2**30)
    except OSError as error:
        pytest.skip(f"no leave to limit control groups: {error}")
    yield found
    for folder in made:
        folder.rmdir()


def limit(groups: dict[str, Path], cores: float, memory: int) -> None:
    """Set what a group may use."""
    quota = int(100_000 * cores)
    if (groups["cpu"] / "cpu.max").is_file():
        (groups["cpu"] / "cpu.max").write_text(f"{quota} 100000")
        (groups["memory"] / "memory.max").write_text(str(memory))
    else:
        (groups["cpu"] / "cpu.cfs_period_us").write_text("100000")
        (groups["cpu"] / "cpu.cfs_quota_us").write_text(str(quota))
        (groups["memory"] / "memory.limit_in_bytes").write_text(str(memory))


def inside(groups: dict[str, Path], command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command in the groups."""
    joins = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in {*groups.values()})
    return subprocess.run(
        ["sh", "-c", f'{joins}; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_groups_cores_and_memory_are_all_there_is(
    untouched: Untouched, groups: dict[str, Path]
) -> None:
    root = untouched.root
    plan = [COMMAND, "plan", str(root / "two.yaml"), "--protocol", str(root / "training.yaml")]
    plan += ["--device", "cpu", "--results", str(root / "nothing")]
    # A run is taken to need 2 GiB.
    for cores, gib, expected in ((1, 16, 1), (2, 3, 1), (2, 8, min(2, os.cpu_count() or 1))):
        limit(groups, cores, gib * 2**30)
        answer = inside(groups, plan)
        assert f", {expected} side by side" in answer.stdout, (cores, gib, answer)


def test_a_run_that_is_ended_for_want_of_memory_says_so(
    untouched: Untouched, groups: dict[str, Path]
) -> None:
    root = untouched.root
    (root / "large.yaml").write_text(LARGE)
    limit(groups, cores=4, memory=800 * MIB)
    run = [COMMAND, "run", str(root / "two.yaml"), "--protocol", str(root / "large.yaml")]
    run += ["--device", "cpu", "--results", str(root / "large"), "--data", str(root / "large")]
    answer = inside(groups, [*run, "--only", "1x64d", "--jobs", "1"])
    assert answer.returncode == 1, answer
    failed = [line for line in answer.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1, answer
    assert "out of memory: ended by the system, which counts that" in failed[0]
