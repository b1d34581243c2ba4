"""Other people's runs: a CSV of settings, seeds and errors from anyone's code."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import starmap

from cardinality.analysis.claims import Claim, Claims
from cardinality.analysis.outcomes import Cell, Figure, Outcomes, blocks
from cardinality.analysis.verdicts import Published, Verdict, judge
from cardinality.architecture.names import net_in_words
from cardinality.architecture.settings import Setting
from cardinality.common.errors import UserError
from cardinality.common.text import line as short

REQUIRED = ("setting", "seed", "error")
OPTIONAL = ("depth", "shortcuts", "train_error")
COLUMNS = f"{', '.join(REQUIRED)}, and if you like {', '.join(OPTIONAL)}"
# Numbers of layers play these roles in ascending order.
ROLES = ("base", "deep", "double")
WORDS = (*ROLES, "residual")
DIVERGED = "diverged"
LONGEST = 100  # characters of a value or of a heading
MOST_NETS = 200  # by setting, depth and shortcuts
# Python's float() takes 2_7 and the digits of other scripts as well.
PLAIN = re.compile(r"[0-9]{0,18}\.?[0-9]{1,18}([eE][-+]?[0-9]{1,3})?|[0-9]{1,18}\.")
Papers = Mapping[str, Published]


@dataclass(frozen=True)
class Given:
    """Runs as they were given.

    Attributes:
        outcomes: by cell and seed; every seed counts.
        depths: which depth, as it was given, plays which role.
        runs: how many.
        ignored: columns that mean nothing here.
    """

    outcomes: Outcomes
    depths: Mapping[str, str]
    runs: int
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    number: int
    setting: str
    depth: str
    shortcuts: bool
    seed: int
    errors: Mapping[Figure, float]  # empty where the run diverged


def parse(text: str, name: str) -> Given:
    """Read runs from CSV: setting, seed, error in percent (or ``diverged``).

    Optional columns: ``depth`` (layers, of which the smallest plays the base depth, the next the
    deep one, the next the double one; or these words), ``shortcuts`` (yes or no), ``train_error``.

    Args:
        text: the file's content.
        name: the file's, for messages.

    Raises:
        UserError: in one line, what is missing, stands twice or is no number, and what is allowed.
    """
    everything = _read(text, name) or [(1, [])]
    for number, values in everything:
        longest = max(map(len, values), default=0)
        if longest > LONGEST:
            raise UserError(
                f"{name}: line {number}: a value of {longest} characters; allowed: {LONGEST}"
            )
    (_, stated), *rows = everything
    heading = [column.casefold() for column in stated]
    _check_heading(heading, name)
    for number, values in rows:
        if len(values) != len(heading):
            raise UserError(
                f"{name}: line {number}: {len(values)} values; allowed: {len(heading)}, as in the"
                " heading"
            )
    lines = [
        _line(dict(zip(heading, values, strict=True)), number, name) for number, values in rows
    ]
    if not lines:
        raise UserError(f"{name}: no runs; allowed: a line for each, below the heading")
    _check_twins(lines, name)
    nets = len({(line.setting, line.depth, line.shortcuts) for line in lines})
    if nets > MOST_NETS:
        raise UserError(f"{name}: {nets:,} nets; allowed: {MOST_NETS}, by setting and depth")
    roles = _roles(lines, name)
    ignored = tuple(column for column in heading if column not in (*REQUIRED, *OPTIONAL))
    depths = {role: depth for depth, role in roles}
    return Given(_outcomes(lines, roles), depths, len(lines), ignored)


def _read(text: str, name: str) -> list[tuple[int, list[str]]]:
    """The values of every line that is not empty, with its number."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        lines = [(reader.line_num, [value.strip() for value in values]) for values in reader]
    except csv.Error as error:
        raise UserError(
            f"{name}: line {reader.line_num}: no CSV: {error}; allowed: {COLUMNS}"
        ) from None
    return [(number, values) for number, values in lines if any(values)]


def _check_heading(heading: list[str], name: str) -> None:
    for column in REQUIRED:
        if column not in heading:
            there = short(", ".join(heading), 100) or "none"
            raise UserError(
                f"{name}: {column}: no such column; there are: {there}; allowed: {COLUMNS}"
            )
    for column, count in Counter(heading).items():
        if count > 1:
            raise UserError(f"{name}: {column}: the column stands twice; allowed: {COLUMNS}")


def _line(row: Mapping[str, str], number: int, name: str) -> _Line:
    where = f"{name}: line {number}"
    try:
        setting = str(Setting.parse(row["setting"]))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    seed = _whole(row["seed"], "seed", where)
    errors: dict[Figure, float] = {}
    if row["error"].casefold() != DIVERGED:
        errors["top1_error"] = _percent(row["error"], "error", where)
        if row.get("train_error"):
            errors["train_error"] = _percent(row["train_error"], "train_error", where)
    depth = row.get("depth", "base").casefold()
    if depth not in WORDS:
        depth = str(_whole(depth, "depth", where))
    return _Line(number, setting, depth, _yes(row.get("shortcuts", "yes"), where), seed, errors)


def _whole(text: str, column: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        words = f", or {', '.join(WORDS)}" if column == "depth" else ""
        raise UserError(f"{where}: {column}: {text!r}; allowed: a whole number{words}")
    return int(text)


def _percent(text: str, column: str, where: str) -> float:
    value = float(text) if PLAIN.fullmatch(text) else math.nan
    if not 0 <= value <= 100:
        raise UserError(
            f"{where}: {column}: {text!r}; allowed: percent, from 0 to 100, or {DIVERGED}"
        )
    return value


def _yes(text: str, where: str) -> bool:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in words:
        raise UserError(f"{where}: shortcuts: {text!r}; allowed: yes or no")
    return words[text.lower()]


def _check_twins(lines: list[_Line], name: str) -> None:
    seen: dict[tuple[str, str, bool, int], int] = {}
    for line in lines:
        key = (line.setting, line.depth, line.shortcuts, line.seed)
        if key in seen:
            raise UserError(
                f"{name}: line {line.number}: {line.setting}, seed {line.seed} stands in line"
                f" {seen[key]} already; allowed: each setting, depth and seed once"
            )
        seen[key] = line.number


def _roles(lines: list[_Line], name: str) -> tuple[tuple[str, str], ...]:
    """Each depth with the role that it plays; that of runs without shortcuts plays two."""
    depths = {line.depth for line in lines}
    words = depths & {*WORDS}
    if words and words != depths:
        raise UserError(f"{name}: depth: words and numbers; allowed: one of the two")
    if not words and len(depths) > len(ROLES):
        raise UserError(
            f"{name}: depth: {len(depths)} depths; allowed: up to {len(ROLES)}, or the words"
            f" {', '.join(WORDS)}"
        )
    roles = [(word, word) for word in WORDS if word in words] or list(
        zip(sorted(depths, key=int), ROLES, strict=False)
    )
    bare = sorted({line.depth for line in lines if not line.shortcuts} - {"residual"})
    if len(bare) > 1:
        raise UserError(f"{name}: shortcuts: no at several depths; allowed: at one")
    # The paper asks about shortcuts at its base depth, a protocol of ours at one of its own.
    return (*roles, *((depth, "residual") for depth in bare if "residual" not in words))


def _outcomes(lines: list[_Line], roles: tuple[tuple[str, str], ...]) -> Outcomes:
    errors: dict[Figure, dict[Cell, dict[int, float]]] = {"top1_error": {}, "train_error": {}}
    diverged: dict[Cell, set[int]] = {}
    for line in lines:
        for depth, role in roles:
            if depth != line.depth:
                continue
            cell = Cell(line.setting, role, line.shortcuts)
            for figure, value in line.errors.items():
                errors[figure].setdefault(cell, {})[line.seed] = value
            if not line.errors:
                diverged.setdefault(cell, set()).add(line.seed)
    return Outcomes(errors, diverged)


def judge_given(
    claims: Claims, given: Given, name: str, claim: str | None = None, paper: Papers | None = None
) -> tuple[Verdict, ...]:
    """Judge the claims on runs as they were given; a claim asked by name is a family of its own.

    Args:
        claims: with their rules.
        given: the runs.
        name: the file's, for messages.
        claim: the one that is asked, by default all.
        paper: the paper's errors by table and cell.

    Raises:
        UserError: there is no such claim, or the runs lack a cell of it, or a seed in all of them.
    """
    chosen = claims if claim is None else claims.asked((claim,))
    if claim is not None:
        _check_cells(chosen.claims[0], given, name)
    tables = {each.table: given.outcomes for each in chosen.claims}
    return judge(chosen, tables, paper)


def _check_cells(claim: Claim, given: Given, name: str) -> None:
    lacking = [cell for cell in claim.cells if not given.outcomes.ended(claim.figure, cell)]
    if lacking:
        absent, allowed = (
            " and ".join(starmap(net_in_words, cells)) for cells in (lacking, claim.cells)
        )
        raise UserError(f"{name}: {claim.name}: no runs of {absent}; allowed: runs of {allowed}")
    if not blocks(given.outcomes, claim.figure, claim.cells).seeds:
        raise UserError(
            f"{name}: {claim.name}: no seed that all of its settings have; allowed: one"
        )
