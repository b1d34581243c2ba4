"""Shares of batches: whole groups, every image once, and the first group is the first process's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardinality.data.shares import ALL, Share, cut


@given(st.integers(0, 300), st.integers(1, 9), st.integers(1, 40))
def test_each_image_is_one_processes(images: int, count: int, group: int) -> None:
    parts = [Share(number, count, group).of(images) for number in range(count)]
    assert [place for part in parts for place in part] == list(range(images))
    assert all(part.start % group == 0 for part in parts if part)
    assert not images or 0 in parts[0]
    groups = [-(-len(part) // group) for part in parts]
    assert max(groups) - min(groups) <= 1  # none has much more to do
    assert len(parts[0]) == max(map(len, parts))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("skip", [0, 2, 6, 7])
def test_an_epoch_is_shared_batch_by_batch(count: int, skip: int) -> None:
    """Of 212 images in batches of 32 the last batch has 20, in groups of 8."""
    order = torch.arange(212)
    seen: dict[int, list[int]] = {}
    for number in range(count):
        places, size = Share(number, count, 8).of_epoch(212, 32, skip)
        mine = order[places]
        for step, part in enumerate(cut(len(mine), size)):
            seen.setdefault(step, []).extend(mine[part].tolist())
    expected = [order[start : start + 32].tolist() for start in range(32 * skip, 212, 32)]
    assert list(seen.values()) == expected


def test_one_process_has_an_epoch_as_it_always_had_it() -> None:
    assert ALL.of_epoch(212, 32, 0) == (slice(0, None), 32)
    assert list(cut(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 6)]
