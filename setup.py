"""Builds what pyproject.toml cannot say: the suite's files and its commit go into the package."""

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
# Folders of the checkout that an installed package brings along (cardinality.common.workspace).
SHIPPED = {"ablations": "**/*.yaml", "paper_tables": "**/*.*"}
# In an archive of the sources, which has no git, this says what it was made of.
STATE = "built.json"
# By these git would take another repository for the one that it is asked about.
MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


class BuildWithFiles(build_py):
    """Copies the suite's files into the package and writes down its version and commit."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # runs from the checkout, where the files are
            return
        inside = Path(self.build_lib) / "cardinality" / "shipped"
        for file in shipped():
            target = inside / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        built = {"version": self.distribution.get_version(), **state()}
        (inside / STATE).write_text(json.dumps(built), encoding="utf-8")


class SourcesWithFiles(sdist):
    """Puts the same into an archive of the sources, from which a package can be built as well."""

    def run(self) -> None:
        self.state = state()  # now: what is made on the way lies in the checkout for a while
        super().run()

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Copy the sources, then the suite's files, and write down the commit."""
        theirs = [str(file.relative_to(ROOT)) for file in shipped()]
        super().make_release_tree(base_dir, sorted({*files, *theirs}))
        (Path(base_dir) / STATE).write_text(json.dumps(self.state), encoding="utf-8")


def shipped() -> list[Path]:
    """The files that a package brings along."""
    found = {folder: sorted((ROOT / folder).glob(SHIPPED[folder])) for folder in SHIPPED}
    empty = [folder for folder, files in found.items() if not files]
    if empty:
        raise SystemExit(f"{ROOT}: without {' and '.join(empty)}/ no package can be built")
    return [file for files in found.values() for file in files if file.is_file()]


def state() -> dict[str, object]:
    """The commit of these sources, and whether the tree outside results/ is as it has it."""
    written = ROOT / STATE
    if written.is_file():
        return dict(json.loads(written.read_text(encoding="utf-8")))
    commit = git("rev-parse", "HEAD") if (ROOT / ".git").exists() else None
    changes = None if commit is None else git("status", "--porcelain", "--", ".", ":!results")
    return {"commit": commit, "clean": None if changes is None else changes == ""}


def git(*arguments: str) -> str | None:
    """What git prints, or nothing where there is none."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        answer = subprocess.run(  # noqa: S603 -- our own words
            command, capture_output=True, text=True, check=True, env=environment
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


# What is built on the way lies outside the checkout, which stays as it was.
aside = tempfile.mkdtemp(prefix="cardinality-build-")
atexit.register(shutil.rmtree, aside, ignore_errors=True)
setup(
    cmdclass={"build_py": BuildWithFiles, "sdist": SourcesWithFiles},
    options={"build": {"build_base": aside}},
)
