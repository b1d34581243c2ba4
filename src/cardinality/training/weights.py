"""Weights as files: ours with what they need to be used again, and other people's, read safely."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cardinality.architecture.names import Options
from cardinality.architecture.settings import Architecture, Setting, Stem
from cardinality.common.errors import UserError
from cardinality.common.files import written_aside
from cardinality.common.text import line
from cardinality.data.augmentation import IMAGENET_STATISTICS
from cardinality.data.images import Statistics
from cardinality.experiment.run import Numerics
from cardinality.host.machine import Precision
from cardinality.nets.network import ResNeXt
from cardinality.training.trainer import Trainer
from cardinality.training.wrappings import kind_of, read_torch, unwrap

MOST_THREADS = 4096  # what a file says is not believed beyond that


def save_weights(trainer: Trainer, path: Path) -> None:
    """Write the weights of a run as safetensors, with what is needed to evaluate them.

    That is the run's name, its numerics, and the statistics that its images had taken off.
    """
    net = trainer.net.state_dict()
    weights = {key: value.detach().cpu().contiguous() for key, value in net.items()}
    metadata = {
        "run": trainer.run.name,
        "numerics": json.dumps(asdict(trainer.run.numerics)),
        "statistics": json.dumps(trainer.statistics),
    }
    if trainer.run.architecture.shortcut == "A":  # the one thing of a net that no weight shows
        metadata["shortcut"] = "A"
    content = save(weights, metadata)
    with written_aside(path) as aside:  # by Python, whose errors say what the system says
        aside.write_bytes(content)


def numerics_of(metadata: Mapping[str, str]) -> Numerics | None:
    """What weights were trained with, of ours; nothing of other people's.

    Raises:
        UserError: what stands there is none.
    """
    if "numerics" not in metadata:
        return None
    try:
        numerics = TypeAdapter(Numerics).validate_json(metadata["numerics"])
    except ValidationError:
        numerics = None
    if numerics is None or not 1 <= numerics.threads <= MOST_THREADS:
        raise UserError("weights: their numerics are no device, precision and number of threads")
    return numerics


def precision_of(metadata: Mapping[str, str]) -> Precision:
    """What weights were trained in: of ours it stands in the file, else float32."""
    numerics = numerics_of(metadata)
    if numerics is not None:
        return numerics.precision
    # Ours had this alone once.
    return "bfloat16" if metadata.get("precision") == "bfloat16" else "float32"


def statistics_of(metadata: Mapping[str, str]) -> Statistics:
    """What images had taken off in training: of ours it stands in the file, else ImageNet's.

    Raises:
        UserError: it stands there and is no mean and deviation of three channels.
    """
    if "statistics" not in metadata:
        return IMAGENET_STATISTICS
    try:
        mean, deviation = (tuple(map(float, part)) for part in json.loads(metadata["statistics"]))
    except (ValueError, TypeError):
        mean = deviation = ()
    # Of pixels up to 255; of a deviation near none nothing would be left but its error.
    sound = all(0 <= m <= 255 for m in mean) and all(1e-6 < d <= 255 for d in deviation)
    if len(mean) != 3 or len(deviation) != 3 or not sound:
        raise UserError("weights: their statistics are no mean and deviation of three channels")
    return mean, deviation


def weights_checksum(net: nn.Module) -> str:
    """SHA-256 over the bytes of every weight and buffer; 16 hexadecimal digits of it."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_weights(path: Path, key: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights and what the file says of them, without running anything in it.

    What is wrapped around them is taken off, see `cardinality.training.wrappings`. Where a file
    has several sets of weights, ``choice`` of the metadata says which was taken.

    Args:
        path: .safetensors or torch's, told apart by what they begin with.
        key: of a checkpoint, under which the weights stand; by default as is usual.

    Raises:
        UserError: no such file, a damaged one, or one that holds something else.
    """
    kind = kind_of(path)
    metadata: dict[str, str] = {}
    content: Any
    if kind == "safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no dict
                metadata = dict(file.metadata() or {})
        except Exception as error:  # SafetensorError, and what its header leads to in torch
            raise UserError(
                f"{path}: is cut or damaged, and cannot be read as weights: {_first_line(error)}"
            ) from None
    else:
        content = read_torch(path, kind)
    found = unwrap(content, path, key)
    if found.choice is not None:
        metadata["choice"] = found.choice
    return found.weights, metadata


def net_with(
    weights: Mapping[str, Tensor],
    path: Path,
    setting: Setting,
    depth: int,
    stem: Stem,
    padded: bool = False,
) -> ResNeXt:
    """The net of a setting and depth with given weights.

    All else, such as base, classes, shortcuts and the kind of block, is as the weights show.

    Args:
        weights, path: by name, and where they are from.
        setting, depth, stem: of the net.
        padded: whether shortcuts are of type A where the weights have no projection: they look
            like those of a net without any.

    Raises:
        UserError: the weights are another net's, with the first tensor that differs.
    """
    options = _options(weights)
    conv1 = "conv1.6.weight" if options.get("deep_stem") else "conv1.weight"
    try:
        base, classes = len(weights[conv1]), len(weights["fc.weight"])
    except (KeyError, TypeError):
        missing = [name for name in ("conv1.weight", "fc.weight") if name not in weights]
        headless = missing == ["fc.weight"]
        why = " (weights without a classifier have no error)" if headless else ""
        raise UserError(
            f"{path}: has no {' and no '.join(missing) or 'weights of a net'}{why}; it has"
            f" {line(', '.join([*weights][:3]), 100)}; allowed: a ResNeXt's"
        ) from None
    if padded and options.get("residual", True):
        raise UserError(
            f"{path}: has projections, and shortcuts of type A have none; allowed: without --padded"
        )
    if padded:
        options |= {"residual": True, "shortcut": "A"}
    architecture = Architecture(setting, depth, stem, classes, base, **options)
    with torch.device("meta"):  # shapes first: a file can claim any size without holding it
        expected = ResNeXt(architecture).state_dict()
    for name in (*expected, *weights):
        theirs, ours = weights.get(name), expected.get(name)
        if theirs is None or ours is None or theirs.shape != ours.shape:
            raise UserError(
                f"{path}: no weights of {setting} at depth {depth}: {line(name, 100)} is"
                f" {_shape(theirs)}, and in the net {_shape(ours)}"
            )
    net = ResNeXt(architecture)
    net.load_state_dict(dict(weights), strict=True)
    return net


def _options(weights: Mapping[str, Tensor]) -> Options:
    """What the names of weights say of a net, where it is no default."""
    options: Options = {}
    if "norm.0.weight" in weights:
        options["block"] = "preactivation"
    elif "layer1.0.conv2.weight" in weights and "layer1.0.conv3.weight" not in weights:
        options["block"] = "basic"
    if "conv1.0.weight" in weights:
        options["deep_stem"] = True
    if "layer1.0.se.fc1.weight" in weights:
        options["squeeze"] = True

    def projects(block: str) -> bool:
        return any(f"{block}.downsample.{place}.weight" in weights for place in (0, 1))

    if not (projects("layer1.0") or projects("layer2.0")):
        options["residual"] = False
    elif "layer2.0.downsample.0.weight" not in weights:
        options["pooled_projection"] = True
    if projects("layer1.1") or (options.get("block") == "basic" and projects("layer1.0")):
        options["shortcut"] = "C"
    return options


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else " x ".join(map(str, tensor.shape)) or "a number"


def _first_line(error: Exception) -> str:
    return line((str(error).strip().splitlines() or [type(error).__name__])[0], 200)
