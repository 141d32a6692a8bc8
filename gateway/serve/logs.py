"""How the gateway's processes log: one line an event, UTC, to standard error."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def to_stderr() -> None:
    """Send the log to standard error; for a process's entry point only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_UtcFormatter(_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def now_text() -> str:
    """Return the time as RFC 3339 in UTC with milliseconds."""
    return _text(datetime.now(UTC))


class _UtcFormatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the record's time as RFC 3339."""
        return _text(datetime.fromtimestamp(record.created, UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
