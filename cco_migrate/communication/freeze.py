"""Days on which nothing goes forward. A rollback asks nobody. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A stretch of frozen days; the first and the last belong to it."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first} to {self.last}" if self.first != self.last else str(self.first)


def is_frozen(day: date, windows: Iterable[FreezeWindow]) -> bool:
    """Return whether nothing may go forward on a day."""
    return any(day in window for window in windows)


def forward_block(day: date, windows: Iterable[FreezeWindow]) -> str | None:
    """Return why no forward step may begin on a day, for a line of the preflight; None if it may.

    Only what goes forward asks: a way back is never frozen.
    """
    standing = [window for window in windows if day in window]
    if not standing:
        return None
    longest = max(standing, key=lambda window: window.last)
    return f"{day} is frozen ({longest}): no forward step; a rollback stays possible at any time"
