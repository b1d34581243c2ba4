"""Rendering: complete, partial and empty results against golden files, and to the same bytes."""

import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.report.published import published, read_paper
from cardinality.report.recorded import as_recorded
from cardinality.report.render import render
from cardinality.results.folder import Results
from tests.report.made_runs import SCALE, workspace_of

GOLDEN = Path(__file__).parent / "golden"
Put = Callable[..., None]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    return workspace_of(tmp_path)


def plan(name: str, machine: Machine, seeds: int = 2) -> Plan:
    return make_plan(name, SCALE, machine, seeds)


def check(name: str, page: str) -> None:
    """Compare with a golden file; UPDATE_GOLDEN=1 writes it, to be read before it is committed."""
    path = GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(page)
    assert page == path.read_text()


@pytest.mark.parametrize("ablation", ["table2", "table3", "table4", "residual"])
def test_complete(ablation: str, machine: Machine, results: Results, put_records: Put) -> None:
    asked = plan(ablation, machine)
    put_records(asked, results)
    page, files = render(asked, results)
    check(f"{ablation}-complete", page)
    assert page == (results.tables / f"{asked.files}.md").read_text()
    assert {file.suffix for file in files} == {".md", ".csv", ".png", ".svg"}
    for file in files:
        assert file.stat().st_size > 100


def test_partial(machine: Machine, results: Results, put_records: Put) -> None:
    # One run failed and the last three of the second seed are missing.
    asked = plan("table3", machine)
    put_records(asked, results, skip=3, failures=1)
    page, _ = render(asked, results)
    assert "**Partial: 16 of 20 runs are there, 3 missing and 1 failed.**" in page
    check("table3-partial", page)


@pytest.mark.parametrize("ablation", ["table3", "table4", "residual"])
def test_empty(ablation: str, machine: Machine, results: Results) -> None:
    page, _ = render(plan(ablation, machine), results)
    assert "**Partial: 0 of" in page
    check(f"{ablation}-empty", page)


def test_the_same_records_render_to_the_same_bytes(
    machine: Machine, results: Results, put_records: Put
) -> None:
    for ablation in ("table2", "table3", "table4", "residual"):
        asked = plan(ablation, machine)
        put_records(asked, results)
        _, files = render(asked, results)
        before = {file: file.read_bytes() for file in files}
        # Also on another machine, which would compute with other numerics.
        render(plan(ablation, Machine("cuda", "a GPU", 16, True)), results)
        assert {file: file.read_bytes() for file in files} == before


def test_the_csv_has_the_figures_of_the_records(
    machine: Machine, results: Results, put_records: Put
) -> None:
    asked = plan("table3", machine)
    put_records(asked, results)
    render(asked, results)
    table = pd.read_csv(results.tables / f"{asked.files}.csv")
    paper = read_paper("table3")
    errors: dict[tuple[str, int], list[float]] = {}
    for entry in asked.entries:
        records = [results.read(run.name) for run in entry.runs]
        errors[str(entry.row.setting), entry.architecture.depth] = [
            record.final.top1_error for record in records if record is not None and record.final
        ]
    for line, theirs in zip(table.to_dict("records"), paper.to_dict("records"), strict=True):
        ours = errors[line["setting"], line["depth"]]
        against = errors["1x64d", line["depth"]]
        assert line["n"] == len(ours) == 2
        assert line["top1_error"] == pytest.approx(sum(ours) / 2, rel=1e-5)
        # Two values lie sqrt(2) standard deviations (n - 1) apart.
        assert line["top1_error_deviation"] == pytest.approx(
            abs(ours[0] - ours[1]) / 2**0.5, rel=1e-5
        )
        if line["reference"] == "itself":
            assert math.isnan(line["top1_error_difference"])
            assert line["pairs"] == 0
        else:
            expected = sum(a - b for a, b in zip(ours, against, strict=True)) / 2
            assert line["pairs"] == 2
            assert line["top1_error_difference"] == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert line["paper_top1_error"] == theirs["top1_error"]


def test_differences_are_over_the_seeds_that_both_rows_have(
    machine: Machine, results: Results, put_records: Put
) -> None:
    # 1x64d at depth 11 is last in a seed; without it the second seed has no differences there.
    asked = plan("table3", machine)
    put_records(asked, results, skip=1)
    render(asked, results)
    table = pd.read_csv(results.tables / f"{asked.files}.csv")
    shallow = table[table.depth == 11].set_index("setting")
    assert list(shallow.n) == [1, 2, 2, 2, 2]
    first = {
        str(e.row.setting): results.read(e.runs[0].name)
        for e in asked.entries
        if e.architecture.depth == 11
    }
    ours, reference = first["32x4d"], first["1x64d"]
    assert ours is not None
    assert reference is not None
    assert ours.final is not None
    assert reference.final is not None
    expected = ours.final.top1_error - reference.final.top1_error
    assert shallow.top1_error_difference["32x4d"] == pytest.approx(expected, abs=1e-4)
    assert math.isnan(shallow.top1_error_deviation["1x64d"])


def test_numerics_are_never_mixed(machine: Machine, results: Results, put_records: Put) -> None:
    asked = plan("table3", machine)
    numerics = asked.runs()[0].numerics
    other = asked.with_numerics(replace(numerics, precision="bfloat16"))
    put_records(asked, results, skip=5)
    put_records(other, results, skip=12)
    found = as_recorded(other, results)
    assert found.plan == asked  # 15 runs against 8
    assert found.others == 8
    page, _ = render(asked, results)
    assert "their numerics or their images are others: 8 runs of these nets" in page


def test_images_are_never_mixed(machine: Machine, results: Results, put_records: Put) -> None:
    asked = plan("table3", machine)
    put_records(asked, results)
    others = asked.runs()[:4]
    for run in others:
        record = results.read(run.name)
        assert record is not None
        of_others = record.model_copy(update={"data_checksum": "f" * 16})
        path = results.folder / "runs" / run.name / "run.json"
        path.write_text(of_others.model_dump_json())
    found = as_recorded(asked, results)
    assert found.others == 4
    assert found.done.keys() == {run.name for run in asked.runs()[4:]}


def test_a_record_that_does_not_hold_together_is_left_out_and_said(
    machine: Machine, results: Results, put_records: Put
) -> None:
    asked = plan("table3", machine)
    put_records(asked, results)
    edited, torn, swapped, flipped = (results.folder / "runs" / r.name for r in asked.runs()[:4])
    text = (edited / "run.json").read_text()
    (edited / "run.json").write_text(re.sub(r'("top1_error": )[0-9.]+', r"\1 5.0", text))
    (torn / "run.json").write_text("{")
    other = results.folder / "runs" / asked.runs()[9].name / "epochs.csv"
    (swapped / "epochs.csv").write_text(other.read_text().replace("30", "31"))
    bits = bytearray((flipped / "correct.bin").read_bytes())
    bits[0] ^= 1
    (flipped / "correct.bin").write_bytes(bits)
    found = as_recorded(asked, results)
    assert found.unsound.keys() == {path.name for path in (edited, torn, swapped, flipped)}
    page, _ = render(asked, results)
    assert "Partial: 16 of 20 runs are there, 4 unsound.**" in page
    assert "Left out, because they do not hold together: 4 runs" in page


@pytest.mark.parametrize(("first", "beyond"), [(1, False), (3, True)])
def test_seeds_that_the_protocol_states_are_not_said_to_be_others(
    machine: Machine, results: Results, put_records: Put, first: int, beyond: bool
) -> None:
    asked = make_plan("table3", "quick", machine, seeds=1, first_seed=first)
    assert asked.protocol.count("base") == 3
    put_records(asked, results)
    page, _ = render(asked, results)
    assert f"1 seed a row, from {first} on" in page
    assert ("none of which the protocol states" in page) == beyond


def test_the_papers_figures_are_those_of_the_paper() -> None:
    # Typed a second time from the tables, by row; the files are what the code reads.
    table3 = read_paper("table3")
    assert list(table3.top1_error) == [23.9, 23.0, 22.6, 22.3, 22.2, 22.0, 21.7, 21.4, 21.3, 21.2]
    table4 = read_paper("table4").set_index("setting")
    assert list(table4.top1_error) == [22.0, 21.2, 21.7, 21.3, 20.7, 20.4]
    assert list(table4.top5_error) == [6.0, 5.6, 5.8, 5.7, 5.5, 5.3]
    residual = read_paper("residual")
    assert list(residual.top1_error) == [23.9, 22.2, 31.2, 26.1]
    for name in ("table3", "table4", "residual"):
        assert read_paper(name).source.str.contains("CVPR 2017").all()


@pytest.mark.parametrize(
    ("ablation", "protocol", "first", "data"),
    [
        ("table7", "cifar10", 3.65, "CIFAR-10"),
        ("table7", "cifar100", 17.77, "CIFAR-100"),
        ("table7", "cifar10-small", 3.65, "CIFAR-10"),
        ("table3", "imagenet", 23.9, "ImageNet"),
    ],
)
def test_the_papers_figures_are_of_the_protocols_data(
    machine: Machine, ablation: str, protocol: str, first: float, data: str
) -> None:
    paper = published(make_plan(ablation, protocol, machine))
    assert paper is not None
    assert paper.data == data
    assert paper.lines.top1_error.iloc[0] == first
    assert set(paper.lines.data) == {data}


@pytest.mark.parametrize("ablation", ["table7", "figure7"])
@pytest.mark.parametrize(("protocol", "same_nets"), [("cifar10", True), ("cifar10-small", False)])
def test_error_is_drawn_against_parameters(
    machine: Machine,
    results: Results,
    put_records: Put,
    ablation: str,
    protocol: str,
    same_nets: bool,
) -> None:
    plan = make_plan(ablation, protocol, machine, seeds=1)
    put_records(plan, results)
    page, files = render(plan, results)
    drawing = next(file for file in files if file.name == f"{plan.files}.svg").read_text()
    assert "parameters, millions" in drawing
    # The paper's points have their place only among nets of the paper's size.
    assert ("paper, CIFAR-10" in drawing) == same_nets
    assert ">8x64d<" in drawing
    assert "of CIFAR-10, as here" in page
