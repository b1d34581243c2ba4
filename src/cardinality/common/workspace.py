"""Where things lie: the user's workspace, and the files that the suite brings along.

Ablations, protocols and the paper's figures are looked for in the workspace first, then among
those that the suite brings; results and data go to the workspace. In a checkout both are the same
folder.
"""

import filecmp
import os
import tomllib
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import look
from cardinality.common.notes import note

# The environment's name for the workspace; worker processes inherit it.
VARIABLE = "CARDINALITY_WORKSPACE"
PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package its files lie inside it; see setup.py.
INSIDE = PACKAGE / "shipped"


def workspace() -> Path:
    """The folder that the user works in: ``$CARDINALITY_WORKSPACE``, or the current folder.

    Raises:
        UserError: the one that was named is not there, or the current one is gone.
    """
    named = os.environ.get(VARIABLE)
    if named and not Path(named).is_dir():
        raise UserError(f"workspace {named}: no such folder; allowed: one that is there")
    try:
        return Path(named) if named else Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder has been removed; allowed: one that is there") from None


def shipped() -> Path:
    """The folder with the ablations and the paper's figures that the suite brings along."""
    return INSIDE if INSIDE.is_dir() else PACKAGE.parents[1]


def checkout() -> Path | None:
    """The suite's own checkout, if this code runs from one; never another repository.

    A copy of the package that somebody keeps in a repository of theirs has not the suite's
    pyproject.toml beside it.
    """
    root = PACKAGE.parents[1]
    if INSIDE.is_dir() or not (root / ".git").exists():
        return None
    try:
        stated = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    own = stated.get("project", {}).get("name") == PACKAGE.name
    return root if own and (root / "src" / PACKAGE.name).resolve() == PACKAGE else None


def folders(kind: str) -> list[Path]:
    """The folders of a kind of file, such as ``ablations/protocols``, in their order."""
    places = {(root / kind).resolve(): root / kind for root in (workspace(), shipped())}
    return list(places.values())


def names(kind: str, ending: str) -> list[str]:
    """The names of all files of a kind, without their ending, in alphabetical order."""
    return sorted({path.stem for folder in folders(kind) for path in folder.glob(f"*{ending}")})


def find(kind: str, name: str, ending: str) -> Path | None:
    """The file of a kind that a name stands for; the workspace's takes the place of the suite's.

    The name must be one of those that are there, so it cannot lead out of the folder.

    Raises:
        UserError: what has the name is no plain file.
    """
    found = [
        path
        for folder in folders(kind)
        for path in sorted(folder.glob(f"*{ending}"))
        if path.stem == name
    ]
    if not found:
        return None
    look(found[0])
    tell_if_replacing(found[0], kind)
    return found[0]


def tell_if_replacing(path: Path, kind: str) -> None:
    """Say that a file takes the place of one of the suite's, where it does and is another."""
    own = shipped() / kind / path.name
    if own.is_file() and not filecmp.cmp(path, own, shallow=False):
        note(f"{path} takes the place of the suite's own {kind}/{path.name}")
