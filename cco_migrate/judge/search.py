"""Finds where a test over whole numbers turns from false to true. Pure."""

from __future__ import annotations

from collections.abc import Callable


def first_true(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least number from low on at which a monotone test holds; high if none below."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def first_true_from(holds: Callable[[int], bool], low: int) -> int:
    """Return the least number from low ≥ 1 on at which a monotone test holds; it must somewhere."""
    high = low
    while not holds(high):
        low, high = high + 1, 2 * high
    return first_true(holds, low, high)
