"""The same cells computed twice: whether two machines, or two commits, give the same."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cardinality.analysis.comparisons import Effect
from cardinality.analysis.estimates import Estimate
from cardinality.analysis.margins import CellSameness, ResultsSameness, compare_results
from cardinality.analysis.outcomes import Cell, Outcomes
from cardinality.architecture.names import net_in_words
from cardinality.common.errors import UserError
from cardinality.common.text import markdown, plural
from cardinality.experiment.run import Numerics, net_from
from cardinality.report import canvas, forest
from cardinality.report.forest import Dot
from cardinality.report.markdown import columns_of, to_markdown
from cardinality.report.render import write_text
from cardinality.report.verdict_words import effect_text
from cardinality.report.wording import flat, probability
from cardinality.results.folder import Results, has_records, protocols_below
from cardinality.results.records import Record

# What runs of one code, on one kind of machine and of one set of images have in common.
Kind = tuple[int, Numerics, str]
INTERVAL = "90 % interval"


@dataclass(frozen=True)
class Side:
    """One of the two sets of results, of one protocol.

    Attributes:
        folder: where they lie.
        outcomes: of the most frequent kind of its records; a cell's role is its depth in layers.
        others: how many runs of other kinds were left out.
        unsound: how many records do not hold together.
        data: the checksums of its images.
    """

    folder: Path
    outcomes: Outcomes
    others: int
    unsound: int
    data: str


@dataclass(frozen=True)
class Twice:
    """Two sets of results of one protocol, and whether they are the same."""

    protocol: str
    first: Side
    second: Side
    sameness: ResultsSameness

    @cached_property
    def names(self) -> dict[Cell, str]:
        """Each cell in words: its net and, where several are of one net, what else is of them."""
        same = self.sameness
        compared = [each.cell for each in same.cells]
        alone = [*same.only_first, *same.only_second, *same.apart, *same.lost]
        cells = dict.fromkeys([*compared, *alone])
        nets: dict[str, list[Cell]] = {}
        for cell in cells:
            nets.setdefault(_net(cell), []).append(cell)
        return {
            cell: ", ".join([name, *others])
            for name, alike in nets.items()
            for cell, others in zip(alike, _differing(alike), strict=True)
        }


def compare(first: Path, second: Path, margin: float, protocol: str | None) -> tuple[Twice, ...]:
    """Compare each protocol that both have results of, cell by cell.

    Args:
        first, second: folders like results/, or of one protocol's results.
        margin: in points, stated beforehand.
        protocol: only this one.

    Raises:
        UserError: a folder is not there, or they have no protocol in common.
    """
    one, two = _protocols(first), _protocols(second)
    if len(one) == len(two) == 1 and protocol is None:
        names = [(*one, *two)]  # two folders of one protocol, whatever they are called
    else:
        names = [(name, name) for name in sorted(one.keys() & two.keys())]
        names = [pair for pair in names if protocol in (None, pair[0])]
    if not names:
        there = f"{', '.join(one) or 'none'}; and {', '.join(two) or 'none'}"
        raise UserError(
            f"{first} and {second}: no results of {protocol or 'one protocol'} in both;"
            f" there are: {there}"
        )
    return tuple(_twice(name, one[name], two[other], margin) for name, other in names)


def _protocols(folder: Path) -> dict[str, Path]:
    """The protocols of a folder of results, by name."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; allowed: a folder of results")
    return {folder.resolve().name: folder} if has_records(folder) else protocols_below(folder)


def _twice(name: str, first: Path, second: Path, margin: float) -> Twice:
    sides = _side(first), _side(second)
    same = compare_results(sides[0].outcomes, sides[1].outcomes, "top1_error", margin)
    return Twice(name, *sides, same)


def _side(folder: Path) -> Side:
    """The records of the most frequent kind; machines and code are never mixed within a side.

    Runs that diverged say which kind that is only where none is finished.
    """
    records, unsound = Results(folder).read_all()
    ended = [record for record in records if record.status != "failed"]
    done = [record for record in ended if record.status == "done"]
    known = [record for record in ended if record.data_checksum]
    kinds = Counter(_kind(record) for record in done or known or ended)
    usual = max(kinds, key=lambda kind: (kinds[kind], kind[0], astuple(kind[1])), default=None)
    chosen = [record for record in ended if usual is not None and _alike(record, usual)]
    data = "" if usual is None else usual[2]
    return Side(folder, _outcomes(chosen), len(ended) - len(chosen), len(unsound), data)


def _kind(record: Record) -> Kind:
    return record.configuration["revision"], record.numerics, record.data_checksum


def _alike(record: Record, usual: Kind) -> bool:
    """A run that diverged may not say of which images it was."""
    return _kind(record)[:2] == usual[:2] and record.data_checksum in ("", usual[2])


def _outcomes(records: Iterable[Record]) -> Outcomes:
    errors: dict[Cell, dict[int, float]] = {}
    diverged: dict[Cell, set[int]] = {}
    for record in records:
        cell, seed = _cell(record), int(record.configuration["seed"])
        if record.final is not None:
            errors.setdefault(cell, {})[seed] = record.final.top1_error
        elif seed not in errors.get(cell, {}):  # finished ones come first
            diverged.setdefault(cell, set()).add(seed)
    return Outcomes({"top1_error": errors}, diverged)


def _cell(record: Record) -> Cell:
    """What a run is of: its net, and where its recipe is another one, that, too."""
    recipe = {key: record.configuration[key] for key in ("net", "data", "training")}
    net = recipe["net"]
    role = f"depth {net['depth']}\0{json.dumps(recipe, sort_keys=True)}"
    return Cell(net["setting"], role, net["residual"])


def _recipe(cell: Cell) -> Any:
    return json.loads(cell.role.partition("\0")[2])


def _differing(cells: Sequence[Cell]) -> Iterator[list[str]]:
    """What each of some cells has that another of them has otherwise, such as ``rate 0.1``."""
    recipes = [dict(flat(_recipe(cell))) for cell in cells]
    keys = list(dict.fromkeys(key for each in recipes for key in each))
    apart = [key for key in keys if len({each.get(key) for each in recipes}) > 1]
    for each in recipes:
        yield [f"{key.removeprefix('training.')} {each[key]}" for key in apart if key in each]


def _net(cell: Cell) -> str:
    depth = cell.role.partition("\0")[0]
    return net_in_words(cell.setting, depth, cell.residual, _variant(_recipe(cell)["net"]))


def _variant(net: Mapping[str, Any]) -> str:
    """In what a net is none of the paper's; of one that cannot be built here, all it says."""
    try:
        return net_from(net).variant
    except UserError:
        usual = ("setting", "depth", "residual", "stem", "classes", "base")
        more = {key: net[key] for key in net if key not in usual}
        return ", ".join(f"{key} {value}" for key, value in more.items())


def page(found: tuple[Twice, ...]) -> str:
    """All protocols as Markdown."""
    return "\n".join(_section(each) for each in found)


def _section(found: Twice) -> str:
    same = found.sameness
    lines = [
        f"# {markdown(found.protocol)}: **{same.decision}** within ± {same.margin:g} points",
        f"B minus A, cell by cell, paired by seed; A is {markdown(found.first.folder)}, B is"
        f" {markdown(found.second.folder)}. *Agrees* is where the whole {INTERVAL} lies inside the"
        " margin (two one-sided tests at 5 %); *differs*, where p is at most 5 % after Holm's"
        " correction, or a run ended with an error on one side and diverged on the other;"
        " *undecided* is neither, and no sign that they are the same.",
    ]
    if same.cells:
        lines.append(to_markdown(_columns(found)))
    lines.append("\n".join(f"- {note}" for note in _notes(found)))
    return "\n\n".join(line for line in lines if line) + "\n"


def _columns(found: Twice) -> dict[str, pd.Series]:
    lines = [
        {
            "net": found.names[cell.cell],
            f"Δ, {INTERVAL}": _told(cell.over),
            "pairs": str(cell.over.n),
            "p, same": probability(cell.p_agrees),
            "p, differs": probability(cell.p_differs),
            "decision": cell.decision,
        }
        for cell in found.sameness.cells
    ]
    return columns_of(lines)


def _told(over: Estimate) -> str:
    return effect_text(Effect(over, (), (), 0, None))


def _notes(found: Twice) -> list[str]:
    notes = []
    same = found.sameness
    if not (same.cells or same.apart or same.lost):
        notes.append("No net of one recipe has a common seed in both: nothing is compared.")
    if found.first.data != found.second.data and found.first.data and found.second.data:
        notes.append("**The images are others**, so that more differs than machine or code.")
    if same.apart:
        seeds = _seeds(found, same.apart)
        notes.append(f"**Diverged on one side and ended with an error on the other**: {seeds}.")
    if same.lost:
        notes.append(f"Diverged on both sides: {_seeds(found, same.lost)}.")
    for letter, side, only in (
        ("A", found.first, same.only_first),
        ("B", found.second, same.only_second),
    ):
        if only:
            notes.append(f"Only in {letter}, or without a common seed: {_listed(found, only)}.")
        if side.others:
            runs = plural(side.others, "run")
            notes.append(f"{letter}: {runs} of other code, numerics or images left out.")
        if side.unsound:
            notes.append(f"{letter}: left out as unsound: {plural(side.unsound, 'record')}.")
    return notes


def _listed(found: Twice, cells: Iterable[Cell]) -> str:
    return "; ".join(markdown(found.names[cell]) for cell in cells)


def _seeds(found: Twice, seeds: Mapping[Cell, tuple[int, ...]]) -> str:
    told = (
        f"{markdown(found.names[cell])} (seed {', '.join(map(str, of))})"
        for cell, of in seeds.items()
    )
    return "; ".join(told)


def as_json(found: tuple[Twice, ...]) -> list[dict[str, object]]:
    """The same in plain values."""
    return [
        {
            "protocol": each.protocol,
            "margin": each.sameness.margin,
            "decision": each.sameness.decision,
            "cells": [_plain(each, cell) for cell in each.sameness.cells],
            "only_first": [each.names[cell] for cell in each.sameness.only_first],
            "only_second": [each.names[cell] for cell in each.sameness.only_second],
            "diverged_on_one_side": _by_name(each, each.sameness.apart),
            "diverged_on_both": _by_name(each, each.sameness.lost),
            "same_images": each.first.data == each.second.data,
            "left_out": [each.first.others, each.second.others],
        }
        for each in found
    ]


def _by_name(found: Twice, seeds: Mapping[Cell, tuple[int, ...]]) -> dict[str, list[int]]:
    return {found.names[cell]: [*of] for cell, of in seeds.items()}


def _plain(found: Twice, cell: CellSameness) -> dict[str, object]:
    return {
        "net": found.names[cell.cell],
        "pairs": cell.over.n,
        "mean": cell.over.mean,
        "low": cell.over.low,
        "high": cell.over.high,
        "confidence": cell.over.confidence,
        "p_same": cell.p_agrees,
        "p_differs": cell.p_differs,
        "decision": cell.decision,
    }


def write(found: tuple[Twice, ...], folder: Path) -> list[Path]:
    """Write compare.md, and compare.png, .svg and .csv, if there is anything to compare."""
    written = [folder / "compare.md"]
    write_text(written[0], page(found))
    dots = [_dot(each, cell) for each in found for cell in each.sameness.cells]
    if not dots:
        return written
    label = "top-1 error, B minus A, points"
    margin = found[0].sameness.margin
    title = f"The same, computed twice (dashed: the margin, ± {margin:g})"
    words: Any = {"ours": "B minus A", "interval": INTERVAL, "margin": margin}
    return written + canvas.save(
        lambda figure: forest.forest(dots, figure, title, label, "", **words),
        (8, forest.height(dots)),
        folder / "compare",
        forest.data(dots).drop(columns="paper"),
    )


def _dot(found: Twice, cell: CellSameness) -> Dot:
    over, same = cell.over, found.sameness
    group = f"{found.protocol}: {same.decision} within ± {same.margin:g}"
    low, high = (math.nan if end is None else end for end in (over.low, over.high))
    note = f"{cell.decision} ({over.n})"
    return Dot(found.names[cell.cell], group, over.mean, low, high, over.n, note=note)
