"""Settings: the notation of the paper, and the width of every grouped convolution."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardinality.architecture.settings import IMAGENET_BLOCKS, Architecture, Setting, Stem
from cardinality.common.errors import UserError

positive = st.integers(1, 999_999)


@given(positive, positive)
def test_a_setting_prints_as_it_reads(cardinality: int, width: int) -> None:
    setting = Setting(cardinality, width)
    assert Setting.parse(str(setting)) == setting


def test_cardinality_stands_first() -> None:
    # C and d swapped is a known mistake: 64x4d is 64 paths of width 4.
    assert Setting.parse("64x4d") == Setting(cardinality=64, width=4)


@pytest.mark.parametrize(
    "text",
    ["", "32x4", "x4d", "32xd", "32X4d", " 32x4d", "32x4d\n", "-1x4d", "0x4d", "4x0d", "٣x4d"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="setting"):
        Setting.parse(text)


# Table 1's stages of ResNeXt-50 (32x4d) and Table 2's widths, doubling with every stage.
@pytest.mark.parametrize(
    ("setting", "widths"),
    [
        ("1x64d", (64, 128, 256, 512)),
        ("2x40d", (80, 160, 320, 640)),
        ("4x24d", (96, 192, 384, 768)),
        ("8x14d", (112, 224, 448, 896)),
        ("32x4d", (128, 256, 512, 1024)),
        ("1x100d", (100, 200, 400, 800)),
        ("2x64d", (128, 256, 512, 1024)),
        ("64x4d", (256, 512, 1024, 2048)),
    ],
)
@pytest.mark.parametrize("base", [64, 32])
def test_conv_widths_of_every_stage(setting: str, widths: tuple[int, ...], base: int) -> None:
    parsed = Setting.parse(setting)
    expected = tuple(width * base // 64 for width in widths)
    assert Architecture(parsed, 50, base=base).conv_widths == expected
    assert Architecture(parsed, 29, stem="cifar", base=base).conv_widths == expected[:3]
    for stage, width in enumerate(expected):
        assert parsed.group_width(base, stage) * parsed.cardinality == width


@given(st.integers(1, 64), st.integers(1, 200), st.integers(1, 256))
def test_a_base_that_makes_a_width_fractional_is_refused(c: int, d: int, base: int) -> None:
    setting = Setting(c, d)
    if d * base % 64:
        with pytest.raises(UserError, match=f"base {base}"):
            Architecture(setting, 11, stem="cifar", base=base)
    else:
        net = Architecture(setting, 11, stem="cifar", base=base)
        # The ratio of width to base is the setting's at every base.
        assert net.conv_widths[0] * 64 == c * d * base


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"depth": 50.0}, "depth 50.0: allowed is a whole number"),
        ({"depth": True}, "depth True: allowed is a whole number"),
        ({"classes": "10"}, "classes '10': allowed is a whole number"),
        ({"base": 64.0}, "base 64.0: allowed is a whole number"),
        ({"residual": "no"}, "residual 'no': allowed is True or False"),
        ({"squeeze": 1}, "squeeze 1: allowed is True or False"),
        ({"setting": "32x4d"}, "setting '32x4d': allowed is Setting.parse"),
    ],
)
def test_a_value_of_another_type_is_refused(stated: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"setting": Setting(32, 4), "depth": 50}
    with pytest.raises(UserError, match=re.escape(words)):
        Architecture(**(whole | stated))
    with pytest.raises(UserError, match=r"cardinality 32\.0: allowed is a whole"):
        Setting(32.0, 4)  # type: ignore[arg-type]
    for text in (None, 32, b"32x4d", ["32x4d"]):
        with pytest.raises(UserError, match="expected CARDINALITYxWIDTHd"):
            Setting.parse(text)  # type: ignore[arg-type]


def test_a_whole_number_of_a_data_frame_is_one() -> None:
    (depth,) = pd.Series([50])
    net = Architecture(Setting(32, 4), pd.Series([50]).unique()[0])
    assert net == Architecture(Setting(32, 4), depth)
    assert type(net.depth) is int


def test_a_width_is_whole_whatever_kind_of_number_the_base_is() -> None:
    assert Setting(32, 4).conv_width(np.uint8(64)) == 128  # type: ignore[arg-type]
    assert type(Setting(32, 4).conv_width(np.int64(64))) is int  # type: ignore[arg-type]
    for stage, words in ((-1, "at least 0"), (4, "at most 3"), (0.0, "a whole number")):
        with pytest.raises(UserError, match=words):
            Setting(32, 4).group_width(64, stage)  # type: ignore[arg-type]


def test_depths_belong_to_stems() -> None:
    setting = Setting(1, 64)
    assert [sum(blocks) for blocks in IMAGENET_BLOCKS.values()] == [8, 16, 33, 50, 66]
    for depth, blocks in IMAGENET_BLOCKS.items():
        assert depth == 3 * sum(blocks) + 2  # three convolutions a block, the stem and the fc
    for depth in (11, 20, 29, 38, 56, 110):
        net = Architecture(setting, depth, stem="cifar")
        assert 3 * sum(net.blocks) + 2 == depth
        assert len(set(net.blocks)) == 1
    wrong: list[tuple[Stem, int]]
    wrong = [("imagenet", 29), ("cifar", 50), ("cifar-stride2", 2), ("cifar", -7)]
    for stem, depth in wrong:
        with pytest.raises(UserError, match="allowed"):
            Architecture(setting, depth, stem=stem)
