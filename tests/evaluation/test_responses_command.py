"""`cardinality responses`: a table's figure, single runs and given weights, with their data."""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from cardinality.cli.app import main
from cardinality.data.augmentation import IMAGENET_STATISTICS, normalise
from cardinality.data.checks import labelled
from cardinality.evaluation.responses import responses
from cardinality.evaluation.views import Crops, stream
from cardinality.execution.worker import compute
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.host.machine import detect
from cardinality.nets.network import build
from tests.made_images import noise, write_split
from tests.tiny import PLACE, TINY_PROTOCOL

ABLATION = """\
title: Three rows
question: How strongly do layers respond?
reference: 1x64d
rows:
  - {setting: 1x64d, depth: base}
  - {setting: 32x4d, depth: base}
  - {setting: 1x64d, depth: base, residual: false}
  - {setting: 32x4d, depth: deep}
"""


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cardinality", "responses", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def computed(folder: Path) -> tuple[Plan, list[str]]:
    """A table of which the nets of 11 layers are there."""
    (folder / "three.yaml").write_text(ABLATION)
    (folder / "tiny.yaml").write_text(TINY_PROTOCOL.replace("epochs: 2", "epochs: 1"))
    files = (str(folder / "three.yaml"), str(folder / "tiny.yaml"))
    plan = make_plan(*files, detect("cpu"), seeds=1)
    for run in plan.runs():
        if run.architecture.depth == 11:
            done = compute(run, folder / "results" / "tiny", PLACE, lambda _epochs: None)
            assert done.outcome == "done"
    return plan, [entry.runs[0].name for entry in plan.entries]


def test_a_tables_figure_and_single_runs(
    tmp_path: Path,
    data_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, names = computed(tmp_path)
    common = ["--results", str(tmp_path / "results"), "--images", "20"]
    table = ["--table", str(tmp_path / "three.yaml"), "--protocol", str(tmp_path / "tiny.yaml")]
    assert call(monkeypatch, *table, *common) == 0
    out = capsys.readouterr().out
    path = tmp_path / "results/tiny/plots/three-responses-20images"
    assert all(path.with_name(f"{path.name}.{end}").stat().st_size for end in ("csv", "png", "svg"))
    found = pd.read_csv(f"{path}.csv")
    # The stem and one 3x3 a block; the line that has no run yet is not there.
    assert list(found.groupby("net", sort=False).size().items()) == [
        (name.rpartition("-")[0], 4) for name in names[:3]
    ]
    assert list(found.groupby("net", sort=False).shortcuts.first()) == [True, True, False]
    assert (found.deviation > 0).all()
    for net in found.net:
        assert net in out
    # A run alone is measured on the same images.
    assert call(monkeypatch, names[2], *common) == 0
    alone = pd.read_csv(tmp_path / f"results/responses/responses-{names[2]}-20images.csv")
    whole = found[~found.shortcuts].deviation
    assert list(alone.deviation) == pytest.approx(list(whole))


def test_given_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build("2x16d", 11, "cifar", 5, base=16).eval()
    torch.save(net.state_dict(), tmp_path / "five.pth")
    write_split(tmp_path / "val", noise(12, 24), 3)
    assert call(
        monkeypatch, "--weights", str(tmp_path / "five.pth"), "--setting", "2x16d",
        "--depth", "11", "--stem", "cifar", "--side", "21", "--data", str(tmp_path / "val"),
        "--results", str(tmp_path),
    ) == 0  # fmt: skip
    found = pd.read_csv(tmp_path / "responses/responses-five.csv")
    ((views, _),) = stream(
        labelled(tmp_path / "val", 3), Crops(24, 21, "center", "bilinear"), 12, 0
    )
    mean, deviation = (torch.tensor(values) for values in IMAGENET_STATISTICS)
    pixels = normalise(views[:, 0].permute(0, 2, 3, 1), mean, deviation)
    expected = responses(net, [pixels], Numerics("cpu", "float32", 1))
    assert list(found.deviation) == pytest.approx([each.deviation for each in expected], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "allowed: names of runs, --table or --weights"),
        (["a-run", "--table", "table3"], "allowed: names of runs, --table or --weights"),
        (["--weights", "x.pth"], "--data: is missing"),
        (["--weights", "x.pth", "--data", "."], "--setting: is missing"),
        (["no-such-run"], "none that is finished"),
        (["--table", "table3", "--protocol", "cifar10-small"], "has its weights"),
    ],
)
def test_mistakes(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, *arguments, "--results", str(tmp_path)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
