"""Where something was computed and with what: machine, versions and the state of the code."""

import json
import os
import platform
import subprocess
import tomllib
from collections.abc import Container
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

from cardinality.common.strict import Strict
from cardinality.common.workspace import INSIDE, checkout
from cardinality.host.machine import Machine

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "scikit-image")
# What setup.py writes into a package that is built: its version and the commit of its files.
BUILT = INSIDE / "built.json"
# By these git would take another repository for the one that it is asked about.
MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


class Provenance(Strict):
    """Where and with what a run was computed.

    Attributes:
        machine: the device's own name.
        cores: CPU cores that the process might use.
        versions: of Python, this suite and the libraries that compute.
        commit: of this suite's code, where it is known.
        clean: whether the tree outside results/ was as that commit has it.
    """

    machine: str
    cores: int
    versions: dict[str, str]
    commit: str | None
    clean: bool | None


@dataclass(frozen=True)
class Place:
    """Where a process computes, as the driver knows it.

    Attributes:
        provenance: of the machine and the code.
        side_by_side: how many runs the driver has going at once, of GPUs on the same one.
        processes: how many share a run.
        here: how many runs share this machine's cores and memory; by default those side by side.
    """

    provenance: Provenance
    side_by_side: int | None = None
    processes: int = 1
    here: int | None = None


class Code(NamedTuple):
    """The state of this suite's code: its commit, and whether the tree was as that has it."""

    commit: str | None
    clean: bool | None


def provenance(machine: Machine) -> Provenance:
    """Describe this machine and this suite's code, once a grid."""
    code = state_of_code()
    return Provenance(
        machine=machine.name,
        cores=machine.cores,
        versions=installed(),
        commit=code.commit,
        clean=code.clean,
    )


def installed() -> dict[str, str]:
    """Versions of Python, this suite and the libraries that compute."""
    versions = {name: version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "cardinality": own_version(), **versions}


def own_version() -> str:
    """This suite's version: of these files, whatever else of its name is installed."""
    if BUILT.is_file():
        return str(json.loads(BUILT.read_text(encoding="utf-8"))["version"])
    root = checkout()
    if root is None:
        return version("cardinality")
    return str(tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def built_with() -> dict[str, str]:
    """What torch says of its own build: the code's state, and the CUDA and cuDNN that it has."""
    import torch

    found = {
        "torch-build": torch.version.git_version[:12],
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def state_of_code() -> Code:
    """What git says of this suite's checkout, or what was written down when it was built.

    Whatever repository an installed package happens to lie in is not asked.
    """
    if BUILT.is_file():
        built = json.loads(BUILT.read_text(encoding="utf-8"))
        return Code(built["commit"], built["clean"])
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", ":!results")
    return Code(commit, None if commit is None or changes is None else changes == "")


def _git(*arguments: str) -> str | None:
    """What git prints of the checkout, or nothing where there is no git, checkout or commit."""
    root = checkout()
    if root is None:
        return None
    try:
        command = ("git", "-C", str(root), *arguments)
        answer = subprocess.run(  # noqa: S603 -- our own words
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            env=_without(MISLEADING),
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _without(names: Container[str]) -> dict[str, str]:
    """The environment without some of its variables."""
    return {name: value for name, value in os.environ.items() if name not in names}
