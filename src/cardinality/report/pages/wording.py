"""Numbers as people read them: what both renderers print."""

from collections.abc import Sequence

from cardinality.common import text
from cardinality.report.pages.shapes import ClaimLine, Interval, Spread, TableLine, Value
from cardinality.results.estimate import duration

DASH = "–"


def number(value: float | None, digits: int = 1) -> str:
    """A figure with so many digits after the point, or a dash."""
    return DASH if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """A difference with its sign; none at 0.0."""
    if value is None:
        return DASH
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def spread(value: Spread, digits: int = 1) -> str:
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
        return "failed" if line.asked and line.failed == line.asked else DASH
    return spread(line.top1, digits)


def counted(line: TableLine) -> str:
    """How many runs a line has, and of how many where some are not there."""
    text = str(line.n) if line.n == line.asked else f"{line.n} of {line.asked}"
    return f"{text}, {line.failed} failed" if line.failed else text


def millions(count: int) -> str:
    """A count in millions."""
    return f"{count / 1e6:,.{2 if count < 1e8 else 0}f}"


def plural(count: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def probability(value: float | None) -> str:
    """A p value to two digits."""
    if value is None:
        return DASH
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def state(claim: ClaimLine) -> str:
    """How settled a verdict is, in words."""
    if claim.decision == "not run":
        return ""
    after = ", after the fact" if claim.after_the_fact else ""
    if claim.state == "interim":
        return f"interim, {plural(claim.unfinished, 'run')} to go{after}"
    return claim.state + after


def settled(decision: str, count: int, final: int) -> str:
    """How many of so many verdicts are final, where that is worth a word."""
    if not count or decision == "not run":
        return ""
    if final in (0, count):
        return "final" if final else "interim"
    return f"{final} final, {count - final} interim"


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
