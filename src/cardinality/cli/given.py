"""The command about given weights: evaluate."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import ComputeOn, ResultsOption
from cardinality.common.errors import UserError
from cardinality.common.workspace import workspace


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
    import torch

    from cardinality.architecture.settings import Setting
    from cardinality.evaluation import evaluate as evaluation
    from cardinality.execution.display import tracked
    from cardinality.host.machine import check_usable, detect
    from cardinality.host.provenance import provenance
    from cardinality.training.weights import load_weights, net_with

    if crop > resize:
        raise UserError(f"--crop {crop}: at most --resize, {resize}")
    machine = detect(device)
    check_usable(machine.device)
    state, metadata = load_weights(weights, key)
    net = net_with(state, weights, Setting.parse(setting), depth, stem).eval()
    samples = evaluation.find_samples(data, net.architecture.classes)
    crops = evaluation.Crops(resize, crop, views, interpolation)
    where = torch.device(machine.device)
    count = -(-len(samples) // evaluation.BATCH)
    batches = evaluation.stream(
        samples, crops, evaluation.statistics_of(metadata), min(machine.cores, count - 1)
    )
    precision = evaluation.precision_of(metadata)
    seen = tracked(batches, count, "evaluating")
    wrong = evaluation.count_errors(net.to(where), seen, where, precision)
    found = evaluation.evaluation(
        weights, net, wrong, samples, data, crops, precision, provenance(machine)
    )
    table = evaluation.write(found, (results or workspace() / "results") / "evaluations")
    print(table.read_text())
    print(f"wrote {table}")
