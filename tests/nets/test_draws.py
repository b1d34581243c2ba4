"""What a seed draws: weights, order and augmentation, pinned so that nothing reorders them unseen.

Torch draws normal numbers by instructions that differ between processors, and the last bits of a
number with them; not its sign, nor how many numbers were drawn before. So names, shapes and signs
of the weights are pinned, and whole numbers and truth values as they are.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cardinality.data import resident, streamed
from cardinality.nets.basic import build_basic
from cardinality.nets.ghost import use_ghost_batch_norm
from cardinality.nets.network import build
from tests.made_images import made_folders


def ghost() -> nn.Module:
    net = build("4x24d", 11, "cifar", classes=10, base=16)
    use_ghost_batch_norm(net, 4)
    return net


NETS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "one path": (lambda: build("1x64d", 11, "cifar", classes=10, base=16), "a76af54cc64d3770"),
    "32 paths": (
        lambda: build("32x4d", 11, "cifar-stride2", classes=10, base=16),
        "ec3b68f20b7bffa4",
    ),
    "four stages": (lambda: build("32x4d", 50, classes=10, base=16), "13a6c291158ba308"),
    "pre-activation": (
        lambda: build("2x40d", 20, "cifar", 10, 16, block="preactivation"),
        "4b66bf90b5cf343d",
    ),
    "no shortcuts": (
        lambda: build("1x64d", 11, "cifar", 10, 16, residual=False),
        "e7e4a12095136f5e",
    ),
    "basic blocks": (lambda: build_basic(18, classes=10), "6ec392ed4e419847"),
    "batch norm over groups": (ghost, "54fc3ba80fb95643"),
}


def signs(net: nn.Module) -> str:
    """A checksum of every parameter's name, shape and signs."""
    digest = hashlib.sha256()
    for name, parameter in net.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(np.packbits((parameter.detach() > 0).numpy()).tobytes())
    return digest.hexdigest()[:16]


def exact(*tensors: Tensor) -> str:
    """A checksum of whole numbers or truth values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.to(torch.int64).numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("kind", NETS)
def test_initial_weights(kind: str) -> None:
    make, expected = NETS[kind]
    torch.manual_seed(0)
    assert signs(make()) == expected


def test_the_order_of_an_epoch() -> None:
    generator = torch.Generator().manual_seed(0)
    assert exact(torch.randperm(1000, generator=generator)) == "cee4a88ef6120e8e"


def test_the_choices_of_small_images() -> None:
    generator = torch.Generator().manual_seed(0)
    choices = resident.Choices.draw(1000, 4, True, generator)
    assert exact(choices.down, choices.right, choices.flip) == "e2ca9cea1e5edd44"


def test_the_choices_of_photographs() -> None:
    generator = torch.Generator().manual_seed(0)
    data = made_folders(jitter=0.4, lighting=0.1)
    choices = streamed.Choices.draw(1000, data, True, generator)
    assert choices.colour is not None
    # Uniform numbers are exact everywhere: 24 bits of the generator's.
    factors = (choices.colour.brightness, choices.colour.contrast, choices.colour.saturation)
    drawn = [(factor * 2**20).round() for factor in factors]
    assert (
        exact(choices.crop, choices.flip, *drawn, choices.colour.lighting > 0) == "b92233bb59a57710"
    )
