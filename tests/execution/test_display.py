"""How far a grid is."""

import pytest

from cardinality.experiment.plan import Plan
from tests.execution.fakes import Quiet


def test_time_left_counts_only_the_work_of_this_sitting(
    tiny: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("cardinality.execution.display.time.monotonic", lambda: now[0])
    run = tiny.runs()[0]
    with Quiet([run], expected=50.0) as display:
        display.started(run)
        display.advanced(run.name, 1.0)  # of two epochs, before: a checkpoint of half the run
        assert display.remaining() == pytest.approx(25)
        now[0] += 10
        display.advanced(run.name, 1.5)  # ten seconds for a quarter of the run
        assert display.remaining() == pytest.approx(10)
