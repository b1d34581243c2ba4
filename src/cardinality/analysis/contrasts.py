"""Effects as weighted sums of cells' errors: a difference, a difference of two, a slope.

One shape for all of them, so that intervals over seeds, intervals over images, the paper's own
effect and power are each computed in one place.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cardinality.analysis.outcomes import Blocks, Cell, Floats
from cardinality.architecture.settings import Setting

# A weight for each cell, in the order of the columns of `Blocks`.
Contrast = Mapping[Cell, float]


def difference(first: Cell, second: Cell) -> Contrast:
    """The first cell's error minus the second's: negative where the first is better."""
    return MappingProxyType({first: 1.0, second: -1.0})


def interaction(first: Sequence[Cell], second: Sequence[Cell]) -> Contrast:
    """The difference of two differences, (first[0] - first[1]) - (second[0] - second[1])."""
    weights = dict.fromkeys([*first, *second], 0.0)
    for cell, weight in zip([*first, *second], (1.0, -1.0, -1.0, 1.0), strict=True):
        weights[cell] += weight
    return MappingProxyType(weights)


def slope(cells: Sequence[Cell]) -> Contrast:
    """The least-squares slope of the error against log2 C: points a doubling of the paths.

    Args:
        cells: at least two, not all of one cardinality.
    """
    paths = np.log2([Setting.parse(cell.setting).cardinality for cell in cells])
    centred = paths - paths.mean()
    weights = centred / (centred @ centred)
    return MappingProxyType(dict(zip(cells, map(float, weights), strict=True)))


def of_blocks(contrast: Contrast, whole: Blocks) -> Floats:
    """The effect in each block, (S,), in points.

    Args:
        contrast: the weights.
        whole: blocks of just these cells in their order, without a diverged run.
    """
    return whole.errors @ np.array(list(contrast.values()))


def of_figures(contrast: Contrast, figures: Mapping[Cell, float]) -> float | None:
    """The effect in figures that are one number a cell, as the paper's; none where one lacks."""
    if not contrast.keys() <= figures.keys():
        return None
    return sum(weight * figures[cell] for cell, weight in contrast.items())
