"""A scale at which a run takes a second, and where made records say they come from."""

from cardinality.host.provenance import Place, Provenance
from cardinality.results.records import Sitting

TINY_PROTOCOL = """\
title: A scale for tests
evidence: Of nothing.
data: {name: patches, side: 16, train: 80, test: 40}
stem: cifar-stride2
base: 16
depths: {base: 11, deep: 20, double: 38, residual: 11}
seeds: 2
training:
  epochs: 2
  batch: 32
  rate: 0.05
  momentum: 0.9
  decay: 5e-4
  schedule: {name: one-cycle, warmup: 0.5}
  shift: 1
  flip: false
numerics: {precision: float32, threads: 1}
speed: 5
"""

TINY_ABLATION = """\
title: Two rows
question: Is it so?
reference: 1x64d
depths: [base]
rows:
  - {setting: 1x64d}
  - {setting: 32x4d}
"""

MADE = Provenance(machine="a CPU", cores=2, versions={"torch": "2"}, commit="c" * 40, clean=True)
PLACE = Place(MADE, side_by_side=1)


def sitting(first_epoch: int, last_epoch: int, seconds: float = 3.0) -> Sitting:
    """A made sitting that had its core to itself."""
    return Sitting(
        machine=MADE.machine,
        device=MADE.machine,
        cores=MADE.cores,
        side_by_side=1,
        commit=MADE.commit,
        clean=MADE.clean,
        versions=MADE.versions,
        first_epoch=first_epoch,
        last_epoch=last_epoch,
        began="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T00:00:03+00:00",
        wall_seconds=seconds,
        cpu_seconds=seconds,
        peak_memory=None,
    )
