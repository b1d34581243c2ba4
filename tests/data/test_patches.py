"""The embedded photographs: the same bytes everywhere, three disjoint sets of blocks, cached."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from cardinality.common.errors import UserError
from cardinality.data import patches
from cardinality.data.images import Images, ImageSet
from cardinality.data.patches import (
    BLOCK,
    CLASSES,
    Blocks,
    bilinear,
    draw,
    generate,
    moments,
    photograph,
    split_blocks,
)
from cardinality.data.store import identify, load_images, prepare
from cardinality.experiment.datasets import EvaluateOn, Patches


@pytest.fixture(scope="module")
def images() -> Images:
    return generate(16, 1200, 300, "test")


def test_the_same_parameters_give_the_same_bytes(images: Images) -> None:
    assert generate(16, 1200, 300, "test").identity().checksum == images.identity().checksum
    # The same on every machine, by construction.
    assert images.identity().checksum == "8a1e1a52fb316890"


def test_a_smaller_set_is_not_a_part_of_it_by_accident_of_memory(images: Images) -> None:
    # Images are drawn in chunks, each with draws of its own; the first chunk is the same.
    longer = generate(16, 2100, 300, "test")
    assert np.array_equal(longer.train.pixels[:1000], images.train.pixels[:1000])
    assert not np.array_equal(longer.train.pixels[1000:1100], longer.train.pixels[:100])


@pytest.mark.parametrize("evaluate_on", ["test", "held-out"])
def test_no_block_is_on_both_sides(evaluate_on: EvaluateOn) -> None:
    train, evaluated = split_blocks(evaluate_on)
    assert not set(train.numbers) & set(evaluated.numbers)
    assert set(range(len(CLASSES))) == set(train.labels) == set(evaluated.labels)
    ours = {block.tobytes() for block in train.pixels}
    assert not ours & {block.tobytes() for block in evaluated.pixels}


def test_tuning_never_sees_a_block_that_is_tested_on() -> None:
    train, test = split_blocks("test")
    tuned_with, tuned_on = split_blocks("held-out")
    assert not {*test.numbers} & {*tuned_with.numbers, *tuned_on.numbers}
    assert (train.numbers == tuned_with.numbers).all()


def test_blocks_are_pieces_of_their_photographs() -> None:
    train, test = split_blocks("test")
    for blocks in (train, test):
        first = blocks.pixels[blocks.labels == CLASSES.index("camera")][0]
        camera = photograph("camera")
        cuts = (
            camera[y : y + BLOCK, x : x + BLOCK]
            for y in range(0, 512, BLOCK)
            for x in range(0, 512, BLOCK)
        )
        assert sum(np.array_equal(first, cut) for cut in cuts) == 1


def test_each_class_is_as_likely_whatever_its_number_of_blocks() -> None:
    few, many = np.zeros(3, np.int64), np.ones(30, np.int64)
    uneven = np.concatenate([few, many, *(np.full(1, label) for label in range(2, 10))])
    blocks = Blocks(np.zeros((len(uneven), BLOCK, BLOCK)), uneven, np.arange(len(uneven)))
    made = draw(np.random.default_rng(0), blocks, 5000, 16)
    assert np.bincount(made.labels).min() > 420


def test_interpolation_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    pixels, chosen = rng.uniform(0, 255, (3, 9, 11)), np.array([2, 0])
    y, x = rng.uniform(-1, 9, (2, 4)), rng.uniform(-1, 11, (2, 5))
    ours = bilinear(pixels, chosen, y, x)
    for each, index in enumerate(chosen):
        grid = np.meshgrid(y[each], x[each], indexing="ij")
        theirs = map_coordinates(pixels[index], grid, order=1, mode="nearest")
        assert np.allclose(ours[each], theirs, rtol=0, atol=1e-9)


def test_moments_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).uniform(0, 255, (20, 16, 16))
    mean, deviation = moments(values)
    assert np.allclose(mean, values.mean(axis=(1, 2)), rtol=0, atol=1e-4)
    assert np.allclose(deviation, values.std(axis=(1, 2)), rtol=0, atol=1e-4)


def test_neither_brightness_nor_contrast_tells_the_class(images: Images) -> None:
    train = images.train
    means = train.pixels.reshape(1200, -1).mean(axis=1)
    by_class = [means[train.labels == label].mean() for label in range(10)]
    assert max(by_class) - min(by_class) < 10  # of 90 to 165


def test_images_are_varied_and_of_all_classes(images: Images) -> None:
    assert images.train.pixels.shape == (1200, 16, 16, 3)
    assert images.train.pixels.dtype == np.uint8
    assert len({image.tobytes() for image in images.train.pixels}) == 1200
    assert np.bincount(images.train.labels, minlength=10).min() > 60
    mean, deviation = images.channel_statistics()
    assert all(120 < value < 135 for value in mean)
    assert all(30 < value < 50 for value in deviation)


def test_a_changed_photograph_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(patches.PHOTOGRAPHS, "brick", "0" * 16)
    with pytest.raises(UserError, match=r"data/brick\.png has changed.*constraints\.txt"):
        generate(16, 10, 10, "test")


@pytest.mark.usefixtures("data_root")
def test_the_cache_gives_the_same_images_and_is_named_by_the_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = Patches(name="patches", side=16, train=50, test=20)
    made = load_images(small)
    path = prepare(small)
    before = path.stat().st_mtime_ns
    assert load_images(small).identity().checksum == made.identity().checksum
    assert path.stat().st_mtime_ns == before
    assert prepare(small.model_copy(update={"test": 21})) != path
    assert [file.suffix for file in path.parent.iterdir() if file.suffix == ".part"] == []
    # Of other photographs the cache would be another one.
    monkeypatch.setitem(patches.PHOTOGRAPHS, "brick", "0" * 16)
    with pytest.raises(UserError, match=r"brick\.png has changed"):
        prepare(small)


def test_the_checksum_sees_a_pixel_a_label_and_a_shape(images: Images) -> None:
    pixels = images.test.pixels.copy()
    pixels[0, 0, 0, 0] ^= 1
    labels = images.test.labels.copy()
    labels[0] = (labels[0] + 1) % 10
    test = images.test
    others = [
        ImageSet(pixels, test.labels),
        ImageSet(test.pixels, labels),
        ImageSet(test.pixels.reshape(300, 8, 32, 3), test.labels),
    ]
    sums = {Images(images.train, other, images.classes).identity().checksum for other in others}
    assert len(sums | {images.identity().checksum}) == 4


@pytest.mark.parametrize("place", [None, 0.3, 0.6])
def test_a_damaged_cache_is_made_again(
    data_root: Path, capsys: pytest.CaptureFixture[str], place: float | None
) -> None:
    small = Patches(name="patches", side=16, train=20, test=10)
    whole = load_images(small)
    path = prepare(small)
    content = bytearray(path.read_bytes())
    if place is None:
        path.write_bytes(content[: len(content) // 2])
    else:
        content[int(place * len(content))] ^= 1
        path.write_bytes(content)
    again = load_images(small)
    assert again.identity() == whole.identity() == identify(small)
    assert f"{path.name}: damaged" in capsys.readouterr().err


def test_images_of_one_block_are_known_to_be(data_root: Path) -> None:
    images = load_images(Patches(name="patches", side=16, train=20, test=1500))
    labels, sources = images.evaluated
    assert sources is not None
    assert len(set(sources)) <= len(split_blocks("test")[1].numbers) < len(labels)
    of_one = dict(zip(sources, labels, strict=True))
    assert [of_one[source] for source in sources] == labels
