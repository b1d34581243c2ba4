"""Made outcomes, the known runs of revision 3, and bounds for what is simulated."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cardinality.analysis.outcomes import Cell, Figure, Floats, Outcomes

TABLE3 = tuple(Cell(name, "base") for name in ("1x64d", "2x40d", "4x24d", "8x14d", "32x4d"))
A, B, C, D = TABLE3[:4]
REVISION3 = Path(__file__).parents[1] / "known" / "revision3.csv"


def made(
    errors: Mapping[Cell, Sequence[float]],
    stated: int | None = None,
    diverged: Mapping[Cell, Sequence[int]] | None = None,
    figure: Figure = "top1_error",
) -> Outcomes:
    """Outcomes of seeds 0, 1, ...; not a number is a run that is not there."""
    seeds = {
        cell: {seed: value for seed, value in enumerate(values) if not math.isnan(value)}
        for cell, values in errors.items()
    }
    ranges = None if stated is None else {cell: range(stated) for cell in errors}
    return Outcomes({figure: seeds}, diverged or {}, ranges)


def drawn(cells: Sequence[Cell], errors: Floats, stated: int | None = None) -> Outcomes:
    """Outcomes of a matrix (seeds, cells)."""
    return made({cell: list(errors[:, column]) for column, cell in enumerate(cells)}, stated)


def revision3() -> dict[str, dict[Cell, dict[int, float]]]:
    """Errors of revision 3's runs by figure; the depths 11, 20 and 38 play its roles."""
    found: dict[str, dict[Cell, dict[int, float]]] = {"top1_error": {}, "train_error": {}}
    with REVISION3.open(newline="") as file:
        for line in csv.DictReader(file):
            shortcuts = line["residual"] == "true"
            roles = {"11": ["base"], "20": ["deep"], "38": ["double", "residual"]}[line["depth"]]
            for role in roles:
                cell = Cell(line["setting"], role, shortcuts)
                for figure, cells in found.items():
                    cells.setdefault(cell, {})[int(line["seed"])] = float(line[figure])
    return found


def within(rate: float, expected: float, trials: int) -> bool:
    """Whether a simulated rate lies within four standard errors of the expected one."""
    return abs(rate - expected) <= 4 * math.sqrt(expected * (1 - expected) / trials)


def at_most(rate: float, expected: float, trials: int) -> bool:
    """Whether a simulated rate is no more than four standard errors above a bound."""
    return rate <= expected + 4 * math.sqrt(expected * (1 - expected) / trials)


def generator(seed: int) -> np.random.Generator:
    """Fixed random numbers."""
    return np.random.default_rng(seed)
