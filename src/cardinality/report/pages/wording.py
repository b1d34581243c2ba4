"""Numbers as people read them: what both renderers print."""

from collections.abc import Sequence

from cardinality.common import text
from cardinality.common.text import plural
from cardinality.report import wording
from cardinality.report.lines import Interval, MeanError, TableLine
from cardinality.report.pages.shapes import ClaimLine, Value
from cardinality.report.verdict_words import settled
from cardinality.report.wording import DASH, millions, number, probability, signed
from cardinality.results.estimate import duration

__all__ = ["DASH", "millions", "number", "plural", "probability", "settled", "signed"]


def spread(value: MeanError, digits: int = 1) -> str:
    """Mean and deviation."""
    if value.mean is None or value.deviation is None:
        return number(value.mean, digits)
    return f"{number(value.mean, digits)} ± {number(value.deviation, digits)}"


def interval(value: Interval | None, digits: int = 1) -> str:
    """A difference with the ends of its interval, as far as they are known."""
    if value is None or value.mean is None:
        return DASH
    mean = signed(value.mean, digits)
    if value.low is None:
        return mean
    return f"{mean} [{signed(value.low, digits)}, {signed(value.high, digits)}]"


def measured(line: TableLine, digits: int) -> str:
    """A line's error, or what stands in its place."""
    if line.n == 0:
        return wording.instead(line.asked, line.failed, line.diverged)
    return spread(line.top1, digits)


def counted(line: TableLine) -> str:
    """How many runs a line has, and of how many where some are not there."""
    return wording.counted(line.n, line.asked, line.failed, line.diverged)


def state(claim: ClaimLine) -> str:
    """How settled a verdict is, in words."""
    if claim.decision == "not run":
        return ""
    after = ", after the fact" if claim.after_the_fact else ""
    if claim.state == "interim":
        return f"interim, {plural(claim.unfinished, 'run')} to go{after}"
    return claim.state + after


def left_out(count: int) -> str:
    """Runs that no claim takes."""
    which = "because their numerics or their images are others than those of most"
    return f"In no verdict, {which}: {plural(count, 'run')}."


def cell(value: Value) -> str:
    """A value of a table of numbers: as the CSV file has it, but rounded to be read."""
    if value is None:
        return DASH
    if isinstance(value, float):
        return f"{value:.2f}".replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else value


def exact(value: Value) -> str:
    """A value as the CSV file has it; a text is none that a spreadsheet computes."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else text.csv(value)


def seeds(numbers: Sequence[int]) -> str:
    """Seeds by their numbers, those in a row shortened: ``0 to 4``, ``1, 3``."""
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers)) or DASH


def memory(count: int | None) -> str:
    """Bytes in MB."""
    return DASH if count is None else f"{count / 1e6:,.0f} MB"


def energy(joules: float | None) -> str:
    """Joules, in Wh where they are many."""
    if joules is None:
        return DASH
    return f"{joules / 3600:,.1f} Wh" if joules >= 3600 else f"{joules:,.0f} J"


def seconds(value: float | None) -> str:
    """A time."""
    return DASH if value is None else duration(value)


def moment(text: str | None) -> str:
    """A time in UTC, without what nobody reads."""
    return DASH if not text else text[:16].replace("T", " ")
