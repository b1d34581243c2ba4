"""The command about how strongly a trained net's layers respond: responses."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import ResultsOption, refuse, results_root
from cardinality.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from cardinality.experiment.configuration import Training
    from cardinality.experiment.datasets import DataSpec
    from cardinality.experiment.run import Numerics
    from cardinality.nets.network import ResNeXt
    from cardinality.results.folder import Results
    from cardinality.results.records import Record

# How many test images; with another number the files have it in their names.
USUAL = 1000


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
    import pandas as pd

    from cardinality.report import canvas, plots
    from cardinality.report.markdown import columns_of, to_markdown

    if [bool(runs), table is not None, weights is not None].count(True) != 1:
        raise UserError("responses: of what; allowed: names of runs, --table or --weights")
    if table is None:
        refuse({"--protocol": protocol}, "without --table", "both, or neither")
    if weights is None:
        described = {"--setting": setting, "--depth": depth, "--stem": stem, "--padded": padded}
        refuse(described | {"--side": side}, "without --weights", "with it, or none of these")
    root = results_root(results)
    folder, name, title = root / "responses", "responses", ""
    if weights is not None:
        if data is None:
            raise UserError(
                "--data: is missing; allowed: beside --weights a folder of class folders"
            )
        parts = [
            _of_weights(
                weights, setting or "", depth, stem or "imagenet", padded, side or 224, data, images
            )
        ]
    else:
        if data is not None:
            os.environ["CARDINALITY_DATA"] = str(data.absolute())
        if table is not None:
            found, name, title = _of_table(root, table, protocol or "quick")
            folder, name = found[0][0].plots, f"{name}-responses"
        else:
            found = [_found(root, name) for name in dict.fromkeys(runs or ())]
        parts = [_of_run(*each, images) for each in found]
    everything = pd.concat(parts, ignore_index=True)
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
    height = 3.2 * plots.response_rows(everything) + 0.8
    if images != USUAL:
        name += f"-{images}image{'' if images == 1 else 's'}"
    files = canvas.save(
        lambda figure: plots.responses(everything, figure, title),
        (9, height), folder / name, everything,
    )  # fmt: skip
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
) -> "tuple[list[tuple[Results, Record]], str, str]":
    """Of each line the first run whose weights are there; the table's name, and a title."""
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
    return found, plan.ablation_name, f"{plan.ablation.title} ({plan.protocol_name})"


def _of_run(results: "Results", record: "Record", images: int) -> "pd.DataFrame":
    """The layers of one run's net, on images of its own test set."""
    from cardinality.experiment.configuration import Training
    from cardinality.report.frames import architecture_of
    from cardinality.training.weights import load_weights, net_with

    architecture, path = architecture_of(record), results.weights(record.name)
    if not path.is_file():
        raise UserError(f"{path}: is not there; allowed: a run that was computed here")
    weights, _ = load_weights(path)
    net = net_with(
        weights, path, architecture.setting, architecture.depth, architecture.stem,
        padded=architecture.shortcut == "A",
    )  # fmt: skip
    training = Training.model_validate_json(json.dumps(record.configuration["training"]))
    shown = _test_images(_data_of(record), training, images)
    return _measured(net, shown, record.numerics, record.name.rpartition("-")[0])


def _data_of(record: "Record") -> "DataSpec":
    from pydantic import TypeAdapter

    from cardinality.experiment.datasets import DataSpec

    stated = dict(record.configuration["data"])
    if stated["name"] == "folders":  # two keys are no part of a run's identity
        stated |= {"title": "photographs", "how_to_get": "see docs/data.md"}
    found: DataSpec = TypeAdapter(DataSpec).validate_json(json.dumps(stated))
    return found


def _test_images(spec: "DataSpec", training: "Training", images: int) -> "Iterator[Tensor]":
    """So many of a set's test images, evenly spaced: they lie class by class."""
    from dataclasses import replace

    import numpy as np
    import torch

    from cardinality.data.device import batches
    from cardinality.data.images import Images
    from cardinality.data.store import load_images

    found = load_images(spec)
    if isinstance(found, Images):
        count = len(found.test.labels)
        chosen = np.arange(0, count, max(1, count // images))[:images]
        found = replace(found, test=found.test.take(chosen))
    else:
        step = max(1, len(found.test) // images)
        found = replace(found, test=found.test[::step][:images])
    _, test = batches(found, training, torch.device("cpu"))
    return (x for x, _ in test.plain(min(images, 250)))


def _of_weights(
    path: Path,
    setting: str,
    depth: int | None,
    stem: Stem,
    padded: bool,
    side: int,
    folder: Path,
    images: int,
) -> "pd.DataFrame":
    """The layers of given weights, on photographs whose centres are cut out."""
    import torch

    from cardinality.architecture.names import setting_and_depth
    from cardinality.data.augmentation import normalise
    from cardinality.data.checks import split_of
    from cardinality.evaluation import counting
    from cardinality.evaluation.views import Crops, stream
    from cardinality.host.machine import detect
    from cardinality.training.weights import load_weights, net_with, statistics_of

    weights, metadata = load_weights(path)
    padded = padded or metadata.get("shortcut") == "A"
    net = net_with(weights, path, *setting_and_depth(setting, depth), stem, padded)
    samples = split_of(folder).samples()
    samples = samples[:: max(1, len(samples) // images)][:images]
    # 224 of 256, as in the paper's test.
    views = stream(samples, Crops(side * 8 // 7, side, "center", "bilinear"), counting.BATCH, 0)
    mean, deviation = (torch.tensor(values) for values in statistics_of(metadata))
    shown = (normalise(x[:, 0].permute(0, 2, 3, 1).contiguous(), mean, deviation) for x, _ in views)
    return _measured(net, shown, counting.way(metadata, detect("cpu")).numerics, path.stem)


def _measured(
    net: "ResNeXt", shown: "Iterable[Tensor]", numerics: "Numerics", name: str
) -> "pd.DataFrame":
    """A line a layer: net, setting, depth, shortcuts, layer, name, deviation."""
    import pandas as pd
    import torch

    from cardinality.evaluation.responses import responses

    found = responses(net.to(memory_format=torch.channels_last), shown, numerics)
    described = net.architecture
    frame = pd.DataFrame(found).assign(
        net=name,
        setting=str(described.setting),
        depth=described.depth,
        shortcuts=described.residual,
    )
    return frame[["net", "setting", "depth", "shortcuts", "layer", "name", "deviation"]]
