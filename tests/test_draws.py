"""Random numbers are drawn in the order in which they always were, on every machine.

A change that draws one more, one fewer or in another order gives every run another result, and no
other test would notice. Whoever means to do that raises `REVISION` and puts new digests here.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cardinality.data.images import ImageSet
from cardinality.data.resident import ResidentImages
from cardinality.data.store import load_images
from cardinality.data.streamed import StreamedImages
from cardinality.experiment.plan import Plan
from cardinality.nets.ghost import use_ghost_batch_norm
from cardinality.nets.network import ResNeXt, build
from cardinality.training.trainer import Trainer
from tests.made_images import made_folders, noise

SEED, IMAGES = 7, 50


def small(setting: str, **options: Any) -> nn.Module:
    return build(setting, 11, "cifar", 10, base=16, **options)


def ghost() -> nn.Module:
    net = small("32x4d")
    use_ghost_batch_norm(net, 8)
    return net


NETS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "1x64d": (lambda: small("1x64d"), "985ceec59f15ebe6"),
    "32x4d": (lambda: small("32x4d"), "e4053577b1e28b65"),
    "pre-activation": (lambda: small("32x4d", block="preactivation"), "5bebae2a456b0d2f"),
    "without shortcuts": (lambda: small("32x4d", residual=False), "a3cbd733b86e12ab"),
    "basic": (lambda: build("resnet18", classes=10), "9f1ae24ce18c4988"),
    "ghost": (ghost, "e4053577b1e28b65"),
}


def digest(*parts: object) -> str:
    """Of names and shapes as they are, and of tensors exactly, but for numbers with a fraction.

    Of those, it is of the signs of the first 256. `normal_` takes the processor's own way to
    logarithms and cosines (with AVX or without), so that the last bits of a weight differ between
    machines; its sign does not, unless the number is 0 to rounding, which of so few none is. Half
    of the signs change if numbers are drawn in another place.
    """
    found = hashlib.sha256()
    for part in parts:
        if not isinstance(part, Tensor):
            found.update(repr(part).encode())
        elif part.is_floating_point():
            found.update(np.packbits(part.detach().flatten()[:256].numpy() < 0).tobytes())
        else:
            found.update(part.numpy().astype("<i8").tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("kind", NETS)
def test_initial_weights_and_how_many_numbers_they_take(kind: str) -> None:
    make, expected = NETS[kind]
    torch.manual_seed(SEED)
    tensors = make().state_dict()
    after = torch.randint(2**40, (1,))
    named = (part for name, x in tensors.items() for part in (name, tuple(x.shape), x))
    assert digest(*named, after) == expected


def drawn(
    images: ResidentImages | StreamedImages, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, Any, Tensor]:
    """An epoch's order and what is done to each image, and the number that comes after them."""
    caught: list[tuple[Tensor, Any]] = []

    def batches(_self: object, order: Tensor, choices: Any, _size: int) -> Iterator[None]:
        caught.append((order, choices))
        return iter(())

    monkeypatch.setattr(type(images), "batches", batches)
    generator = torch.Generator().manual_seed(SEED)
    list(images.epoch(generator, 16))
    ((order, choices),) = caught
    return order, choices, torch.randint(2**40, (1,), generator=generator)


def test_the_order_and_the_augmentation_of_images_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = ImageSet(noise(IMAGES, 8), np.arange(IMAGES) % 5)
    statistics = ((0.0,) * 3, (255.0,) * 3)
    resident = ResidentImages(images, statistics, torch.device("cpu"), shift=4, flip=True)
    order, choices, after = drawn(resident, monkeypatch)
    assert order[:10].tolist() == [15, 7, 27, 19, 5, 47, 17, 3, 18, 41]
    assert choices.down[:10].tolist() == [-3, -1, -2, 4, -1, -1, 2, 1, -3, -3]
    assert choices.right[:10].tolist() == [4, -1, -4, 3, -2, 0, 2, 1, 1, 0]
    assert choices.flip[:10].int().tolist() == [0, 1, 1, 1, 0, 0, 1, 1, 0, 0]
    assert digest(order, choices.down, choices.right, choices.flip, after) == "75c1bfd7b343acc8"


def test_the_order_and_the_augmentation_of_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_folders(jitter=0.4, lighting=0.1)
    samples = tuple((f"{number}.png", number % 5) for number in range(IMAGES))
    streamed = StreamedImages(samples, data, torch.device("cpu"), flip=True, workers=1)
    order, choices, after = drawn(streamed, monkeypatch)
    colour = choices.colour
    assert order[:10].tolist() == [15, 7, 27, 19, 5, 47, 17, 3, 18, 41]
    assert choices.crop[:3].tolist() == [571958409, 2248039907, 3222985800]
    assert choices.flip[:10].int().tolist() == [0, 1, 1, 1, 0, 0, 1, 1, 0, 0]
    # Brightened or darkened, more contrast or less, ...
    changes = [factor - 1 for factor in (colour.brightness, colour.contrast, colour.saturation)]
    assert (
        digest(order, choices.crop, choices.flip, *changes, colour.lighting, after)
        == "04047a6fb631201a"
    )


def test_a_run_draws_its_weights_from_its_seed_and_its_order_from_another_generator(
    tiny: Plan, data_root: object
) -> None:
    """Nothing is drawn before or between: net and order are drawn as above, each from the seed."""
    run = tiny.runs()[0]
    trainer = Trainer(run, load_images(run.data))
    state = torch.get_rng_state()
    torch.manual_seed(run.seed)
    net = ResNeXt(run.architecture)
    for name, tensor in net.state_dict().items():
        assert torch.equal(trainer.net.state_dict()[name], tensor)
    fresh = torch.Generator().manual_seed(run.seed)
    assert torch.equal(trainer.generator.get_state(), fresh.get_state())
    assert torch.equal(state, torch.get_rng_state())
