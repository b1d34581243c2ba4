"""The command about what lies in results/: verify."""

from pathlib import Path
from typing import Annotated

import typer

from cardinality.cli.options import ResultsOption, results_root
from cardinality.common.errors import UserError
from cardinality.common.text import plural, terminal


def verify_command(
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Only this protocol's; by default all.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Find all that does not hold together: a line each, status 1 if there is one."""
    from cardinality.results.folder import Results
    from cardinality.results.verify import verify

    unsound = beside = 0
    for folder in protocols(results_root(results), protocol):
        found = verify(Results(folder))
        for line in (*found.unsound, *found.beside):
            print(terminal(line))
        print(
            f"{terminal(folder.name)}: {plural(found.finished, 'finished run')} sound,"
            f" {plural(len(found.unsound), 'record')} unsound,"
            f" {plural(len(found.beside), 'other problem')}"
        )
        unsound += len(found.unsound)
        beside += len(found.beside)
    if unsound:
        print(
            "Tables leave unsound records out. Move their folders elsewhere to compute them again."
        )
    if unsound or beside:
        raise typer.Exit(1)


def protocols(results: Path, only: str | None) -> list[Path]:
    """The folders of protocols that have results, by name.

    Raises:
        UserError: there are none, or none of that name.
    """
    from cardinality.results.folder import protocols_below

    folders = protocols_below(results)
    # A protocol's file stands for the folder of its name.
    name = Path(only).stem if only is not None and Path(only).suffix in (".yaml", ".yml") else only
    chosen = [path for there, path in folders.items() if name in (None, there)]
    if not chosen:
        there = ", ".join(folders) or "none"
        raise UserError(f"{results}: no results of {only or 'any protocol'}; there are: {there}")
    return chosen
