"""The command about given weights: evaluate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import ComputeOn, ResultsOption, refuse, results_root
from cardinality.common.errors import UserError
from cardinality.common.files import look

if TYPE_CHECKING:
    from cardinality.data.listing import Sample
    from cardinality.evaluation.scales import Scales
    from cardinality.evaluation.views import Crops

# Pixels of a side, as of `--scales`; an image of so many takes 50 MB.
LARGEST_SIDE = 2048


def evaluate_command(
    weights: Annotated[Path, typer.Option("--weights", help=".safetensors, or saved by torch.")],
    data: Annotated[Path, typer.Option("--data", help="A folder with a folder a class.")],
    setting: Annotated[
        str, typer.Option("--setting", help="Such as 32x4d, or torchvision's or timm's name.")
    ],
    depth: Annotated[int | None, typer.Option("--depth", help="A name has its own.")] = None,
    stem: Annotated[Stem, typer.Option("--stem")] = "imagenet",
    padded: Annotated[
        bool, typer.Option("--padded", help="Shortcuts of type A, which have no weights.")
    ] = False,
    resize: Annotated[
        int | None,
        typer.Option(
            "--resize", min=1, max=LARGEST_SIDE, help="Length of the shorter side; by default 256."
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option("--crop", min=1, max=LARGEST_SIDE, help="Side of the crop; by default 224."),
    ] = None,
    views: Annotated[
        Literal["center", "ten"], typer.Option("--views", help="One crop, or ten averaged.")
    ] = "center",
    interpolation: Annotated[
        Literal["bilinear", "bicubic"],
        typer.Option("--interpolation", help="Torchvision's weights: bilinear; ours: bicubic."),
    ] = "bilinear",
    scales: Annotated[
        str | None,
        typer.Option(
            "--scales", help="The whole image at these sides, averaged: 224,256,384, or paper."
        ),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="Names of the net's outputs, one a line.")
    ] = None,
    among: Annotated[
        Path | None, typer.Option("--among", help="Names of those that compete, one a line.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Of a checkpoint's weights.")] = None,
    device: ComputeOn = "auto",
    results: ResultsOption = None,
) -> None:
    """Measure the error of given weights on a folder of images, with its interval."""
    look(weights)  # before seconds are spent on libraries
    folder = results_root(results) / "evaluations"
    from cardinality.architecture.names import setting_and_depth
    from cardinality.evaluation import counting, record
    from cardinality.evaluation.scales import Scales
    from cardinality.evaluation.views import stream
    from cardinality.execution.display import tracked
    from cardinality.host.machine import check_usable, detect
    from cardinality.host.provenance import provenance
    from cardinality.training.weights import load_weights, net_with, statistics_of

    seen_as = _seen_as(resize, crop, views, interpolation, scales)
    if among is not None and classes is None:
        raise UserError("--among: without --classes; allowed: with the names of the net's outputs")
    machine = detect(device)
    check_usable(machine.device)
    state, metadata = load_weights(weights, key)
    statistics, way = statistics_of(metadata), counting.way(metadata, machine)
    padded = padded or metadata.get("shortcut") == "A"
    net = net_with(state, weights, *setting_and_depth(setting, depth), stem, padded)
    samples, competing, places = _labelled(data, net.architecture.classes, classes, among)
    whole = isinstance(seen_as, Scales)  # images of any shape go one by one
    size = 1 if whole else way.batch(10 if views == "ten" else 1)
    count = -(-len(samples) // size)
    workers = min(machine.cores, count - 1)
    batches = stream(samples, seen_as, size, workers, way.as_trained)
    wrong = counting.count_errors(
        counting.prepare(net, way), tracked(batches, count, "evaluating"), way.numerics,
        statistics, places,
    )  # fmt: skip
    found = record.evaluation(
        weights, net, wrong, samples, data, seen_as, way, provenance(machine),
        metadata.get("choice"), competing,
    )  # fmt: skip
    print(record.page([found]))  # before it is written: a full disk must not lose it
    print(f"wrote {record.write(found, folder)}")


def _seen_as(
    resize: int | None,
    crop: int | None,
    views: Literal["center", "ten"],
    interpolation: Literal["bilinear", "bicubic"],
    scales: str | None,
) -> "Crops | Scales":
    """How an image is seen: by its crops, or whole at several scales.

    Raises:
        UserError: options that do not go together.
    """
    from cardinality.evaluation.scales import Scales, parse
    from cardinality.evaluation.views import Crops

    if scales is not None:
        cut = {"--resize": resize, "--crop": crop, "--views": views != "center"}
        refuse(cut, "beside --scales, which sees whole images", "one of the two")
        return Scales(parse(scales), interpolation)
    resize, side = resize or 256, crop or 224
    if side > resize:
        usual = " (its default)" if crop is None else ""
        raise UserError(f"--crop {side}{usual}: at most --resize, {resize}")
    return Crops(resize, side, views, interpolation)


def _labelled(
    data: Path, outputs: int, classes: Path | None, among: Path | None
) -> "tuple[list[Sample], tuple[str, ...] | None, tuple[int, ...] | None]":
    """Images with their labels; the names of the classes that compete; where those stand.

    Args:
        data: a folder with a folder a class.
        outputs: the net's classes.
        classes, among: files of names.

    Raises:
        UserError: classes that are not the net's.
    """
    from cardinality.data.checks import labelled
    from cardinality.data.names import read_names
    from cardinality.evaluation import among as naming

    if classes is None:
        return labelled(data, outputs), None, None
    names = read_names(classes)
    if len(names) != outputs:
        raise UserError(f"{classes}: {len(names):,} names; allowed: the net's {outputs:,}")
    if among is None:
        return naming.labelled_by_name(data, names), names, None
    competing = read_names(among)
    places = naming.chosen(names, competing, among)
    return naming.labelled_by_name(data, competing), competing, places
