"""Numbers as people read them: the same in tables, on pages and in sentences."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

DASH = "–"


def number(value: float | None, digits: int = 1) -> str:
    """A figure with so many digits after the point, or a dash for a missing one."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign; none at 0.0."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def millions(count: float) -> str:
    """A count in millions, to three digits or more."""
    return f"{count / 1e6:,.{2 if count < 1e8 else 0}f}"


def flat(part: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """A configuration as one line a key, such as ``training.rate``."""
    for key, value in part.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value)


def probability(p: float | None) -> str:
    """A p value with two digits that say something."""
    if p is None:
        return DASH
    if p >= 0.995:
        return "1"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def counted(n: int, asked: int, failed: int, diverged: int) -> str:
    """How many runs a line has, of how many where some are not there, and what became of those."""
    parts = [str(n) if n == asked else f"{n} of {asked}"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{diverged} diverged"] if diverged else []
    return ", ".join(parts)


def instead(asked: int, failed: int, diverged: int) -> str:
    """What stands in the place of an error that no run has."""
    if asked and diverged == asked:
        return "diverged"
    return "failed" if asked and failed + diverged == asked else DASH
