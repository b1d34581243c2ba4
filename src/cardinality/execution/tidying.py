"""What drivers and workers that were killed have left in a results folder."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import remove_leftovers
from cardinality.data.store import cache_folder, data_root
from cardinality.results.folder import Results

# Nothing is half written there: a run's folder is moved into place from beside the checkpoints, and
# a hold is a link. Of either there may be ten thousand.
WHOLE = {"runs", "failed", "holds"}


def tidy(results: Results) -> None:
    """Remove it. What others who compute in the folder are writing is left alone."""
    for folder in (*_written_to(results), cache_folder(data_root())):
        remove_leftovers(folder)
    for checkpoint in (results.folder / "checkpoints").glob("*.pt"):
        # Of a record that cannot be read the reader is told elsewhere; some may only look on.
        with suppress(UserError, OSError):
            if _settled(results, checkpoint.stem):  # killed after its record
                results.progress(checkpoint.stem).unlink(missing_ok=True)
                checkpoint.unlink(missing_ok=True)
    for folder in (results.folder / "holds").glob("[!.]*"):
        with suppress(UserError):
            if _settled(results, folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _written_to(results: Results) -> Iterator[Path]:
    """The folders that a file may lie half written in: the protocol's, and those beside it."""
    yield results.folder.parent  # index.html
    yield results.folder.parent / "evaluations"
    yield results.folder  # index.html, claims.md
    for folder in results.folder.glob("*"):
        if folder.name not in WHOLE and folder.is_dir() and not folder.is_symlink():
            yield folder


def _settled(results: Results, name: str) -> bool:
    return results.status(name) in ("done", "diverged")
