"""The command line. Statuses: 0 done, 1 some run failed, 2 the user's mistake, in one line.

Each command imports what it needs when it is called, so that every one starts at once.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from cardinality.cli.arithmetic import inspect_command, solve_command
from cardinality.cli.check import verify_command
from cardinality.cli.cluster import status_command
from cardinality.cli.doctor import doctor_command
from cardinality.cli.given import evaluate_command
from cardinality.cli.grid import run_command
from cardinality.cli.meaning import claims_command, compare_command
from cardinality.cli.mistakes import let_everything_be_printed, told
from cardinality.cli.options import check_empty, check_numbers
from cardinality.cli.planning import plan_command
from cardinality.cli.report import report_command
from cardinality.cli.responses import responses_command
from cardinality.cli.showing import render_command
from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.common.workspace import VARIABLE

# What a shell says of a program that Ctrl-C has ended.
INTERRUPTED = 128 + signal.SIGINT

app = typer.Typer(
    name="cardinality",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    plan_command,
    run_command,
    status_command,
    render_command,
    report_command,
    claims_command,
    compare_command,
    verify_command,
    doctor_command,
    evaluate_command,
    responses_command,
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
    try:
        command = typer.main.get_command(app)
        let_everything_be_printed()
        arguments = sys.argv[1:] or ["--help"]
        commands = {str(c.name): c.callback for c in app.registered_commands if c.callback}
        check_empty(arguments)
        check_numbers(commands, arguments)
        status = command.main(arguments, prog_name="cardinality", standalone_mode=False)
    except UserError as error:
        status = _mistake(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # as the parser passes it on
            sys.exit(INTERRUPTED)
        message = told(error)
        if message is None:
            raise
        status = _mistake(message)
    sys.exit(status if isinstance(status, int) else 0)


def _mistake(message: str) -> int:
    if os.environ.get("CARDINALITY_DEBUG"):
        raise
    print(f"error: {line(message)}", file=sys.stderr)
    return 2
