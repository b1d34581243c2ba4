"""What a process holds at its peak."""

import sys
from pathlib import Path

import pytest
import torch

from cardinality.host import memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is known on Linux alone")
def test_the_peak_is_that_since_its_start() -> None:
    if not memory.start_peak(CPU) or memory.peak(CPU) is None:
        pytest.skip("this system does not tell the peak")
    before = memory.peak(CPU)
    assert before is not None
    torch.ones(2**24)  # 64 MiB, held for a moment
    high = memory.peak(CPU)
    assert high is not None
    assert 56 * 2**20 < high - before < 80 * 2**20
    memory.start_peak(CPU)
    again = memory.peak(CPU)
    assert again is not None
    assert again < high - 48 * 2**20


def test_where_the_system_does_not_tell_the_peak_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "PROCESS", tmp_path)
    assert not memory.start_peak(CPU)
    assert memory.peak(CPU) is None
