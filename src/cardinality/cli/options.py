"""What several commands take: arguments and options, and how they are read."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args, get_type_hints

import typer

from cardinality.common.errors import UserError
from cardinality.common.text import terminal
from cardinality.common.workspace import workspace

FormatName = Literal["markdown", "latex"]
DeviceOption = Literal["auto", "cpu", "cuda"]
# A million runs would fill the memory before the first is planned.
MOST_SEEDS = 1000
# Python's int() and float() take more: 1_0, digits of other scripts, nan, 5,000 digits.
PLAIN: dict[type, tuple[re.Pattern[str], str]] = {
    int: (re.compile(r"-?[0-9]{1,18}"), "digits, such as 10"),
    float: (re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,3})?"), "such as 1.5"),
}

AblationArgument = Annotated[
    str, typer.Argument(metavar="ABLATION", help="A name (table3) or a .yaml file.")
]
ProtocolOption = Annotated[str, typer.Option("--protocol", help="A name (quick) or a .yaml file.")]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds", min=1, max=MOST_SEEDS, help="How many seeds; by default the protocol's."
    ),
]
FirstSeedOption = Annotated[
    int,
    typer.Option("--first-seed", min=0, max=MOST_SEEDS**2, help="Where they begin."),
]
ResultsOption = Annotated[
    Path | None,
    typer.Option("--results", help="Where results are; by default results/ of the workspace."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Where data sets are; else $CARDINALITY_DATA, else the workspace's."
    ),
]
BatchOption = Annotated[
    int | None,
    typer.Option("--batch", min=2, help="Another batch; the rate changes in proportion."),
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="SETTING", help="Only this setting, row or net.")
]
DepthOption = Annotated[
    str | None,
    typer.Option("--depth", help="Only the depth of this role, or of a row's so many layers."),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=MOST_SEEDS**2 + MOST_SEEDS - 1, help="Only this seed."),
]
FormatOption = Annotated[
    FormatName, typer.Option("--format", help="Of the page; latex is written beside, too.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs", min=1, max=1000, help="Runs side by side; by default as cores and memory allow."
    ),
]
ExecutorOption = Annotated[
    Literal["pool", "slurm"],
    typer.Option("--executor", help="Processes of this machine, or jobs of a cluster."),
]
ClusterOption = Annotated[
    Path | None,
    typer.Option("--cluster", metavar="FILE", help="What the cluster has, for --executor slurm."),
]
GpusOption = Annotated[
    int | None,
    typer.Option("--gpus", min=1, max=1024, help="GPUs that share each run; by default one."),
]
ComputeOn = Annotated[DeviceOption, typer.Option("--device", help="What computes the runs.")]


def check_numbers(commands: Mapping[str, Callable[..., None]], arguments: Sequence[str]) -> None:
    """See that every option of a command that is a number got a plain one.

    In one place for all commands and ahead of their parser, so that no option can be forgotten.

    Args:
        commands: by name.
        arguments: of the command line.

    Raises:
        UserError: an option got something that two readers would read differently.
    """
    name = next((argument for argument in arguments if argument in commands), None)
    numbers = {} if name is None else _numbers(commands[name])
    following = [*arguments[1:], ""]
    for argument, after in zip(arguments, following, strict=True):
        option, equals, value = argument.partition("=")
        if option not in numbers:
            continue
        text = value if equals else after
        pattern, allowed = PLAIN[numbers[option]]
        if not pattern.fullmatch(text) and not (text == "" or (not equals and text[:2] == "--")):
            raise UserError(f"{option}: {text!r:.80} is no plain number; allowed: {allowed}")


def check_empty(arguments: Sequence[str]) -> None:
    """See that no option is empty, as a shell's variable is that nobody has set.

    An empty path would be read as the current folder.

    Raises:
        UserError: one is.
    """
    for argument, after in zip(arguments, [*arguments[1:], None], strict=True):
        option, equals, value = argument.partition("=")
        if option.startswith("--") and (value if equals else after) == "":
            raise UserError(f"{option}: is empty; allowed: a value, or without it")


def _numbers(command: Callable[..., None]) -> dict[str, type]:
    """The options of a command that are numbers, and of which kind."""
    found: dict[str, type] = {}
    for hint in get_type_hints(command, include_extras=True).values():
        kinds = {*get_args(hint)[:1], *get_args(get_args(hint)[0] if get_args(hint) else hint)}
        for kind in kinds & {int, float}:
            for option in getattr(hint, "__metadata__", ()):
                # In an annotation typer has the first name in the place of the default.
                names = (option.default, *(option.param_decls or ()))
                found.update({n: kind for n in names if isinstance(n, str) and n[:2] == "--"})
    return found


def refuse(options: Mapping[str, object], where: str, allowed: str) -> None:
    """See that no option was given that would have no effect.

    Args:
        options: what was given for each, by its name; none or false is nothing.
        where: they would have none, such as ``beside --detect``.
        allowed: what to do instead.

    Raises:
        UserError: one was given.
    """
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        have = "has" if len(given) == 1 else "have"
        raise UserError(f"{', '.join(given)}: {have} no effect {where}; allowed: {allowed}")


def results_root(given: Path | None) -> Path:
    """The folder that results are in: the one that was given, else results/ of the workspace.

    Raises:
        UserError: something else has its name: a file, a pipe, a link that leads nowhere; or it
            is one protocol's folder.
    """
    folder = workspace() / "results" if given is None else given
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder}: is there and is no folder; allowed: --results FOLDER")
    if next(folder.glob("runs/*/run.json"), None) is not None:
        above = shown_path(folder.resolve().parent)
        raise UserError(f"{folder}: is one protocol's; allowed: --results {above}")
    return folder


def shown_path(path: Path) -> str:
    """A path as a reader in this folder would write it, and as a terminal may have it."""
    whole, here = path.resolve(), Path.cwd()
    return terminal(whole.relative_to(here) if whole.is_relative_to(here) else whole)


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``9m``, ``1h30m``.

    Raises:
        UserError: not of that form.
    """
    match = re.fullmatch(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?", text)
    if match is None or not text:
        raise UserError(f"--stop-after {text!r}: allowed are times like 90s, 9m, 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
