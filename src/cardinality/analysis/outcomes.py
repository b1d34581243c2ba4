"""How runs came out, by cell and seed: the one shape of data that everything here takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Figure = Literal["top1_error", "top5_error", "train_error", "early_error"]

# Errors are counts of images in percent: what is nearer than this differs by rounding alone.
DIGITS = 9


class Cell(NamedTuple):
    """What is compared: a setting, the role of its depth, whether it has shortcuts, and in what
    it is none of the ResNeXt paper's nets (`Architecture.variant`).

    It equals `cardinality.experiment.plan.Entry.key`.
    """

    setting: str
    role: str
    residual: bool = True
    variant: str = ""


@dataclass(frozen=True)
class Outcomes:
    """How the runs of one table at one scale came out.

    Attributes:
        errors: in percent, by figure, cell and seed; of finished runs alone.
        diverged: the seeds of each cell whose run ended without an error.
        stated: the seeds that the protocol states for each cell; none where the runs are taken as
            they were given, so that every seed counts.
    """

    errors: Mapping[Figure, Mapping[Cell, Mapping[int, float]]]
    diverged: Mapping[Cell, Collection[int]] = field(default_factory=dict)
    stated: Mapping[Cell, Collection[int]] | None = None

    def ended(self, figure: Figure, cell: Cell) -> set[int]:
        """The seeds whose run has ended: with an error, or diverged."""
        return {*self.errors.get(figure, {}).get(cell, {}), *self.diverged.get(cell, ())}

    def counting(self, cells: Sequence[Cell]) -> set[int] | None:
        """The seeds that may count for a comparison of these cells; none where all may."""
        if self.stated is None:
            return None
        return set.intersection(*({*self.stated.get(cell, ())} for cell in cells))

    def unfinished(self, figure: Figure, cells: Sequence[Cell]) -> set[tuple[Cell, int]]:
        """The runs (cell and seed) that count for these cells and have not ended yet."""
        counting = self.counting(cells) or set()
        return {(cell, seed) for cell in cells for seed in counting - self.ended(figure, cell)}


@dataclass(frozen=True)
class Blocks:
    """Errors of several cells over the seeds that all of them have.

    Attributes:
        seeds: S of them, ascending.
        errors: (S, cells) in percent; infinite where the run diverged.
    """

    seeds: tuple[int, ...]
    errors: Floats

    @property
    def whole(self) -> "Blocks":
        """The blocks in which no run diverged."""
        keep = np.flatnonzero(np.isfinite(self.errors).all(axis=1))
        return Blocks(tuple(self.seeds[row] for row in keep), self.errors[keep])

    @property
    def broken(self) -> tuple[int, ...]:
        """The seeds of the blocks in which a run diverged."""
        whole = {*self.whole.seeds}
        return tuple(seed for seed in self.seeds if seed not in whole)


def blocks(
    outcomes: Outcomes, figure: Figure, cells: Sequence[Cell], extended: bool = False
) -> Blocks:
    """Line up the errors of several cells by the seeds that all of them have.

    Args:
        outcomes: of a table.
        figure: which error.
        cells: at least one, in the order of the columns.
        extended: whether seeds beyond the stated ones are taken, too.
    """
    shared = set.intersection(*(outcomes.ended(figure, cell) for cell in cells))
    counting = outcomes.counting(cells)
    if counting is not None and not extended:
        shared &= counting
    seeds = tuple(sorted(shared))
    errors = np.full((len(seeds), len(cells)), np.inf)
    for column, cell in enumerate(cells):
        diverged = outcomes.diverged.get(cell, ())
        for row, seed in enumerate(seeds):
            if seed not in diverged:
                errors[row, column] = outcomes.errors[figure][cell][seed]
    return Blocks(seeds, errors)
