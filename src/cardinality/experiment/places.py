"""Where ablations and protocols lie, and the file that a name stands for."""

import os
import re
import shlex
from pathlib import Path

from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.files import look, read_text

# Where ablations and protocols lie, below a workspace.
ABLATIONS, PROTOCOLS = "ablations", "ablations/protocols"
# Bytes that the suite's Makefile may have, for its tasks to be read.
MAKEFILE = 2**20


def find(name: str, place: str) -> Path:
    """The file that a name or path stands for.

    Args:
        name: of a file in the workspace or among the suite's own, or a path that ends in .yaml.
        place: `ABLATIONS` or `PROTOCOLS`.

    Raises:
        UserError: there is none, with the names that there are.
    """
    kind = Path(place).name.removesuffix("s")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        found = workspace.find(place, name, ".yaml")
        if found is None:
            allowed = ", ".join(workspace.names(place, ".yaml"))
            raise UserError(f"{kind} {name!r}: no such {kind}; allowed: {allowed}, or a .yaml file")
        path = found
    if not os.path.lexists(path):
        raise UserError(f"{path}: no such file; allowed: a known {kind}'s name, or a .yaml file")
    look(path)
    known = workspace.find(place, path.stem, ".yaml")
    if known is not None and not known.samefile(path):
        raise UserError(
            f"{path}: {path.stem} is the name of {known}, whose results it would take the place"
            " of; allowed: another name of the file"
        )
    # The name becomes a folder or a file in results/.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem):
        raise UserError(f"{path}: the name of a file may have letters, digits, '.', '_' and '-'")
    return path


def published_figures(name: str) -> Path:
    """The file of published figures that a name stands for.

    Raises:
        UserError: there is none, with the names that there are.
    """
    path = workspace.find("paper_tables", name, ".csv")
    if path is None:
        allowed = ", ".join(workspace.names("paper_tables", ".csv"))
        raise UserError(f"paper: no figures {name!r} in paper_tables/; allowed: {allowed}")
    return path


def command(ablation: str, protocol: str) -> str:
    """What to type to compute a table, from the two as `typed` gives them.

    It is make where the current folder is the suite's own, whose Makefile has every ablation but
    one that is called as a task of it, such as ``clean``.
    """
    here = Path()
    own = (here / "Makefile").is_file() and here.samefile(workspace.shipped())
    if own and (here / ABLATIONS / f"{ablation}.yaml").is_file() and ablation not in _tasks(here):
        return f"make {ablation} PROTOCOL={shlex.quote(protocol)}"
    return by_hand(ablation, protocol)


def by_hand(ablation: str, protocol: str) -> str:
    """The same where there is no make."""
    return shlex.join(["cardinality", "run", ablation, "--protocol", protocol])


def _tasks(root: Path) -> list[str]:
    """What else a Makefile does: the words of its ``TASKS``."""
    text = read_text(root / "Makefile", MAKEFILE).replace("\\\n", " ")
    stated = re.search(r"^TASKS := (.*)$", text, re.MULTILINE)
    return stated[1].split() if stated else []


def typed(path: Path, place: str) -> str:
    """What a command takes for a file: its name, or the path where no name stands for it."""
    named = workspace.find(place, path.stem, ".yaml")
    known = named is not None and named.samefile(path)
    return path.stem if known else str(path)
