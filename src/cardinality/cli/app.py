"""The command line. Statuses: 0 done, 1 some run failed, 2 the user's mistake, in one line.

Each command imports what it needs when it is called, so that every one starts at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cardinality.cli.arithmetic import inspect_command, solve_command
from cardinality.cli.check import verify_command
from cardinality.cli.given import evaluate_command
from cardinality.cli.grid import doctor_command, plan_command, render_command, run_command
from cardinality.cli.meaning import claims_command, compare_command
from cardinality.common.errors import UserError
from cardinality.common.workspace import VARIABLE

app = typer.Typer(
    name="cardinality",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    plan_command,
    run_command,
    render_command,
    claims_command,
    compare_command,
    verify_command,
    doctor_command,
    evaluate_command,
    solve_command,
    inspect_command,
):
    app.command(command.__name__.removesuffix("_command"))(command)


@app.callback(help="The cardinality ablations of ResNeXt (CVPR 2017), rebuilt at every scale.")
def every_command(
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", help="Where ablations, data and results are; by default this folder."
        ),
    ] = None,
) -> None:
    """What every command takes."""
    if workspace is not None:  # workers inherit it
        os.environ[VARIABLE] = str(workspace.absolute())


def main() -> None:
    """Run a command; a mistake of the user's is one line and status 2."""
    command = typer.main.get_command(app)
    try:
        arguments = sys.argv[1:] or ["--help"]
        status = command.main(arguments, prog_name="cardinality", standalone_mode=False)
    except UserError as error:
        status = _mistake(str(error))
    except Exception as error:
        # What the command line's own parser raises, told apart by what it can say.
        message = getattr(error, "format_message", None)
        if message is None or os.environ.get("CARDINALITY_DEBUG"):
            raise
        status = _mistake(message())
    sys.exit(status if isinstance(status, int) else 0)


def _mistake(message: str) -> int:
    if os.environ.get("CARDINALITY_DEBUG"):
        raise
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
