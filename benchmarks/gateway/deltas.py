"""Judge the deltas of one stream as they arrived: lost, doubled, reordered, glued, late. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STAMP = re.compile(rb"n=(\d+) t=(\d+);")
_TAIL_BYTES = 64  # a stamp or a last event that is cut is shorter


@dataclass(frozen=True, slots=True)
class Faults:
    """What went wrong with the deltas of one or more streams, by count.

    Attributes:
        reordered: Deltas that came after a later one.
    """

    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.lost + self.doubled + self.reordered

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.reordered + other.reordered,
        )


def faults(numbers: Sequence[int], expected: int) -> Faults:
    """Return the faults of one stream.

    Args:
        numbers: Those of the deltas, in the order of arrival.
        expected: How many were sent, numbered from 0.

    Raises ValueError for a number that was never sent.
    """
    seen = Counter(numbers)
    foreign = sorted(number for number in seen if not 0 <= number < expected)
    if foreign:
        raise ValueError(f"delta {foreign[0]} came, and {expected} were sent, numbered from 0")
    return Faults(
        lost=expected - len(seen), doubled=len(numbers) - len(seen), reordered=_reordered(numbers)
    )


class DeltaReader:
    """Reads the deltas out of a stream's bytes, wherever those are cut.

    Attributes:
        numbers: Of the deltas, in the order of arrival.
        delays_ms: From when each was written to when it was read.
        glued: Deltas that were read together with an earlier one.
        ended: Whether the last event has come.
    """

    __slots__ = ("_last", "_tail", "delays_ms", "ended", "glued", "numbers")

    def __init__(self, last: bytes) -> None:
        """Take what the last event is known by."""
        self.numbers: list[int] = []
        self.delays_ms: list[float] = []
        self.glued = 0
        self.ended = False
        self._last = last
        self._tail = b""

    def feed(self, data: bytes, now_ns: int) -> None:
        """Take what one read gave, and when, in monotonic time."""
        window = self._tail + data
        before, end = len(self.numbers), 0
        for found in _STAMP.finditer(window):
            self.numbers.append(int(found[1]))
            self.delays_ms.append((now_ns - int(found[2])) / 1e6)
            end = found.end()
        came = len(self.numbers) - before
        self.glued += max(0, came - 1)
        rest = window[end:]
        self.ended = self.ended or self._last in rest
        self._tail = rest[-_TAIL_BYTES:]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed; 0 < share <= 1.

    Raises ValueError when there are none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    return ordered[max(0, min(len(ordered) - 1, math.ceil(len(ordered) * share) - 1))]


def _reordered(numbers: Sequence[int]) -> int:
    highest, count = -1, 0
    seen: set[int] = set()
    for number in numbers:
        count += number < highest and number not in seen
        seen.add(number)
        highest = max(highest, number)
    return count
