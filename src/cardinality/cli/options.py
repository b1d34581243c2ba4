"""What several commands take: arguments and options, and how they are read."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from cardinality.architecture.settings import Role
from cardinality.common.errors import UserError

FormatName = Literal["markdown", "latex"]
DeviceOption = Literal["auto", "cpu", "cuda"]

AblationArgument = Annotated[
    str, typer.Argument(metavar="ABLATION", help="A name (table3) or a .yaml file.")
]
ProtocolOption = Annotated[str, typer.Option("--protocol", help="A name (quick) or a .yaml file.")]
SeedsOption = Annotated[
    int | None, typer.Option("--seeds", min=1, help="How many seeds; by default the protocol's.")
]
ResultsOption = Annotated[
    Path | None,
    typer.Option("--results", help="Where results are; by default results/ of the checkout."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Where data sets are; else $CARDINALITY_DATA, else data/."),
]
BatchOption = Annotated[
    int | None,
    typer.Option("--batch", min=2, help="Another batch; the rate changes in proportion."),
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="SETTING", help="Only this setting.")
]
DepthOption = Annotated[Role | None, typer.Option("--depth", help="Only the depth of this role.")]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Only this seed.")]
FormatOption = Annotated[
    FormatName, typer.Option("--format", help="Of the page; latex is written beside, too.")
]
ComputeOn = Annotated[DeviceOption, typer.Option("--device", help="What computes the runs.")]


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``9m``, ``1h30m``.

    Raises:
        UserError: not of that form.
    """
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if match is None or not text:
        raise UserError(f"--stop-after {text!r}: allowed are times like 90s, 9m, 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
