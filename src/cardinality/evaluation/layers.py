"""The 3x3 layers of a run's net, and those of given weights, measured on images of their own.

Each is a data frame with a line a layer: net, setting, depth, shortcuts, layer (from 1, in order),
name, deviation (`responses` says of what).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter
from torch import Tensor

from cardinality.architecture.names import setting_and_depth
from cardinality.architecture.settings import Stem
from cardinality.common.errors import UserError
from cardinality.data.augmentation import normalise
from cardinality.data.checks import split_of
from cardinality.data.device import batches
from cardinality.data.images import Images
from cardinality.data.store import load_images
from cardinality.evaluation import counting
from cardinality.evaluation.responses import responses
from cardinality.evaluation.views import Crops, stream
from cardinality.experiment.configuration import Training
from cardinality.experiment.datasets import DataSpec
from cardinality.experiment.run import Numerics
from cardinality.host.machine import detect
from cardinality.nets.network import ResNeXt
from cardinality.report.frames import architecture_of
from cardinality.results.folder import Results
from cardinality.results.records import Record
from cardinality.training.weights import load_weights, net_with, statistics_of


@dataclass(frozen=True)
class Given:
    """Weights that no record describes.

    Attributes:
        weights: the file.
        setting: such as 32x4d; or a net's name, which has its depth.
        depth: without a name.
        stem: of the net.
        padded: whether its shortcuts are of type A.
        side: of the square that is cut from the centre of each image, in pixels.
        images: a folder with a folder a class.
    """

    weights: Path
    setting: str
    depth: int | None
    stem: Stem
    padded: bool
    side: int
    images: Path


def of_run(results: Results, record: Record, images: int) -> pd.DataFrame:
    """The layers of one run's net, on so many images of its own test set.

    Raises:
        UserError: its weights or its images are not there.
    """
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


def of_weights(given: Given, images: int) -> pd.DataFrame:
    """The layers of given weights, on the centres of so many photographs.

    Raises:
        UserError: weights that are not such a net's, or a folder without class folders.
    """
    weights, metadata = load_weights(given.weights)
    net = net_with(
        weights, given.weights, *setting_and_depth(given.setting, given.depth), given.stem,
        padded=given.padded or metadata.get("shortcut") == "A",
    )  # fmt: skip
    samples = split_of(given.images).samples()
    samples = samples[:: max(1, len(samples) // images)][:images]
    # 224 of 256, as in the paper's test.
    crops = Crops(given.side * 8 // 7, given.side, "center", "bilinear")
    mean, deviation = (torch.tensor(values) for values in statistics_of(metadata))
    shown = (
        normalise(views[:, 0].permute(0, 2, 3, 1).contiguous(), mean, deviation)
        for views, _ in stream(samples, crops, counting.BATCH, 0)
    )
    numerics = counting.way(metadata, detect("cpu")).numerics
    return _measured(net, shown, numerics, given.weights.stem)


def _data_of(record: Record) -> DataSpec:
    stated = dict(record.configuration["data"])
    if stated["name"] == "folders":  # two keys are no part of a run's identity
        stated |= {"title": "photographs", "how_to_get": "see docs/data.md"}
    found: DataSpec = TypeAdapter(DataSpec).validate_json(json.dumps(stated))
    return found


def _test_images(spec: DataSpec, training: Training, images: int) -> Iterator[Tensor]:
    """So many of a set's test images, evenly spaced: they lie class by class."""
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


def _measured(net: ResNeXt, shown: Iterable[Tensor], numerics: Numerics, name: str) -> pd.DataFrame:
    found = responses(net.to(memory_format=torch.channels_last), shown, numerics)
    described = net.architecture
    frame = pd.DataFrame(found).assign(
        net=name,
        setting=str(described.setting),
        depth=described.depth,
        shortcuts=described.residual,
    )
    return frame[["net", "setting", "depth", "shortcuts", "layer", "name", "deviation"]]
