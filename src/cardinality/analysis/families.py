"""Holm's correction: how often a whole family of claims errs."""

from collections.abc import Sequence


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """Corrected p values (Holm 1979): the family errs at most as often as one test would.

    The smallest is multiplied by the family's size, the next by one less, and so on; none becomes
    smaller than one before it. Valid whatever the tests' dependence.

    Args:
        values: p of each member, in any order; 1 for one that was not tested.

    Returns:
        The corrected ones, in the same order.
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    corrected = [1.0] * len(values)
    largest = 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - position) * values[index]))
        corrected[index] = largest
    return tuple(corrected)
