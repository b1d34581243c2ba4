"""The command about what lies in results/: verify."""

from pathlib import Path
from typing import Annotated

import typer

from cardinality.cli.options import ResultsOption, results_root
from cardinality.common.errors import UserError
from cardinality.common.text import terminal


def verify_command(
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Only this protocol's; by default all.")
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Find every record that does not hold together: a line each, status 1 if there is one."""
    from cardinality.results.folder import Results
    from cardinality.results.verify import problems

    wrong = 0
    for folder in protocols(results_root(results), protocol):
        found = Results(folder)
        lines = list(problems(found))
        for line in lines:
            print(terminal(line))
        number = sum(1 for _ in found.finished())
        print(
            f"{terminal(folder.name)}: {number} finished runs hold together, {len(lines)} problems"
        )
        wrong += len(lines)
    if wrong:
        print("Tables leave such runs out. Move their folders elsewhere to compute them again.")
        raise typer.Exit(1)


def protocols(results: Path, only: str | None) -> list[Path]:
    """The folders of protocols that have results, by name.

    Raises:
        UserError: there are none, or none of that name.
    """
    folders = [path for path in sorted(results.glob("*")) if (path / "runs").is_dir()]
    # A protocol's file stands for the folder of its name.
    name = Path(only).stem if only is not None and Path(only).suffix in (".yaml", ".yml") else only
    chosen = [path for path in folders if name in (None, path.name)]
    if not chosen:
        there = ", ".join(path.name for path in folders) or "none"
        raise UserError(f"{results}: no results of {only or 'any protocol'}; there are: {there}")
    return chosen
