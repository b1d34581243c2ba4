"""The command about how strongly a trained net's layers respond: responses."""

import json
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.cli.options import DataOption, ResultsOption
from cardinality.common.errors import UserError
from cardinality.common.workspace import workspace

if TYPE_CHECKING:
    import pandas as pd

    from cardinality.results.folder import Results
    from cardinality.results.records import Record


def responses_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names of finished runs.")],
    images: Annotated[
        int, typer.Option("--images", min=1, max=1_000_000, help="The first so many test images.")
    ] = 1000,
    data: DataOption = None,
    results: ResultsOption = None,
) -> None:
    """Show how strongly each 3x3 layer responds, in order and sorted (ResNet's Fig. 7)."""
    import pandas as pd

    from cardinality.report import canvas, plots
    from cardinality.report.markdown import columns_of, to_markdown

    if data is not None:
        os.environ["CARDINALITY_DATA"] = str(data.absolute())
    root = results or workspace() / "results"
    parts = [_of_run(root, name, images) for name in dict.fromkeys(runs)]
    table = pd.concat(parts, ignore_index=True)
    lines = [
        {
            "net": f"{part.run.iloc[0]}",
            "3x3 layers": str(len(part)),
            "smallest": f"{part.deviation.min():.3f}",
            "median": f"{part.deviation.median():.3f}",
            "largest": f"{part.deviation.max():.3f}",
        }
        for part in parts
    ]
    print(to_markdown(columns_of(lines)))
    files = canvas.save(
        lambda figure: plots.responses(table, figure), (9, 3.8), root / "responses" / "responses",
        table,
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


def _of_run(root: Path, name: str, images: int) -> "pd.DataFrame":
    """One run's layers: run, layer, name, deviation."""
    import pandas as pd
    import torch
    from pydantic import TypeAdapter

    from cardinality.data.device import batches
    from cardinality.data.store import load_images
    from cardinality.evaluation.responses import responses
    from cardinality.experiment.configuration import Training
    from cardinality.experiment.datasets import DataSpec
    from cardinality.report.frames import architecture_of
    from cardinality.training.weights import load_weights, net_with

    results, record = _found(root, name)
    stated = dict(record.configuration["data"])
    if stated["name"] == "folders":  # two keys are no part of a run's identity
        stated |= {"title": "photographs", "how_to_get": "see docs/data.md"}
    spec: DataSpec = TypeAdapter(DataSpec).validate_json(json.dumps(stated))
    architecture, path = architecture_of(record), results.weights(name)
    weights, _ = load_weights(path)
    net = net_with(
        weights, path, architecture.setting, architecture.depth, architecture.stem,
        padded=architecture.shortcut == "A",
    )  # fmt: skip
    recipe = json.dumps(record.configuration["training"])
    training = Training.model_validate_json(recipe)
    _, test = batches(load_images(spec), training, torch.device("cpu"))
    size = min(images, 250)
    shown = (x for x, _ in islice(test.plain(size), -(-images // size)))
    found = responses(net.to(memory_format=torch.channels_last), shown, record.numerics)
    return pd.DataFrame(found).assign(run=name)[["run", "layer", "name", "deviation"]]
