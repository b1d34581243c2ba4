"""What drivers and workers that were killed have left in a results folder."""

import shutil
from contextlib import suppress

from cardinality.common.errors import UserError
from cardinality.common.files import remove_leftovers
from cardinality.data.store import cache_folder, data_root
from cardinality.results.folder import Results


def tidy(results: Results) -> None:
    """Remove it. What others who compute in the folder are writing is left alone."""
    mine = (results.folder / kind for kind in ("checkpoints", "weights", "images"))
    for folder in (*mine, results.tables, results.plots, cache_folder(data_root())):
        remove_leftovers(folder)
    for checkpoint in (results.folder / "checkpoints").glob("*.pt"):
        with suppress(UserError):  # of a record that cannot be read the reader is told elsewhere
            if _settled(results, checkpoint.stem):  # killed after its record
                results.progress(checkpoint.stem).unlink(missing_ok=True)
                checkpoint.unlink(missing_ok=True)
    for folder in (results.folder / "holds").glob("[!.]*"):
        with suppress(UserError):
            if _settled(results, folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def _settled(results: Results, name: str) -> bool:
    return results.status(name) in ("done", "diverged")
