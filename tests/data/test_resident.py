"""Resident images: what augmentation does, against doing it by hand."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cardinality.data.images import ImageSet
from cardinality.data.resident import Choices, ResidentImages

SIDE, N = 6, 40
STATISTICS = ((120.0, 130.0, 140.0), (60.0, 50.0, 40.0))


@pytest.fixture
def images() -> ImageSet:
    rng = np.random.default_rng(0)
    return ImageSet(rng.integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8), np.arange(N) % 10)


@pytest.fixture
def resident(images: ImageSet) -> ResidentImages:
    return ResidentImages(images, STATISTICS, torch.device("cpu"), shift=4)


def by_hand(image: NDArray[np.uint8], down: int, right: int, flip: bool) -> NDArray[np.float32]:
    """Normalise, flip, pad with zeros and crop, one image, slowly."""
    x = (image.astype(np.float32) - STATISTICS[0]) / STATISTICS[1]
    if flip:
        x = x[:, ::-1]
    padded = np.pad(x, ((4, 4), (4, 4), (0, 0)))
    crop = padded[4 + down : 4 + down + SIDE, 4 + right : 4 + right + SIDE]
    return crop.transpose(2, 0, 1)


def test_augmented_batches_equal_those_made_by_hand(
    images: ImageSet, resident: ResidentImages
) -> None:
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(N, generator=generator)
    choices = Choices.draw(N, 4, True, generator)
    seen = 0
    for pixels, labels in resident.batches(order, choices, 16):
        assert pixels.shape[1:] == (3, SIDE, SIDE)
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        for x, label in zip(pixels, labels, strict=True):
            index = int(order[seen])
            move = (int(choices.down[seen]), int(choices.right[seen]), bool(choices.flip[seen]))
            np.testing.assert_allclose(
                x, by_hand(images.pixels[index], *move), rtol=1e-6, atol=1e-6
            )
            assert label == images.labels[index]
            seen += 1
    assert seen == N


def test_plain_batches_are_every_image_in_order(images: ImageSet, resident: ResidentImages) -> None:
    batches = list(resident.plain(16))
    assert [len(labels) for _, labels in batches] == [16, 16, 8]
    labels = torch.cat([labels for _, labels in batches])
    assert labels.tolist() == images.labels.tolist()
    pixels = torch.cat([pixels for pixels, _ in batches])
    np.testing.assert_allclose(
        pixels[7], by_hand(images.pixels[7], 0, 0, False), rtol=1e-6, atol=1e-6
    )


def test_shifts_are_uniform_and_half_of_the_images_are_flipped() -> None:
    n = 81_000
    choices = Choices.draw(n, 4, True, torch.Generator().manual_seed(0))
    places = torch.bincount((choices.down + 4) * 9 + choices.right + 4, minlength=81)
    assert len(places) == 81
    # Chi squared with 80 degrees of freedom is below 125 but once in a thousand draws.
    assert float(((places - 1000.0) ** 2 / 1000).sum()) < 125
    assert abs(int(choices.flip.sum()) - n / 2) < 4 * (n / 4) ** 0.5
    still = Choices.draw(100, 0, False, torch.Generator().manual_seed(0))
    assert not still.flip.any()
    assert not still.down.any()
    assert not still.right.any()
