"""Moments as text: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_text() -> str:
    """Return the present moment."""
    return time_text(time.time())


def time_text(moment: float) -> str:
    """Return a moment, seconds since the epoch."""
    written = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")
