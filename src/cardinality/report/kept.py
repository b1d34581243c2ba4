"""A table's page as it was last rendered, given again while nothing that it is made of has changed.

Drawing plots takes seconds, and who types the same command again has them already. What a page is
made of are the plan, the records, the suite's code and files, and the libraries that draw; what was
written must still be there as it was.
"""

import hashlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.files import read_bytes, written_aside
from cardinality.common.strict import Strict
from cardinality.experiment.plan import Plan
from cardinality.results.folder import Results

LARGEST = 10_000_000  # bytes
DRAWN_BY = ("matplotlib", "numpy", "pandas", "scipy")
READ = ("runs", "failed", "images")
STATED = ("ablations", "paper_tables")


class Page(Strict):
    """What was given, and what it was made of.

    Attributes:
        made_of: checksum over everything that the page is made of.
        page: as it was printed.
        written: each file that was written, with its size in bytes and its time in nanoseconds.
    """

    made_of: str
    page: str
    written: dict[str, tuple[int, int]]


def recall(plan: Plan, results: Results, now: str) -> tuple[str, list[Path]] | None:
    """The page of last time and the files that were written, if they still are what they would be.

    Args:
        plan: the table.
        results: where its records are.
        now: what it would be made of (`made_of`).
    """
    try:
        kept = Page.model_validate_json(read_bytes(_place(plan, results), LARGEST))
    except (UserError, ValidationError):
        return None
    files = [Path(name) for name in kept.written]
    if kept.made_of != now or kept.written != _states(files):
        return None
    return kept.page, files


def keep(plan: Plan, results: Results, was: str, page: str, files: Sequence[Path]) -> None:
    """Keep a page that has just been rendered for the next time.

    Args:
        plan, results: of the table.
        was: what it was made of (`made_of`), asked before it was rendered: a record that came
            meanwhile is not in it.
        page, files: as printed, and what was written.
    """
    kept = Page(made_of=was, page=page, written=_states(files))
    with written_aside(_place(plan, results)) as path:
        path.write_text(kept.model_dump_json(), encoding="utf-8")


def _place(plan: Plan, results: Results) -> Path:
    return results.kept / f"{plan.files}.json"


def _states(files: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Size and time of each file that is there."""
    states = {str(file): file.stat() for file in files if file.is_file()}
    return {name: (state.st_size, state.st_mtime_ns) for name, state in states.items()}


def made_of(plan: Plan, results: Results, form: str) -> str:
    """A checksum over the plan, and over name, size and time of every file that is read."""
    versions = [(name, version(name)) for name in DRAWN_BY]
    files = sorted(_states(list(_read(results))).items())
    return hashlib.sha256(repr((plan, form, versions, files)).encode()).hexdigest()


def _read(results: Results) -> Iterator[Path]:
    """Every file that a page may be made of."""
    yield from (path for path in workspace.PACKAGE.rglob("*") if path.suffix != ".pyc")
    for kind in STATED:
        for folder in workspace.folders(kind):
            yield from folder.rglob("*")
    for kind in READ:
        yield from (results.folder / kind).rglob("*")
