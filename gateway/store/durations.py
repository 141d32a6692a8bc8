"""How long streams take, from the audit; for how long to wait for those that are open."""

from __future__ import annotations

import apsw

_ENOUGH = 100  # fewer say little about the longest that may be open


def longest_stream_s(connection: apsw.Connection, since_us: int) -> float | None:
    """Return the duration of the longest stream since then, seconds; None when there were few.

    Args:
        since_us: Microseconds since the epoch.
    """
    count, longest_us = connection.execute(
        "SELECT count(*), max(latency_us) FROM audit WHERE at_us >= ? AND stream", (since_us,)
    ).get
    return longest_us / 1e6 if count >= _ENOUGH else None
