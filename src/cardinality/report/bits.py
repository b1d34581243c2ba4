"""Which test images each run got right, as records hold it, and what follows from that.

Plain functions of plans and records; `cardinality.analysis.images` does the arithmetic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from cardinality.analysis.contrasts import Contrast
from cardinality.analysis.images import (
    Bits,
    ClassEffect,
    ImageEffect,
    Right,
    agreement,
    by_class,
    common_seeds,
    image_effect,
)
from cardinality.analysis.ledger import cell_of
from cardinality.analysis.outcomes import Cell
from cardinality.architecture.names import net_in_words
from cardinality.experiment.plan import Plan
from cardinality.results.folder import Results
from cardinality.results.images import TestImages
from cardinality.results.records import Record


@dataclass(frozen=True)
class Pictures:
    """What records say image by image.

    Attributes:
        right: of each cell and seed, which test images the last epoch got right.
        images: their labels and sources, where these are known.
    """

    right: Right
    images: TestImages | None

    def effect(self, contrast: Contrast, seeds: Sequence[int]) -> ImageEffect | None:
        """A contrast with its intervals over seeds, over test images, and over both.

        Where images share a source, sources are what is drawn.

        Args:
            contrast: of cells.
            seeds: those that count; those without their images are left out.
        """
        sources = None if self.images is None else self.images.sources
        drawn = None if sources is None else np.array(sources)
        return image_effect(contrast, self.right, drawn, seeds)

    def classes(self, contrast: Contrast, seeds: Sequence[int]) -> tuple[ClassEffect, ...]:
        """A contrast on the images of each class; nothing where no label or no seed is known."""
        there = common_seeds(contrast, self.right)
        whole = [seed for seed in seeds if seed in there]
        if self.images is None or not whole:
            return ()
        labels = np.array(self.images.labels)
        return by_class(contrast, self.right, whole, labels, self.images.classes)


def pictures(plans: Iterable[Plan], done: Mapping[str, Record], results: Results) -> Pictures:
    """Read which images the runs of some plans got right.

    Args:
        plans: at one scale.
        done: their records, all of one set of images.
        results: where these lie.

    Raises:
        UserError: a file that is not the record's.
    """
    known: dict[str, Bits] = {}
    right: dict[Cell, dict[int, Bits]] = {}
    for plan in plans:
        for entry in plan.entries:
            for run in entry.runs:
                bits = _bits(run.name, done, results, known)
                if bits is not None:
                    right.setdefault(cell_of(entry), {})[run.seed] = bits
    images = _images(done, results)
    # Labels of another number of images are not theirs, which `cardinality verify` tells.
    if images is not None and any(bits.size != len(images.labels) for bits in known.values()):
        images = None
    return Pictures(right, images)


def _bits(
    name: str, done: Mapping[str, Record], results: Results, known: dict[str, Bits]
) -> Bits | None:
    """A run's bits, read once, though several tables may have the run."""
    if name not in known and name in done:
        correct = results.correct(done[name])
        if correct is not None:
            known[name] = correct.right
    return known.get(name)


def _images(done: Mapping[str, Record], results: Results) -> TestImages | None:
    paths = {results.images(record.data_checksum) for record in done.values()}
    there = [path for path in sorted(paths) if path.is_file()]
    return TestImages.read(there[0]) if len(there) == len(paths) == 1 else None


def agreements(right: Right, compared: Iterable[tuple[Cell, Cell]]) -> pd.DataFrame:
    """How runs agree on which images they get right.

    Args:
        right: the bits of each cell and seed.
        compared: cells whose runs of the same seed are set beside each other; runs of one cell
            are, seed by seed, without asking.

    Returns:
        One line a pair of runs: its cells and seeds, the part of the images on which they agree,
        the part expected by chance, and kappa. A run that several cells share (a depth may play
        several roles) is one object, so that a pair stands once, by its first cells.
    """
    pairs = [
        (cell, cell, *seeds) for cell, runs in right.items() for seeds in combinations(runs, 2)
    ]
    pairs += [
        (first, second, seed, seed)
        for first, second in compared
        for seed in right.get(first, {})
        if seed in right.get(second, {})
    ]
    lines, seen = [], set[frozenset[int]]()
    for first, second, one, two in pairs:
        both = right[first][one], right[second][two]
        key = frozenset(map(id, both))
        if key in seen:
            continue
        seen.add(key)
        found = agreement(*both)
        names = {"first": net_in_words(*first), "first_seed": one, "second": net_in_words(*second)}
        numbers = {"agree": found.agree, "expected": found.expected, "kappa": found.kappa}
        lines.append({**names, "second_seed": two, "images": found.images, **numbers})
    columns = ["first", "first_seed", "second", "second_seed", "images"]
    return pd.DataFrame(lines, columns=[*columns, "agree", "expected", "kappa"])
