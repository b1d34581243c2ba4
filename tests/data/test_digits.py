"""The embedded digits: deterministic, disjoint, and cached whole."""

from pathlib import Path

import numpy as np
import pytest

from cardinality.data.digits import TEST_SOURCES, draw, generate, split_sources
from cardinality.data.images import Images, ImageSet
from cardinality.data.store import identify, load_images, prepare
from cardinality.experiment.datasets import Digits, EvaluateOn


@pytest.fixture(scope="module")
def images() -> Images:
    return generate(16, 1200, 300, "test")


def test_the_same_parameters_give_the_same_bytes(images: Images) -> None:
    assert generate(16, 1200, 300, "test").identity().checksum == images.identity().checksum
    # The same on every machine, by construction: only +, -, x and / on float64.
    assert images.identity().checksum == "99b0d8b114448e77"


def test_a_smaller_set_is_not_a_part_of_it_by_accident_of_memory(images: Images) -> None:
    # Images are drawn in chunks, each with draws of its own; the first chunk is the same.
    longer = generate(16, 2100, 300, "test")
    assert np.array_equal(longer.train.pixels[:1000], images.train.pixels[:1000])
    assert not np.array_equal(longer.train.pixels[1000:1100], longer.train.pixels[:100])


@pytest.mark.parametrize("evaluate_on", ["test", "held-out"])
def test_no_source_digit_is_on_both_sides(evaluate_on: EvaluateOn) -> None:
    train, evaluated = split_sources(evaluate_on)
    ours = {glyph.tobytes() for glyph in train.glyphs}
    theirs = {glyph.tobytes() for glyph in evaluated.glyphs}
    assert not ours & theirs
    assert set(range(10)) == set(train.labels) == set(evaluated.labels)


def test_tuning_never_sees_a_test_digit() -> None:
    tests = {glyph.tobytes() for glyph in split_sources("test")[1].glyphs}
    for sources in split_sources("held-out"):
        assert not tests & {glyph.tobytes() for glyph in sources.glyphs}


def test_clutter_is_cut_from_the_same_sources() -> None:
    train, _ = split_sources("test")
    one = type(train)(train.glyphs[:1], train.labels[:1], train.numbers[:1])
    alone = draw(np.random.default_rng(0), one, 20, 16)
    assert (alone.labels == one.labels[0]).all()


def test_images_are_varied_and_of_all_classes(images: Images) -> None:
    assert images.train.pixels.shape == (1200, 16, 16, 3)
    assert images.train.pixels.dtype == np.uint8
    assert len({image.tobytes() for image in images.train.pixels}) == 1200
    assert np.bincount(images.train.labels, minlength=10).min() > 60
    mean, deviation = images.channel_statistics()
    assert all(100 < value < 155 for value in mean)
    assert all(40 < value < 80 for value in deviation)


@pytest.mark.usefixtures("data_root")
def test_the_cache_gives_the_same_images_and_is_named_by_the_parameters() -> None:
    small = Digits(name="digits", side=16, train=50, test=20)
    made = load_images(small)
    path = prepare(small)
    before = path.stat().st_mtime_ns
    assert load_images(small).identity().checksum == made.identity().checksum
    assert path.stat().st_mtime_ns == before
    assert prepare(small.model_copy(update={"test": 21})) != path
    assert [file.suffix for file in path.parent.iterdir() if file.suffix == ".part"] == []


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
    small = Digits(name="digits", side=16, train=20, test=10)
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


def test_images_of_one_digit_are_known_to_be(data_root: Path) -> None:
    images = load_images(Digits(name="digits", side=16, train=20, test=1500))
    labels, sources = images.evaluated
    assert sources is not None
    assert len(set(sources)) <= TEST_SOURCES < len(labels)
    of_one = dict(zip(sources, labels, strict=True))
    assert [of_one[source] for source in sources] == labels
