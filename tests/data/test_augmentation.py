"""Augmentation has the distribution that the authors' code has, and does what torchvision does."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional

from cardinality.data.augmentation import (
    EIGENVALUES,
    EIGENVECTORS,
    GREY,
    IMAGENET_STATISTICS,
    Colour,
)
from cardinality.data.images import ImageSet
from cardinality.data.resident import Choices, ResidentImages
from tests.made_images import noise

CPU = torch.device("cpu")
MEAN, DEVIATION = (torch.tensor(values) for values in IMAGENET_STATISTICS)
UNCHANGED = (torch.zeros(3), torch.ones(3))


@settings(max_examples=30, deadline=None)
@given(st.integers(-4, 4), st.integers(-4, 4), st.booleans())
def test_crop_and_flip_are_torchvisions(down: int, right: int, flip: bool) -> None:
    pixels = noise(1, 32)
    statistics = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
    images = ResidentImages(ImageSet(pixels, np.zeros(1, np.int64)), statistics, CPU, shift=4)
    choices = Choices(torch.tensor([down]), torch.tensor([right]), torch.tensor([flip]))
    ((ours, _),) = images.batches(torch.tensor([0]), choices, 1)
    image = torch.from_numpy(pixels[0]).permute(2, 0, 1).float()
    theirs = functional.normalize(image, list(statistics[0]), list(statistics[1]))
    theirs = functional.horizontal_flip(theirs) if flip else theirs
    theirs = functional.crop(functional.pad(theirs, [4]), 4 + down, 4 + right, 32, 32)
    assert torch.allclose(ours[0], theirs, atol=1e-6)


def test_epoch_draws_from_its_generator_alone() -> None:
    images = ResidentImages(
        ImageSet(noise(20, 16), np.arange(20)), IMAGENET_STATISTICS, CPU, shift=2, flip=True
    )

    def epoch(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return [part for batch in images.epoch(generator, 8) for part in batch]

    before = torch.get_rng_state()
    first, again, other = epoch(0), epoch(0), epoch(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert sorted(torch.cat(first[1::2]).tolist()) == list(range(20))
    assert not torch.equal(first[1], other[1])
    # The order and then the choices, as stated.
    twin = torch.Generator().manual_seed(0)
    order = torch.randperm(20, generator=twin)
    by_hand = images.batches(order, Choices.draw(20, 2, True, twin), 8)
    for part, expected in zip(first, (part for batch in by_hand for part in batch), strict=True):
        assert torch.equal(part, expected)


def colour(brightness: float, contrast: float, saturation: float) -> Colour:
    """The same factors for one image, without lighting."""
    b, c, s = torch.tensor([[brightness], [contrast], [saturation]])
    return Colour(b, c, s, torch.zeros(1, 3))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_colour_is_the_three_steps_in_any_order(order: tuple[int, ...]) -> None:
    factors = (1.3, 0.7, 1.35)
    pixels = torch.from_numpy(noise(1, 12))
    grey = torch.tensor(GREY, dtype=torch.float64)
    x = pixels[0].double()
    for step in order:
        if step == 0:
            other = torch.zeros_like(x)
        elif step == 1:
            other = (x @ grey).mean().expand_as(x)
        else:
            other = (x @ grey)[..., None].expand_as(x)
        x = factors[step] * x + (1 - factors[step]) * other
    ours = colour(*factors).apply(pixels, *UNCHANGED)
    assert torch.allclose(ours[0].permute(1, 2, 0).double(), x, rtol=0, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(*[st.floats(0.6, 1.4)] * 3)
def test_colour_is_torchvisions_where_nothing_is_clipped(b: float, c: float, s: float) -> None:
    pixels = torch.from_numpy(noise(1, 12) // 8 + 80)
    image = pixels[0].permute(2, 0, 1) / 255
    theirs = functional.adjust_saturation(
        functional.adjust_contrast(functional.adjust_brightness(image, b), c), s
    )
    assert 0 < theirs.min() < theirs.max() < 1
    ours = colour(b, c, s).apply(pixels, torch.zeros(3), torch.full((3,), 255.0))
    # Torchvision's grey has weights that sum to 0.9999.
    assert torch.allclose(ours[0], theirs, rtol=0, atol=2e-4)


def test_nothing_is_clipped() -> None:
    pixels = torch.full((1, 4, 4, 3), 200, dtype=torch.uint8)
    assert torch.allclose(colour(1.4, 1, 1).apply(pixels, *UNCHANGED), torch.tensor(280.0))


def test_unit_factors_only_normalise() -> None:
    pixels = torch.from_numpy(noise(2, 8))
    factors = torch.ones(2)
    ours = Colour(factors, factors, factors, torch.zeros(2, 3)).apply(pixels, MEAN, DEVIATION)
    theirs = functional.normalize(
        pixels.permute(0, 3, 1, 2) / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_lighting_is_added_to_each_image() -> None:
    pixels = torch.from_numpy(noise(2, 8))
    shift = torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.5, 0.0]])
    ones = torch.ones(2)
    plain = Colour(ones, ones, ones, torch.zeros(2, 3)).apply(pixels, *UNCHANGED)
    lit = Colour(ones, ones, ones, shift).apply(pixels, *UNCHANGED)
    assert torch.allclose(lit - plain, 255 * shift[:, :, None, None].expand_as(plain), atol=1e-3)


def test_distribution_of_colour() -> None:
    n = 100_000
    drawn = Colour.draw(n, 0.4, 0.1, torch.Generator().manual_seed(0))
    for factor in (drawn.brightness, drawn.contrast, drawn.saturation):
        assert 0.6 <= factor.min() < 0.601
        assert 1.399 < factor.max() <= 1.4
        counts = torch.histc(factor, 10, 0.6, 1.4)
        # Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
        assert ((counts - n / 10) ** 2 / (n / 10)).sum() < 27.9
    components = torch.tensor(EIGENVECTORS)
    # AlexNet's covariance: components times the squared spread along each.
    spread = torch.diag((0.1 * torch.tensor(EIGENVALUES)) ** 2)
    expected = components @ spread @ components.T
    assert torch.allclose(drawn.lighting.T.cov(), expected, rtol=0.03, atol=1e-6)
    assert drawn.lighting.mean(dim=0).abs().max() < 4 * 0.0127 / n**0.5


def test_components_are_orthonormal() -> None:
    components = torch.tensor(EIGENVECTORS)
    assert torch.allclose(components.T @ components, torch.eye(3), atol=2e-4)
