"""A command whose runs are shared: what is refused, who is missed, and what comes of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cardinality.cli.app import main
from cardinality.execution.together import ENDED, PATIENCE, Signs
from cardinality.host.launched import Launched
from cardinality.results.folder import Results
from cardinality.results.progress import read_header

GROUPS = "norm_images: 8\n  batch: 32"


@pytest.fixture
def grouped(files: tuple[Path, Path]) -> list[str]:
    """The command that computes the tiny table with batch norm in groups, on a CPU."""
    files[1].write_text(files[1].read_text().replace("batch: 32", GROUPS))
    return _command(files)


def _command(files: tuple[Path, Path]) -> list[str]:
    ablation, protocol = map(str, files)
    return ["run", ablation, "--protocol", protocol, "--device", "cpu", "--seeds", "1"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--gpus", "5"], "a batch of 32 has 4 groups of 8 images; allowed: --gpus 1 to 4"),
        (["--gpus", "2", "--jobs", "2"], "--jobs 2: runs that share GPUs go one by one"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_a_line(
    grouped: list[str],
    options: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert told in _refusal([*grouped, *options], monkeypatch, capsys)


def test_batch_norm_over_the_whole_batch_is_refused_in_a_line(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = _refusal([*_command(files), "--gpus", "2"], monkeypatch, capsys)
    assert error.startswith("error: --gpus 2: tiny: training.norm_images: is missing")
    assert error.endswith("allowed: --gpus 1, or a protocol with groups")


def _refusal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["cardinality", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


class Life:
    """A place for signs of life, as torch's store is one."""

    def __init__(self) -> None:
        self.signs: dict[str, bytes] = {}

    def check(self, keys: list[str]) -> bool:
        return all(key in self.signs for key in keys)

    def get(self, key: str) -> bytes:
        return self.signs[key]


def test_a_process_without_a_sign_of_life_is_missed() -> None:
    life = Life()
    signs = Signs(life, Launched(0, 3))  # type: ignore[arg-type] # as far as it is asked
    for second in range(100):
        life.signs |= {f"life/{number}": str(second).encode() for number in range(3)}
        assert signs.lost(second) is None
    life.signs["life/1"] = ENDED.encode()
    for second in range(100, 200):
        life.signs["life/0"] = str(second).encode()
        silent = second - 99 > PATIENCE  # the third gave its last at 99
        told = f"process 3 of 3 was not heard of for {PATIENCE:.0f} s"
        assert signs.lost(second) == (told if silent else None)


def _start(arguments: list[str], root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cardinality.cli", *arguments, "--results", str(root)]
    return subprocess.Popen(
        command,
        env={**os.environ, "CARDINALITY_DATA": str(root / "data")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _sittings(root: Path) -> list[list[int]]:
    folders = sorted((root / "tiny" / "runs").iterdir())
    records = [json.loads((folder / "run.json").read_text()) for folder in folders]
    return [[sitting["processes"] for sitting in record["sittings"]] for record in records]


@pytest.mark.together
def test_a_table_by_two_processes_from_the_command_line(grouped: list[str], tmp_path: Path) -> None:
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    for root, options in ((shared, ["--gpus", "2"]), (alone, [])):
        process = _start([*grouped, *options], root)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "Complete: 2 runs" in out
        assert ("2 processes share each run: at best" in out) == (root == shared)
    assert _sittings(shared) == [[2], [2]]
    assert _sittings(alone) == [[1], [1]]
    for one, other in zip(_finals(shared), _finals(alone), strict=True):
        assert one == pytest.approx(other, abs=1e-4)  # in float32


def _finals(root: Path) -> list[list[float]]:
    records = Results(root / "tiny").finished()  # runs have the same names, however many share them
    return [[r.final.train_loss, r.final.test_loss] for r in records if r.final is not None]


@pytest.mark.together
@pytest.mark.parametrize("whom", ["first", "other"])
def test_a_command_whose_process_is_killed_ends_and_goes_on(
    grouped: list[str], files: tuple[Path, Path], tmp_path: Path, whom: str
) -> None:
    """Nothing is recorded as failed; the same command with another number goes on."""
    files[1].write_text(files[1].read_text().replace("epochs: 2", "epochs: 200"))
    root = tmp_path / "results"
    process = _start([*grouped, "--gpus", "2"], root)
    checkpoints = root / "tiny" / "checkpoints"
    end = time.monotonic() + 60
    while not list(checkpoints.glob("*.pt")) and time.monotonic() < end:
        time.sleep(0.05)
    ranks = {one.environ()["RANK"]: one for one in psutil.Process(process.pid).children()}
    victim = ranks["1"]
    if whom == "first":  # the driver's worker, not the driver
        (victim,) = (
            child for child in ranks["0"].children() if "--multiprocessing-fork" in child.cmdline()
        )
    victim.send_signal(signal.SIGKILL)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 60
    assert process.returncode != 0
    assert list(checkpoints.glob("*.pt")), err
    assert list(root.glob("tiny/failed/*")) == []
    assert not [one for one in ranks.values() if one.is_running()]
    process = _start([*grouped, "--stop-after", "9s"], root)
    out, err = process.communicate(timeout=120)
    assert "the same command goes on where this one stopped" in err, out
    sittings = [read_header(path).sittings for path in checkpoints.glob("*.pt")]
    assert [2, 1] in [[sitting.processes for sitting in each] for each in sittings]
