"""A table with two depths: the first is shown with what it decides before the second begins."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.cli.app import main
from cardinality.cli.parts import next_command
from cardinality.execution.driver import Summary
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A command that computes two settings at two depths, in an empty workspace."""
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    ablation, protocol = tmp_path / "two.yaml", tmp_path / "tiny.yaml"
    ablation.write_text(TINY_ABLATION.replace("[base]", "[base, deep]"))
    protocol.write_text(TINY_PROTOCOL + "next: quick\n")
    return ("run", str(ablation), "--protocol", str(protocol), "--device", "cpu", "--seeds", "1")


@pytest.mark.long
def test_each_depth_is_shown_when_it_is_there(
    two: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cardinality", *two])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    steps = [
        "First 2 runs with 11 layers.",
        "(2/2 runs",
        "What this decides:",
        "Now 2 runs with 20 layers. Stop when you like",
        "(2/2 runs",
        "# Two rows",
        "What this decides:",
    ]
    place = 0
    for step in steps:
        place = out.index(step, place) + len(step)
    # The question is a file that lies elsewhere, so its name alone would be no command.
    assert f"): cardinality run {two[1]} --protocol quick\n" in out


def test_a_scale_for_a_table_of_ones_own_has_no_pages_and_that_is_no_failure(
    two: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path(two[3]).open("a") as protocol:
        protocol.write("ablations: [two]\n")
    monkeypatch.setattr("sys.argv", ["cardinality", *two, "--depth", "base", "--only", "32x4d"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    answer = capsys.readouterr()
    assert "# Two rows" in answer.out
    assert "note: no pages to browse: " in answer.err
    assert "ablations: none of them is in ablations/" in answer.err


def test_runs_that_others_have_computed_are_told(
    two: tuple[str, ...],
    put_records: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else nothing computed here would stand beside a table that is whole."""

    def by_others(plan: Plan, _asked: object, found: Results, *_: object) -> Summary:
        put_records(plan, found)
        return Summary(done=1, others=3)

    monkeypatch.setattr("cardinality.cli.grid.compute", by_others)
    monkeypatch.setattr("sys.argv", ["cardinality", *two])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "1 run computed here, 3 by other processes.\n" in capsys.readouterr().out


def test_what_is_next_is_said_as_it_was_asked(machine: Machine) -> None:
    plan = make_plan("table3", "quick", machine)
    assert next_command(plan, by_make=True).endswith(": make table3 PROTOCOL=cifar10-small\n")
    assert next_command(plan, by_make=False).endswith(
        ": cardinality run table3 --protocol cifar10-small\n"
    )
    assert next_command(make_plan("table3", "imagenet", machine), by_make=True) == ""


def test_the_parts_of_a_table_are_its_depths(machine: Machine) -> None:
    parts = make_plan("table3", "quick", machine).parts()
    assert [{entry.role for entry in part.entries} for part in parts] == [{"base"}, {"deep"}]
    for name in ("table4", "residual"):  # one depth, or rows that are compared across depths
        assert len(make_plan(name, "quick", machine).parts()) == 1
