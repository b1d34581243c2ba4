"""Results as DataFrames, against the files that they were read from."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardinality import UserError, load_results
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from cardinality.results.images import TestImages
from tests.report.made_runs import of_a_later_net, put


@pytest.fixture
def made(tiny: Plan, tmp_path: Path, put_records: Callable[..., None]) -> Path:
    """A folder of results with one protocol."""
    put_records(tiny, Results(tmp_path / "tiny"))
    return tmp_path


def test_every_run_is_a_row_with_the_figures_of_its_file(made: Path) -> None:
    runs = load_results(made, "tiny").runs
    files = sorted(made.glob("tiny/runs/*/run.json"))
    assert list(runs.run) == [path.parent.name for path in files]
    for row, path in zip(runs.to_dict("records"), files, strict=True):
        record = json.loads(path.read_text())
        net, final = record["configuration"]["net"], record["final"]
        assert f"{row['cardinality']}x{row['width']}d" == row["setting"] == net["setting"]
        assert (row["depth"], row["residual"]) == (net["depth"], net["residual"])
        assert row["seed"] == record["configuration"]["seed"]
        assert row["top1_error"] == final["top1_error"]
        assert row["test_loss"] == final["test_loss"]
        assert row["images"] == final["images"] == 40
        assert (row["params"], row["macs"]) == (record["params"], record["macs"])
        assert row["weights_checksum"] == record["weights_checksum"]
        assert row["precision"] == record["configuration"]["numerics"]["precision"]
        assert row["commit"] in path.read_text()


def test_every_epoch_is_a_row(made: Path) -> None:
    loaded = load_results(made, "tiny")
    for run, epochs in loaded.epochs.groupby("run"):
        with (made / "tiny" / "runs" / str(run) / "epochs.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert epochs["epoch"].tolist() == [int(line["epoch"]) for line in lines]
        for column in ("rate", "train_loss", "top1_error", "seconds"):
            assert epochs[column].tolist() == [float(line[column]) for line in lines]
    last = dict(zip(loaded.epochs["run"], loaded.epochs["top1_error"], strict=True))
    final = dict(zip(loaded.runs["run"], loaded.runs["top1_error"], strict=True))
    assert last == final


def test_what_failed_is_there_and_what_was_not_measured_is_missing(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    put_records(tiny, Results(tmp_path / "tiny"), failures=1)
    put_records(tiny, Results(tmp_path / "another"), skip=1)
    loaded = load_results(tmp_path)
    runs = loaded.runs.set_index(["protocol", "setting"])
    assert runs.status.to_dict() == {
        ("another", "32x4d"): "done",
        ("tiny", "1x64d"): "done",
        ("tiny", "32x4d"): "failed",
    }
    failed: Any = runs.loc["tiny", "32x4d"]
    assert failed.failure == "loss nan in step 3 of epoch 1"
    assert pd.isna(failed.top1_error)
    succeeded: Any = runs.loc["tiny", "1x64d"]
    assert pd.isna(succeeded.failure)
    assert set(loaded.epochs.protocol) == {"another", "tiny"}
    assert "32x4d" not in set(loaded.epochs[loaded.epochs.protocol == "tiny"].setting)


def test_nets_that_differ_by_an_option_are_told_apart(tmp_path: Path, machine: Machine) -> None:
    plan = make_plan("resnet-shortcuts", "resnet-cifar10-small", machine, 1)
    put(plan, Results(tmp_path / "resnet-cifar10-small"), lambda _: 10.0)
    runs = load_results(tmp_path).runs
    assert len(runs) == len(runs[["setting", "depth", "residual", "variant"]].drop_duplicates())
    assert set(runs.variant) >= {"basic", "basic, shortcut A", "basic, shortcut C"}


def test_a_net_that_cannot_be_built_here_is_left_out_and_said(made: Path) -> None:
    one = next((made / "tiny" / "runs").glob("*"))
    name = of_a_later_net(one)
    loaded = load_results(made)
    assert len(loaded.runs) == 1
    (problem,) = loaded.unsound.items()
    assert problem[0] == f"tiny/{name}"
    assert "no net of ours" in problem[1]
    assert [*loaded.right] == [*loaded.runs.run]


def test_one_protocols_own_folder_will_do(made: Path) -> None:
    whole, own = load_results(made), load_results(made / "tiny")
    pd.testing.assert_frame_equal(whole.runs, own.runs)


def test_a_run_that_succeeded_in_the_end_is_one_row(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    results = Results(tmp_path / "tiny")
    put_records(tiny, results, failures=1)
    put_records(tiny, results)
    assert load_results(tmp_path).runs.status.tolist() == ["done", "done"]


def test_frames_without_rows_have_their_columns(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    full, empty = tmp_path / "full", tmp_path / "empty"
    put_records(tiny, Results(full / "tiny"))
    (empty / "tiny" / "runs").mkdir(parents=True)
    loaded, nothing = load_results(full), load_results(empty)
    assert nothing.runs.dtypes.equals(loaded.runs.dtypes)
    assert nothing.epochs.dtypes.equals(loaded.epochs.dtypes)
    assert len(nothing.runs) == len(nothing.epochs) == 0


def test_what_is_not_there_is_told_with_what_is(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    with pytest.raises(UserError, match="no results of any protocol; there are: none"):
        load_results(tmp_path / "nowhere")
    put_records(tiny, Results(tmp_path / "tiny"))
    with pytest.raises(UserError, match="no results of cifar10-small; there are: tiny"):
        load_results(tmp_path, "cifar10-small")
    (tmp_path / "tiny" / "runs" / tiny.runs()[0].name / "run.json").write_text("{")
    assert len(load_results(tmp_path).runs) == 1
    assert list(load_results(tmp_path).unsound) == [f"tiny/{tiny.runs()[0].name}"]


def test_claims_agreement_and_classes_come_from_the_same_records(
    tmp_path: Path, put_records: Callable[..., None], machine: Machine
) -> None:
    plan = make_plan("table3", "cifar10-small", machine)
    results = Results(tmp_path / "cifar10-small")
    put_records(plan, results)
    labels = tuple(number % 10 for number in range(10000))
    names = tuple("0123456789")
    TestImages(classes=names, labels=labels).write(results.images("0123456789abcdef"))
    loaded = load_results(tmp_path)
    trend = loaded.claims.set_index("claim").loc["table3-trend-base"]
    assert trend["pairs"] == 5
    errors = loaded.runs[loaded.runs["depth"] == 11].set_index(["setting", "seed"])["top1_error"]
    gain = loaded.claims.set_index("claim").loc["table3-32x4d-base"]
    assert gain["effect"] == pytest.approx((errors["32x4d"] - errors["1x64d"]).mean())
    classes = loaded.classes[loaded.classes["claim"] == "table3-32x4d-base"]
    assert list(classes["class"]) == list(names)
    assert classes["effect"].mean() == pytest.approx(gain["effect"])  # as many images of each
    assert loaded.agreements["agree"].between(0, 1).all()
    assert set(loaded.right) == set(loaded.runs["run"])
    run = loaded.runs.iloc[0]
    assert 100 * (~loaded.right[run["run"]]).mean() == pytest.approx(run["top1_error"])
