"""`cardinality verify` finds what was edited, swapped, cut or lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.experiment.plan import Plan
from cardinality.results import manifest
from cardinality.results.folder import Results
from cardinality.results.images import TestImages
from cardinality.results.verify import verify

Put = Callable[..., None]


@pytest.fixture
def results(tiny: Plan, tmp_path: Path, put_records: Put) -> Results:
    """Two made runs with the labels of their images, and the list of what lies there."""
    results = Results(tmp_path / "tiny")
    put_records(tiny, results)
    labels = TestImages(classes=("a", "b"), labels=(0, 1) * 20)
    labels.write(results.images("0123456789abcdef"))
    manifest.write(results.folder)
    return results


def problems(results: Results) -> list[str]:
    found = verify(results)
    return [*found.unsound, *found.beside]


def edit(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def nothing(_one: Path, _other: Path) -> None:
    pass


def another_error(one: Path, _other: Path) -> None:
    content = json.loads((one / "run.json").read_text())
    edit(one, final=content["final"] | {"top1_error": 0.5})


def not_a_number(one: Path, _other: Path) -> None:
    text = (one / "epochs.csv").read_text()
    (one / "epochs.csv").write_text(text.replace("0.1", "nan"))


def five_hundred_percent(one: Path, _other: Path) -> None:
    lines = (one / "epochs.csv").read_text().splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:3], "500", *cells[4:]])
    (one / "epochs.csv").write_text("\n".join(lines) + "\n")


def anothers_epochs(one: Path, other: Path) -> None:
    shutil.copy(other / "epochs.csv", one / "epochs.csv")


def anothers_bits(one: Path, other: Path) -> None:
    shutil.copy(other / "correct.bin", one / "correct.bin")


def no_bits(one: Path, _other: Path) -> None:
    (one / "correct.bin").unlink()


def another_configuration(one: Path, _other: Path) -> None:
    content = json.loads((one / "run.json").read_text())
    edit(one, configuration=content["configuration"] | {"seed": 7})


def other_counts(one: Path, _other: Path) -> None:
    edit(one, params=1)


def no_record(one: Path, _other: Path) -> None:
    (one / "run.json").unlink()


def a_file_in_its_place(one: Path, _other: Path) -> None:
    shutil.rmtree(one)
    one.write_text("")


def anothers_record(one: Path, other: Path) -> None:
    shutil.copy(other / "run.json", one / "run.json")


def fewer_labels(one: Path, _other: Path) -> None:
    path = one.parents[1] / "images" / "0123456789abcdef.json"
    path.write_text('{"classes":["a"],"labels":[0],"sources":null}')


@pytest.mark.parametrize(
    "damage",
    [
        another_error, not_a_number, five_hundred_percent, anothers_epochs, anothers_bits, no_bits,
        another_configuration, other_counts, no_record, a_file_in_its_place, anothers_record,
        fewer_labels,
    ],
)  # fmt: skip
def test_damage_is_found(
    tiny: Plan, results: Results, damage: Callable[[Path, Path], None]
) -> None:
    assert problems(results) == []
    one, other = (results.folder / "runs" / run.name for run in tiny.runs())
    damage(one, other)
    found = problems(results)
    assert found
    assert all("\n" not in line for line in found)
    # What the repository brings is known, so that a change in it is told even if it is sound.
    assert any("repository" in line for line in found)


def test_the_list_of_files_is_as_sha256sum_writes_it(results: Results) -> None:
    import subprocess

    command = ["sha256sum", "--check", "--strict", "--quiet", manifest.NAME]
    assert subprocess.run(command, cwd=results.folder, check=False).returncode == 0
    assert len(manifest.read(results.folder)) == 7


def test_a_list_that_leads_out_of_its_folder_is_told(results: Results) -> None:
    path = results.folder / manifest.NAME
    path.write_text(path.read_text() + f"{'0' * 64}  ../../elsewhere\n")
    assert any("leads out of the folder" in line for line in problems(results))


@pytest.mark.parametrize(
    "damage", ["<html>", "0" * 64 + " *runs/a/run.json", f"{'0' * 64}  runs/{'a' * 300}/run.json"]
)
def test_a_list_that_cannot_be_read_is_told_beside_all_else(results: Results, damage: str) -> None:
    path = results.folder / manifest.NAME
    path.write_text(path.read_text() + f"{damage}\n")
    one = next((results.folder / "runs").iterdir())
    (one / "run.json").rename(one / "lost")
    listed, lost = problems(results)[::-1]
    assert "line 8: no checksum and file" in listed
    assert "has no run.json" in lost


def test_labels_that_are_lost_are_told_once_and_leave_no_run_out(results: Results) -> None:
    (results.folder / manifest.NAME).unlink()
    results.images("0123456789abcdef").unlink()
    found = verify(results)
    assert (found.finished, found.unsound) == (2, ())
    (line,) = found.beside
    assert "0123456789abcdef.json" in line
    assert line.endswith("; 2 runs evaluated on these images")


@pytest.mark.parametrize("count", ["params", "macs", "activations"])
def test_a_record_with_anothers_counts_is_in_no_table(
    tiny: Plan, results: Results, count: str
) -> None:
    name = tiny.runs()[0].name
    edit(results.folder / "runs" / name, **{count: 10**17})
    assert f"{count}: {10**17:,}, and its net has " in results.read_all()[1][name]
