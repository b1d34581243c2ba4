"""The command about how strongly a trained net's layers respond: responses."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import ResultsOption, refuse, results_root
from cardinality.common.errors import UserError
from cardinality.common.text import file_name

if TYPE_CHECKING:
    import pandas as pd

    from cardinality.evaluation.layers import Given
    from cardinality.results.folder import Results
    from cardinality.results.records import Record

# How many test images; with another number the files have it in their names.
USUAL = 1000
# Pixels of given weights' square, the paper's of ImageNet.
SIDE = 224


def responses_command(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Names of finished runs; or")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="a table's, the first seed of each line; or")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Of --table; by default quick.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="any weights, described as for evaluate.")
    ] = None,
    setting: Annotated[
        str | None, typer.Option("--setting", help="Of --weights; or a net's name.")
    ] = None,
    depth: Annotated[int | None, typer.Option("--depth", help="Of --weights.")] = None,
    stem: Annotated[
        Stem | None, typer.Option("--stem", help="Of --weights; by default imagenet.")
    ] = None,
    padded: Annotated[
        bool, typer.Option("--padded", help="Of --weights: shortcuts of type A.")
    ] = False,
    side: Annotated[
        int | None,
        typer.Option(
            "--side", min=1, help="Of --weights, the square at the centre; by default 224."
        ),
    ] = None,
    images: Annotated[
        int,
        typer.Option("--images", min=1, max=1_000_000, help="So many of all test images."),
    ] = USUAL,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Where data sets are; beside --weights, a folder with a folder a class."
        ),
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Show how strongly each 3x3 layer responds, in order and sorted (ResNet's Fig. 7)."""
    asked = [bool(runs), table is not None, weights is not None].count(True)
    if asked != 1:
        problem = "of what" if not asked else "of several kinds of things"
        raise UserError(f"responses: {problem}; allowed: names of runs, --table or --weights")
    if table is None:
        refuse({"--protocol": protocol}, "without --table", "both, or neither")
    if weights is None:
        described = {"--setting": setting, "--depth": depth, "--stem": stem, "--padded": padded}
        refuse(described | {"--side": side}, "without --weights", "with it, or none of these")
    root = results_root(results)
    place, title = root / "responses" / "responses", ""
    if weights is not None:
        given = _given(weights, setting, depth, stem or "imagenet", padded, side or SIDE, data)
        from cardinality.evaluation.layers import of_weights

        parts, place = [of_weights(given, images)], _named(place, weights.stem)
    else:
        if data is not None:
            os.environ["CARDINALITY_DATA"] = str(data.absolute())
        if table is not None:
            found, place, title = _of_table(root, table, protocol or "quick")
        else:
            found = [_found(root, name) for name in dict.fromkeys(runs or ())]
            place = _named(place, found[0][1].name) if len(found) == 1 else place
        from cardinality.evaluation.layers import of_run  # torch, once there is what it needs

        parts = [of_run(*each, images) for each in found]
    if images != USUAL:
        place = _named(place, f"{images}image{'' if images == 1 else 's'}")
    _say(parts, place, title)


def _named(place: Path, what: str) -> Path:
    """The name of a figure that says of what it is too."""
    return place.with_name(f"{place.name}-{file_name(what)}")


def _given(
    weights: Path,
    setting: str | None,
    depth: int | None,
    stem: Stem,
    padded: bool,
    side: int,
    images: Path | None,
) -> "Given":
    """Weights as they are described by options, of which two must be there."""
    if images is None:
        raise UserError("--data: is missing; allowed: beside --weights a folder of class folders")
    if setting is None:
        raise UserError("--setting: is missing; allowed: beside --weights 32x4d, or a net's name")
    from cardinality.evaluation.layers import Given

    return Given(weights, setting, depth, stem, padded, side, images)


def _say(parts: "Sequence[pd.DataFrame]", place: Path, title: str) -> None:
    """Print a line a net, and write the figure with its table."""
    import pandas as pd

    from cardinality.report import canvas, plots
    from cardinality.report.markdown import columns_of, to_markdown

    lines = [
        {
            "net": f"{part.net.iloc[0]}",
            "3x3 layers": str(len(part)),
            "smallest": f"{part.deviation.min():.3f}",
            "median": f"{part.deviation.median():.3f}",
            "largest": f"{part.deviation.max():.3f}",
        }
        for part in parts
    ]
    print(to_markdown(columns_of(lines)))
    everything = pd.concat(parts, ignore_index=True)
    height = 3.2 * plots.response_rows(everything) + 0.8
    files = canvas.save(
        lambda figure: plots.responses(everything, figure, title), (9, height), place, everything
    )
    for file in files:
        print(f"wrote {file}")


def _found(root: Path, name: str) -> "tuple[Results, Record]":
    from cardinality.results.folder import Results

    for folder in sorted(path.parent for path in root.glob("*/runs")):
        results = Results(folder)
        if (folder / "runs" / name).is_dir() and "/" not in name:
            record = results.read(name)
            if record is not None and record.status == "done":
                return results, record
    raise UserError(f"run {name!r:.120}: none that is finished below {root}; allowed: a run's name")


def _of_table(
    root: Path, table: str, protocol: str
) -> "tuple[list[tuple[Results, Record]], Path, str]":
    """Of each line the first run whose weights are there; where the figure goes, and its title."""
    from cardinality.common.notes import note
    from cardinality.experiment.grid import make_plan
    from cardinality.host.machine import detect
    from cardinality.report.recorded import as_recorded
    from cardinality.results.folder import Results

    plan = make_plan(table, protocol, detect("auto"))
    results = Results(root / plan.protocol_name)
    recorded = as_recorded(plan, results)
    found = []
    for entry in recorded.plan.entries:
        names = [run.name for run in entry.runs if run.name in recorded.done]
        if entry.architecture.block == "preactivation" and names:
            note(f"{names[0]}: pre-activation, so no batch norm follows a 3x3: left out")
            continue
        there = (name for name in names if results.weights(name).exists())
        found += [(results, recorded.done[name]) for name in [*there][:1]]
    if not found:
        raise UserError(
            f"{plan.ablation_name}: no finished run of {plan.protocol_name} has its weights below"
            f" {results.folder}; allowed: after its runs were computed here"
        )
    place = results.plots / f"{plan.ablation_name}-responses"
    return found, place, f"{plan.ablation.title} ({plan.protocol_name})"
