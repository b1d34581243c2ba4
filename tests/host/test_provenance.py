"""Records name this suite's version and commit, whatever repository it is installed in."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cardinality.common.workspace import PACKAGE
from cardinality.host import provenance
from tests.places import ROOT

# What lies in every copy: a checkout's own, and what was built for it, are left out.
IGNORED = shutil.ignore_patterns("__pycache__", "shipped", "*.so")
ASK = """
from cardinality.host.provenance import own_version, state_of_code
print(own_version(), *state_of_code())
"""


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=n", "-c", "user.email=e")
    answer = subprocess.run(
        ["git", "-C", str(folder), *named, *arguments], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def ask(folder: Path) -> list[str]:
    """What a copy of the package in a folder says: its version, commit and state."""
    answer = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.split()


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Another repository with a commit."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "README").write_text("theirs")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "theirs")
    return folder


def test_an_installed_package_says_what_it_was_built_from(theirs: Path) -> None:
    # As `pip install --target src` would lay it, which looks most like a checkout.
    shutil.copytree(PACKAGE, theirs / "src" / "cardinality", ignore=IGNORED)
    shipped = theirs / "src" / "cardinality" / "shipped"
    shipped.mkdir()
    built = {"version": "7.8.9", "commit": "c" * 40, "clean": True}
    (shipped / "built.json").write_text(json.dumps(built))
    assert ask(theirs / "src") == ["7.8.9", "c" * 40, "True"]


def test_a_copy_that_knows_of_no_commit_says_none(theirs: Path) -> None:
    shutil.copytree(PACKAGE, theirs / "src" / "cardinality", ignore=IGNORED)
    assert ask(theirs / "src")[1:] == ["None", "None"]


def test_a_checkout_says_its_own_whatever_git_is_told(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = git(ROOT, "rev-parse", "HEAD")
    assert own != git(theirs, "rev-parse", "HEAD")
    # As in a hook of another repository.
    monkeypatch.setenv("GIT_DIR", str(theirs / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(theirs))
    assert provenance.state_of_code().commit == own
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert provenance.installed()["cardinality"] == stated["project"]["version"]
