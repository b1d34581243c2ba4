"""What a record says of where it came from: machine, versions and the state of the code."""

import platform
import subprocess
from importlib.metadata import version

from cardinality.experiment.plan import ROOT
from cardinality.host.machine import Machine
from cardinality.results.records import Provenance

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn")


def provenance(machine: Machine) -> Provenance:
    """Describe this machine and this checkout, once a grid."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", ".", ":!results")
    return Provenance(
        machine=machine.name,
        cores=machine.cores,
        versions={"python": platform.python_version(), **{n: version(n) for n in LIBRARIES}},
        commit=commit,
        clean=None if commit is None or changes is None else changes == "",
    )


def _git(*arguments: str) -> str | None:
    """What git prints, or nothing where there is no git, no repository or no commit."""
    try:
        command = ("git", "-C", str(ROOT), *arguments)
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 -- our own words
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
