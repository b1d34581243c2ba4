"""Builds what pyproject.toml cannot say: the suite's files and its commit go into the package."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Folders of the checkout that an installed package brings along (cardinality.common.workspace).
SHIPPED = {"ablations": "**/*.yaml", "paper_tables": "**/*.*"}


class BuildWithFiles(build_py):
    """Copies the suite's files into the package and writes down its commit."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # runs from the checkout, where the files are
            return
        inside = Path(self.build_lib) / "cardinality" / "shipped"
        for folder, pattern in SHIPPED.items():
            for file in sorted((ROOT / folder).glob(pattern)):
                target = inside / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        (inside / "built.json").write_text(json.dumps(state()), encoding="utf-8")


def state() -> dict[str, object]:
    """The commit of this checkout, and whether the tree outside results/ is as it has it."""
    commit = git("rev-parse", "HEAD") if (ROOT / ".git").exists() else None
    changes = None if commit is None else git("status", "--porcelain", "--", ".", ":!results")
    return {"commit": commit, "clean": None if changes is None else changes == ""}


def git(*arguments: str) -> str | None:
    """What git prints, or nothing where there is none."""
    try:
        command = ["git", "-C", str(ROOT), *arguments]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 -- our own words
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


# What is built on the way lies outside the checkout, which stays as it was.
setup(
    cmdclass={"build_py": BuildWithFiles},
    options={"build": {"build_base": tempfile.mkdtemp(prefix="cardinality-build-")}},
)
