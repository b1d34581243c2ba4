"""Where things lie: the workspace first, then what the suite brings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cardinality.cli.app import main
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.data.store import data_root
from tests.places import ROOT

KIND = "ablations"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nothing said yet."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(workspace.VARIABLE, raising=False)
    note.cache_clear()
    return folder


def test_it_is_the_current_folder_unless_another_is_named(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARDINALITY_DATA", raising=False)
    assert (workspace.workspace(), data_root()) == (here, here / "data")
    monkeypatch.setenv(workspace.VARIABLE, str(tmp_path))
    assert (workspace.workspace(), data_root()) == (tmp_path, tmp_path / "data")


def test_the_suites_own_files_are_found_from_an_empty_folder() -> None:
    assert workspace.find(KIND, "table3", ".yaml") == ROOT / KIND / "table3.yaml"
    assert workspace.find("paper_tables", "table3", ".csv") == ROOT / "paper_tables" / "table3.csv"
    assert workspace.find(KIND, "table33", ".yaml") is None
    for name in ("../README", "protocols/quick", "", "*"):  # a name leads nowhere else
        assert workspace.find(KIND, name, ".yaml") is None
        assert workspace.find(KIND, name, ".md") is None


def test_a_local_file_takes_the_place_of_one_of_the_suites_and_it_is_said_once(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = here / KIND / "table3.yaml"
    local.parent.mkdir()
    local.write_bytes((ROOT / KIND / "table3.yaml").read_bytes())
    assert workspace.find(KIND, "table3", ".yaml") == local
    assert capsys.readouterr().err == ""  # the same bytes: nothing to be said
    local.write_text("title: Mine")
    for _ in range(3):
        assert workspace.find(KIND, "table3", ".yaml") == local
    said = capsys.readouterr().err
    assert said == f"note: {local} takes the place of the suite's own ablations/table3.yaml\n"
    (local.parent / "mine.yaml").write_text("title: Mine")
    assert workspace.find(KIND, "mine", ".yaml") == local.parent / "mine.yaml"
    assert capsys.readouterr().err == ""
    assert {"mine", "table3", "table4"} <= set(workspace.names(KIND, ".yaml"))


def test_one_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Set, so that it is as before when the test is over.
    monkeypatch.setenv(workspace.VARIABLE, str(tmp_path))
    for command in (["plan", "table3"], ["render", "table3"], ["run", "table3"], ["doctor"]):
        monkeypatch.setattr(sys, "argv", ["cardinality", "--workspace", "nowhere", *command])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("error: workspace ")
        assert "nowhere: no such folder" in said
        assert said.count("\n") == 1


def test_a_current_folder_that_was_removed_is_one_line(here: Path) -> None:
    here.rmdir()
    with pytest.raises(UserError, match="has been removed"):
        workspace.workspace()


def test_whoever_holds_a_copy_of_the_package_is_not_its_checkout(tmp_path: Path) -> None:
    assert workspace.checkout() == ROOT
    copy = tmp_path / "theirs" / "src" / "cardinality"
    (copy / "common").mkdir(parents=True)
    (tmp_path / "theirs" / ".git").mkdir()
    for path in (workspace.PACKAGE / "__init__.py", *(workspace.PACKAGE / "common").glob("*.py")):
        (copy / path.relative_to(workspace.PACKAGE)).write_bytes(path.read_bytes())
    code = "from cardinality.common import workspace; print(workspace.checkout())"
    for stated in (None, "broken", '[project]\nname = "theirs"'):
        if stated is not None:
            (tmp_path / "theirs" / "pyproject.toml").write_text(stated)
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(copy.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout == "None\n"
