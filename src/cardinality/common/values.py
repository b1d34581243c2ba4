"""Values that callers from Python give, who are not held to types by a checker."""

import math
from contextlib import suppress
from numbers import Real
from operator import index
from typing import TypeVar

from cardinality.common.errors import UserError

T = TypeVar("T")


def whole(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """A whole number as Python's, of any size, also where it is another library's.

    Args:
        name: of the value, for the mistake.
        value: such a number; True is none, though Python counts it as one.
        least, most: bounds, if there are any.

    Raises:
        UserError: it is no whole number, or out of bounds.
    """
    try:
        found = index(value)  # type: ignore[arg-type] # that is the question
    except TypeError:
        found = None
    if found is None or isinstance(value, bool):
        raise UserError(f"{name} {value!r:.60}: allowed is a whole number")
    if least is not None and found < least:
        raise UserError(f"{name} {found}: at least {least}")
    if most is not None and found > most:
        raise UserError(f"{name} {found}: at most {most}")
    return found


def positive(name: str, value: object) -> float:
    """A finite number above zero, as Python's.

    Raises:
        UserError: it is none.
    """
    found = math.nan
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):
            found = float(value)
    if not 0 < found < math.inf:
        raise UserError(f"{name} {value!r:.60}: allowed is a positive number")
    return found


def of_kind(name: str, value: T, kind: type[T], allowed: str) -> T:
    """A value that is of a type and of none derived from it.

    Args:
        name: of the value, for the mistake.
        value, kind: the two.
        allowed: the type in words.

    Raises:
        UserError: it is of another type.
    """
    if type(value) is not kind:
        raise UserError(f"{name} {value!r:.60}: allowed is {allowed}")
    return value
