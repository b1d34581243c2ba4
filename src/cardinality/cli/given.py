"""The command about given weights: evaluate."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import ComputeOn, ResultsOption, results_root
from cardinality.common.errors import UserError
from cardinality.common.files import look


def evaluate_command(
    weights: Annotated[Path, typer.Option("--weights", help=".safetensors, or saved by torch.")],
    data: Annotated[Path, typer.Option("--data", help="A folder with a folder a class.")],
    setting: Annotated[str, typer.Option("--setting", help="Such as 32x4d.")],
    depth: Annotated[int, typer.Option("--depth")],
    stem: Annotated[Stem, typer.Option("--stem")] = "imagenet",
    resize: Annotated[
        int, typer.Option("--resize", min=1, help="Length of the shorter side.")
    ] = 256,
    crop: Annotated[int, typer.Option("--crop", min=1, help="Side of the crop.")] = 224,
    views: Annotated[
        Literal["center", "ten"], typer.Option("--views", help="One crop, or ten averaged.")
    ] = "center",
    interpolation: Annotated[
        Literal["bilinear", "bicubic"],
        typer.Option("--interpolation", help="Torchvision's weights: bilinear; ours: bicubic."),
    ] = "bilinear",
    key: Annotated[str | None, typer.Option("--key", help="Of a checkpoint's weights.")] = None,
    device: ComputeOn = "auto",
    results: ResultsOption = None,
) -> None:
    """Measure the error of given weights on a folder of images, with its interval."""
    look(weights)  # before seconds are spent on libraries
    folder = results_root(results) / "evaluations"
    from cardinality.architecture.settings import Setting
    from cardinality.data.checks import labelled
    from cardinality.evaluation import counting, record
    from cardinality.evaluation import views as looks
    from cardinality.execution.display import tracked
    from cardinality.host.machine import check_usable, detect
    from cardinality.host.provenance import provenance
    from cardinality.training.weights import load_weights, net_with, statistics_of

    if crop > resize:
        raise UserError(f"--crop {crop}: at most --resize, {resize}")
    machine = detect(device)
    check_usable(machine.device)
    state, metadata = load_weights(weights, key)
    statistics, way = statistics_of(metadata), counting.way(metadata, machine)
    net = net_with(state, weights, Setting.parse(setting), depth, stem)
    samples = labelled(data, net.architecture.classes)
    crops = looks.Crops(resize, crop, views, interpolation)
    size = way.batch(crops.count)
    count = -(-len(samples) // size)
    batches = looks.stream(samples, crops, size, min(machine.cores, count - 1), way.as_trained)
    seen = tracked(batches, count, "evaluating")
    wrong = counting.count_errors(counting.prepare(net, way), seen, way.numerics, statistics)
    made = provenance(machine)
    found = record.evaluation(
        weights, net, wrong, samples, data, crops, way, made, metadata.get("choice")
    )
    print(record.page([found]))  # before it is written: a full disk must not lose it
    table = record.write(found, folder)
    print(f"wrote {table}")
