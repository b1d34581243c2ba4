"""Where something was computed and with what: machine, versions and the state of the code."""

import json
import platform
import subprocess
from importlib.metadata import version
from typing import NamedTuple

from cardinality.common.strict import Strict
from cardinality.common.workspace import INSIDE, checkout
from cardinality.host.machine import Machine

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn")
# What setup.py writes into a package that is built: the commit that it was built from.
BUILT = INSIDE / "built.json"


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


class Code(NamedTuple):
    """The state of this suite's code: its commit, and whether the tree was as that has it."""

    commit: str | None
    clean: bool | None


def provenance(machine: Machine) -> Provenance:
    """Describe this machine and this suite's code, once a grid."""
    code = state_of_code()
    versions = {name: version(name) for name in ("cardinality", *LIBRARIES)}
    return Provenance(
        machine=machine.name,
        cores=machine.cores,
        versions={"python": platform.python_version(), **versions},
        commit=code.commit,
        clean=code.clean,
    )


def state_of_code() -> Code:
    """What git says of this suite's checkout, or what was written down when it was built.

    Whatever repository an installed package happens to lie in is not asked.
    """
    if BUILT.is_file():
        return Code(**json.loads(BUILT.read_text(encoding="utf-8")))
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
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 -- our own words
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
