"""The commands about clusters: what they print, and one line for every mistake."""

import json
from pathlib import Path

import pytest

from cardinality.execution.holds import Hold, Holds
from cardinality.results.folder import Results
from tests.cli.conftest import Call

pytest.importorskip("submitit")
CLUSTER = "device: cuda\nprecision: bfloat16\npartition: gpu\ntime: 24h\n"


@pytest.fixture
def call(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run a command in this process, on a machine without Slurm, GPU or data."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "no-data"))
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    return lambda *words: call(*(word.replace("HERE", str(tmp_path)) for word in words))


SLURM = ("run", "table3", "--protocol", "imagenet", "--results", "HERE/results",
         "--executor", "slurm", "--cluster", "HERE/cluster.yaml")  # fmt: skip


def test_a_dry_run_prints_the_script_and_needs_nothing(call: Call, tmp_path: Path) -> None:
    code, out, err = call(*SLURM, "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith("#!/bin/bash\n")
    assert "#SBATCH --gpus-per-node=1\n" in out
    assert "#SBATCH --partition=gpu\n" in out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "table3", "--dry-run"), "--dry-run: nothing is sent; allowed: with --executor"),
        (("run", "table3", "--cluster", "HERE/cluster.yaml"), "--cluster: nothing is sent"),
        (("run", "table3", "--executor", "slurm"), "needs --cluster FILE"),
        (("run", "table3", "--executor", "cloud"), "'pool', 'slurm'"),
        ((*SLURM[:-1], "HERE/none.yaml"), "none.yaml"),
        ((*SLURM, "--device", "cuda"), "cluster.yaml says that; allowed: its key device"),
        ((*SLURM, "--jobs", "4"), "cluster.yaml says that; allowed: its key array"),
    ],
)
def test_a_mistake_is_one_line(call: Call, arguments: tuple[str, ...], words: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1


def test_status_counts_what_is_known(call: Call, tmp_path: Path) -> None:
    code, out, err = call("status", "--results", "HERE/results")
    assert (code, out, err) == (0, f"quick: nothing yet (no such folder: {tmp_path}/results)\n", "")
    results = Results(tmp_path / "results" / "quick")
    assert isinstance(Holds(results).take("held"), Hold)
    results.job("sent").parent.mkdir()
    results.job("sent").write_text(json.dumps({"job": "7_1"}))
    code, out, _ = call("status", "--results", "HERE/results")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("running   held  epoch 0  process ")
    assert lines[1] == "queued    sent  epoch 0  job 7_1, the queue cannot be asked here"
    assert lines[2] == "quick: 1 running, 1 queued"


def test_status_watches_until_nothing_is_under_way(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Holds(Results(tmp_path / "results" / "quick")).take("held")
    assert isinstance(hold, Hold)
    monkeypatch.setattr("cardinality.cli.cluster.time.sleep", lambda _seconds: hold.release())
    code, out, _ = call("status", "--results", "HERE/results", "--watch")
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("quick")] == [
        "quick: 1 running",
        *["quick: 1 stopped"] * 6,
    ]
