"""Disks that are full: a small one is mounted, and filled to its last byte at any moment.

Whatever was being written then says that the disk is full; what was there before is as it was;
other runs go on, also beside a worker that has died; and with room again the same command comes to
the same bits. It needs leave to mount (root, as in a container), and is skipped without.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch

from tests.faults.grids import COMMAND, SAMPLE, Grid, Untouched, completed, untouched_in

pytestmark = pytest.mark.faults

SIZE = 16 * 2**20
FULL = "the disk is full; allowed: make room there"
FILLS = 3 if SAMPLE else 24


class SmallDisk:
    """A file system of `SIZE` bytes, mounted at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ballast = folder, folder / "ballast"

    def fill(self) -> None:
        """Leave not a byte, though others write meanwhile."""
        with self.ballast.open("ab", buffering=0) as file:
            for size in (2**16, 2**12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self.ballast.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Untouched:
    """The grids to compare with."""
    return untouched_in(tmp_path_factory.mktemp("grids"))


@pytest.fixture
def small_disk(untouched: Untouched) -> Iterator[Callable[[Path], SmallDisk]]:
    """Mounts a small file system at a folder, which is made."""
    mounted = []

    def mount(folder: Path) -> SmallDisk:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            pytest.skip(f"no leave to mount: {answer.stderr.strip()}")
        mounted.append(folder)
        return SmallDisk(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def call(root: Path, *arguments: str) -> tuple[int, str, str]:
    """A command's status, output and errors, with the data of the grids."""
    environment = {**os.environ, "CARDINALITY_DATA": str(root / "data")}
    answer = subprocess.run(
        [COMMAND, *arguments],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer.returncode, answer.stdout, answer.stderr


def assert_full(status: int, err: str, disk: SmallDisk) -> None:
    """See that a command has ended with one error, which names a file on the disk."""
    errors = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert (status, len(errors)) == (2, 1), err
    assert errors[0].startswith(f"error: {disk.folder}/"), err
    assert FULL in errors[0]


def test_a_grid_goes_on_beside_a_full_disk_and_a_dead_worker(
    untouched: Untouched,
    small_disk: Callable[[Path], SmallDisk],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The disk is full for a second, again and again; half of the times a worker is killed then."""
    random.seed("full disk")
    expected = untouched.of("many")
    grid = Grid(untouched.root, "many", 9100)
    disk = small_disk(grid.results.folder.parent)
    fills, dead, came_to = 0, 0, Counter[str]()
    while fills < FILLS:
        grid.start("--retry-failed")
        while grid.running.poll() is None and fills < FILLS:
            time.sleep(random.uniform(0.2, 2.5))
            done = len(grid.checksums())
            disk.fill()
            fills += 1
            if fills % 2:
                for one in random.sample(found := grid.workers(), min(1, len(found))):
                    one.send_signal(signal.SIGKILL)
                    dead += 1
            time.sleep(random.uniform(0.5, 2))
            disk.free()
        status, out, err = grid.ended()
        assert "Traceback" not in err, err
        words = [line for line in (out + err).splitlines() if line.startswith("failed")]
        for line in words:
            assert FULL in line or "the worker process died (killed by SIGKILL)" in line, line
        # 2 where the last to be written, the table and the pages, found no room.
        assert status == bool(words) or (status == 2 and FULL in err), (status, out, err)
        came_to["runs whose failure was recorded"] += len(grid.failures())
        came_to["runs whose failure could not be"] += sum("not recorded" in x for x in words)
        assert len(grid.checksums()) >= done
        assert grid.checksums().items() <= expected.items()
        if len(grid.checksums()) == len(expected):
            grid.number += 1  # all runs are there; another disk
            disk = small_disk(grid.results.folder.parent)
    disk.free()
    completed(grid, untouched)
    with capsys.disabled():
        print(f"\nfull disk: {fills} times, with {dead} dead workers: {dict(came_to)}")


def all_stopped(grid: Grid) -> tuple[psutil.Process, list[psutil.Process]]:
    """Stop a grid's workers at a moment at which one has a run under way: that one, and the others.

    One that has none, since it still starts, is replaced without a word.
    """
    runs = grid.results
    while True:
        workers = grid.workers()
        for one in workers:
            one.send_signal(signal.SIGSTOP)
        for one in workers:
            held = {path.parent.name for path in runs.folder.glob(f"holds/*/*-{one.pid}-*")}
            if any(runs.status(name) == "missing" for name in held):
                return one, [other for other in workers if other != one]
        for one in workers:
            one.send_signal(signal.SIGCONT)
        time.sleep(0.05)


def test_the_others_go_on_while_a_failure_cannot_be_written(
    untouched: Untouched, small_disk: Callable[[Path], SmallDisk]
) -> None:
    """A worker dies while the disk is full; when there is room again the others are still there."""
    expected = untouched.of("many")
    grid = Grid(untouched.root, "many", 9200)
    disk = small_disk(grid.results.folder.parent)
    grid.start()
    assert grid.running.stdout is not None
    # Stopped, else the others may be through with all runs before the death is noticed.
    killed, others = all_stopped(grid)
    disk.fill()
    killed.send_signal(signal.SIGKILL)
    lines = []
    for said in grid.running.stdout:
        lines.append(said)
        if "the worker process died" in said:
            break
    disk.free()
    for other in others:
        with suppress(psutil.NoSuchProcess):
            other.send_signal(signal.SIGCONT)
    status, out, err = grid.ended()
    assert status == 1, err
    assert FULL in lines[-1]
    assert "not recorded" in lines[-1]
    failed = [line for line in [*lines, *out.splitlines()] if line.startswith("failed")]
    # Not one run is lost from the list, and those that began later are done.
    assert len(grid.checksums()) == len(expected) - len(failed)
    assert len(failed) <= 3
    assert len([line for line in err.splitlines() if line.startswith("failed: ")]) == len(failed)
    completed(grid, untouched)


def test_no_room_for_the_data(
    untouched: Untouched, small_disk: Callable[[Path], SmallDisk]
) -> None:
    """The images are made and cannot be kept."""
    disk = small_disk(untouched.root / "full-data")
    (disk.folder / "cache").mkdir()
    disk.fill()
    with disk.ballast.open("r+b") as file:  # room for what is tried, and not for the images
        file.truncate(SIZE - 2**15)
    grid = Grid(untouched.root, "many", 9300)
    data = ["--data", str(disk.folder)]
    grid.start(*data)
    status, _, err = grid.ended(600)
    assert_full(status, err, disk)
    assert not list(disk.folder.glob("cache/*.npz*"))
    disk.free()
    grid.start(*data)
    status, _, err = grid.ended()
    assert status == 0, err
    assert grid.checksums() == untouched.of("many")


@pytest.mark.parametrize("what", ["render", "report", "claims", "run"])
def test_no_room_for_tables_and_pages(
    untouched: Untouched, small_disk: Callable[[Path], SmallDisk], what: str
) -> None:
    """Each file is what it was, or what it is to be."""
    untouched.of("many")
    root = untouched.root
    disk = small_disk(root / f"full-{what}")
    subprocess.run(["cp", "-r", str(root / "results-0" / "many"), str(disk.folder)], check=True)
    results = ["--results", str(disk.folder)]
    scale = ["--protocol", str(root / "many.yaml")]
    table = [str(root / "two.yaml"), *scale, *results]
    asked = {
        "render": ["render", *table],
        "report": ["report", *scale, *results],
        "claims": ["claims", *scale, *results],
        "run": ["run", *table, "--device", "cpu"],
    }[what]

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in disk.folder.rglob("*.*") if path.is_file()}

    for path in disk.folder.rglob("*.*"):  # so that there is something to be written
        if path.suffix in (".md", ".html", ".csv") and "runs" not in path.parts:
            path.write_text("before\n")
    before = files()
    disk.fill()
    status, _, err = call(root, *asked)
    assert_full(status, err, disk)
    after = files()
    after.pop(disk.ballast, None)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path.suffix in (".part", ".old")]
    disk.free()
    status, out, err = call(root, *asked)
    assert status == 0, err
    assert "wrote" in out


def test_no_room_for_an_evaluation(
    untouched: Untouched, small_disk: Callable[[Path], SmallDisk]
) -> None:
    """What was measured is printed before it is written, so it is not lost."""
    from cardinality.architecture.settings import Architecture, Setting
    from cardinality.nets.network import ResNeXt

    root = untouched.root
    torch.manual_seed(0)
    net = ResNeXt(Architecture(Setting.parse("1x64d"), 11, "cifar-stride2", 5, 16))
    torch.save(net.state_dict(), root / "net.pth")
    disk = small_disk(root / "full-evaluations")
    disk.fill()
    asked = ["evaluate", "--weights", "net.pth", "--data", "data/made/train", "--setting", "1x64d"]
    asked += ["--depth", "11", "--stem", "cifar-stride2", "--resize", "16", "--crop", "16"]
    asked += ["--results", str(disk.folder), "--device", "cpu"]
    status, out, err = call(root, *asked)
    assert_full(status, err, disk)
    assert "net.pth" in out
    disk.free()
    status, again, err = call(root, *asked)
    assert status == 0, err
    assert again.startswith(out)
