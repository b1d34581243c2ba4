"""The command about given weights: evaluate."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import ComputeOn, ResultsOption, refuse, results_root
from cardinality.common.errors import UserError
from cardinality.common.files import look


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
        typer.Option("--resize", min=1, help="Length of the shorter side; by default 256."),
    ] = None,
    crop: Annotated[
        int | None, typer.Option("--crop", min=1, help="Side of the crop; by default 224.")
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
    from cardinality.data.checks import labelled
    from cardinality.data.names import read_names
    from cardinality.evaluation import among as naming
    from cardinality.evaluation import counting, record
    from cardinality.evaluation import scales as sizes
    from cardinality.evaluation import views as looks
    from cardinality.execution.display import tracked
    from cardinality.host.machine import check_usable, detect
    from cardinality.host.provenance import provenance
    from cardinality.training.weights import load_weights, net_with, statistics_of

    if scales is not None:
        cut = {"--resize": resize, "--crop": crop, "--views": views != "center"}
        refuse(cut, "beside --scales, which sees whole images", "one of the two")
    resize, crop = resize or 256, crop or 224
    if crop > resize:
        raise UserError(f"--crop {crop}: at most --resize, {resize}")
    if among is not None and classes is None:
        raise UserError("--among: without --classes; allowed: with the names of the net's outputs")
    machine = detect(device)
    check_usable(machine.device)
    state, metadata = load_weights(weights, key)
    statistics, way = statistics_of(metadata), counting.way(metadata, machine)
    padded = padded or metadata.get("shortcut") == "A"
    net = net_with(state, weights, *setting_and_depth(setting, depth), stem, padded)
    places: tuple[int, ...] | None = None
    competing: tuple[str, ...] | None = None
    if classes is None:
        samples = labelled(data, net.architecture.classes)
    else:
        competing = names = read_names(classes)
        if len(names) != net.architecture.classes:
            raise UserError(
                f"{classes}: {len(names):,} names; allowed: the net's {net.architecture.classes:,}"
            )
        if among is not None:
            competing = read_names(among)
            places = naming.chosen(names, competing, among)
        samples = naming.labelled_by_name(data, competing)
    seen_as: looks.Crops | sizes.Scales = looks.Crops(resize, crop, views, interpolation)
    size, together = way.batch(10 if views == "ten" else 1), looks.together
    if scales is not None:
        seen_as = sizes.Scales(sizes.parse(scales), interpolation)
        size, together = 1, sizes.collate
    count = -(-len(samples) // size)
    workers = min(machine.cores, count - 1)
    batches = looks.stream(samples, seen_as, size, workers, way.as_trained, together)
    shown = tracked(batches, count, "evaluating")
    ready = counting.prepare(net, way)
    wrong = counting.count_errors(ready, shown, way.numerics, statistics, places)
    made = provenance(machine)
    found = record.evaluation(
        weights, net, wrong, samples, data, seen_as, way, made, metadata.get("choice"), competing
    )
    print(record.page([found]))  # before it is written: a full disk must not lose it
    table = record.write(found, folder)
    print(f"wrote {table}")
