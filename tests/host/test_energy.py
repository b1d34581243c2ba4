"""What a sitting took, by counters that are made as files, as Linux has them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cardinality.host import energy
from cardinality.host.energy import Count, Meter

RANGE = 262_143_328_850  # microjoules, of most processors


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The counters' folder of a machine that has none yet."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    return tmp_path


def put(folder: Path, joules: float, name: str = "package-0", begins_anew: int = RANGE) -> None:
    """Let a counter stand at so many joules, begun anew or not."""
    folder.mkdir(exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{int(joules * 1e6) % begins_anew}\n")
    (folder / "max_energy_range_uj").write_text(f"{begins_anew}\n")


def sat(clock: list[float], set_to: Callable[[float], object], watts: float, hours: float) -> Meter:
    """A meter of a sitting of so many hours that kept its state every ten minutes."""
    start = 200_000.0
    set_to(start)
    meter = Meter("cpu", share=0.5)
    for _ in range(round(hours * 6)):
        clock[0] += 600
        start += 600 * watts
        set_to(start)
        meter.joules()
    return meter


def test_a_counter_that_begins_anew_within_the_hour_loses_nothing(
    powercap: Path, clock: list[float]
) -> None:
    """At 100 W it does after 44 minutes, and five hours end above where they began."""
    meter = sat(clock, lambda joules: put(powercap / "intel-rapl:0", joules), watts=100, hours=5)
    assert meter.joules() == pytest.approx(0.5 * 5 * 3600 * 100)
    assert meter.source == "RAPL, 0.5 of the processor's packages"


def test_every_package_is_counted_and_no_part_of_one(powercap: Path, clock: list[float]) -> None:
    """Each by its own range; `psys` is the whole machine, packages and all."""

    def both(joules: float) -> None:
        put(powercap / "intel-rapl:0", joules)
        put(powercap / "intel-rapl:0:0", joules, "core")
        put(powercap / "intel-rapl:1", 2 * joules, "package-1", begins_anew=2 * RANGE)
        put(powercap / "intel-rapl:2", 5 * joules, "psys")

    assert sat(clock, both, watts=100, hours=1).joules() == pytest.approx(0.5 * 3 * 3600 * 100)


def test_a_counter_that_may_have_begun_anew_unseen_counts_nothing(
    powercap: Path, clock: list[float]
) -> None:
    meter = sat(clock, lambda joules: put(powercap / "intel-rapl:0", joules), watts=100, hours=1)
    clock[0] += 660  # as in a step that takes minutes: at 400 W it would have, once and more
    assert meter.joules() is None
    clock[0] += 60
    assert meter.joules() is None  # what is missing is missing in the whole


@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
def test_where_a_package_may_not_be_read_nobody_counts(
    powercap: Path, clock: list[float], file: str
) -> None:
    put(powercap / "intel-rapl:0", 1.0)
    put(powercap / "intel-rapl:1", 1.0, "package-1")
    (powercap / "intel-rapl:1" / file).unlink()
    assert Meter("cpu", share=1.0).joules() is None


def test_a_machine_without_counters(powercap: Path) -> None:
    assert Meter("cpu", share=1.0).joules() is None


def test_a_gpus_counter_lasts_until_its_driver_is_loaded_again(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([5_000_000, 8_000_000, 9_000_000, 1_000_000])
    monkeypatch.setattr(energy, "_gpu", lambda: [Count("GPU-1", next(counts))])
    meter = Meter("cuda", share=0.5)  # of a GPU nothing is divided
    clock[0] += 86_400
    assert [meter.joules() for _ in range(3)] == [3.0, 4.0, None]
