"""How far a grid is."""

import pytest

from cardinality.execution.display import Display
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


def test_of_runs_that_others_compute_nothing_is_said_that_is_not_known(
    tiny: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as jobs of a cluster, which may wait in its queue, or have not been sent yet."""
    monkeypatch.setattr("cardinality.execution.display.HEARTBEAT", -1.0)
    run = tiny.runs()[0]
    with Display([run], doing="awaited") as display:
        display.started(run)
        display.refresh()
    assert capsys.readouterr().out == f"awaited {run.name[:-11]} epoch 0/2  (0/1 runs)\n"
