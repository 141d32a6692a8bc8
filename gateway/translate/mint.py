"""Where a translation takes ids and the time from, so that it stays pure itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mint:
    """What a translation cannot compute from its input.

    Attributes:
        token: Returns letters and digits that no other answer has.
        now: Returns seconds since 1970.
    """

    token: Callable[[], str]
    now: Callable[[], float]
