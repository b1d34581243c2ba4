"""A scale at which a run takes a second, and where made records say they come from."""

from cardinality.host.provenance import Provenance

TINY_PROTOCOL = """\
title: A scale for tests
evidence: Of nothing.
data: {name: digits, side: 16, train: 80, test: 40}
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
committed: false
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
