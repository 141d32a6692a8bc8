"""Read the query of operator requests. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from gateway.errors import RequestError
from gateway.store.entries import AuditFilter
from gateway.store.queries import MetricsFilter
from gateway.wire.http import Request

MAX_LIMIT = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class Query:
    """Named values of a query string; every reader raises RequestError (400) for a bad value."""

    def __init__(self, query: bytes) -> None:
        try:
            text = query.decode("ascii")
            self._values = parse_qs(text, keep_blank_values=True, max_num_fields=2000)
        except ValueError as error:
            raise _bad("query", "cannot be read") from error

    def text(self, name: str) -> str | None:
        """Return the last value; None when absent or empty."""
        values = self._values.get(name)
        return values[-1] or None if values else None

    def flag(self, name: str, default: bool | None) -> bool | None:
        """Return true or false, or the default when absent."""
        text = self.text(name)
        if text is None:
            return default
        if text.lower() not in _WORDS:
            raise _bad(name, "must be true or false")
        return _WORDS[text.lower()]

    def number(self, name: str, default: int, limit: int) -> int:
        """Return a whole number from 0 to the limit, or the default when absent."""
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise _bad(name, "must be a whole number")
        return min(int(text), limit)

    def moment_us(self, name: str) -> int | None:
        """Return a time as microseconds since the epoch; None when absent."""
        text = self.text(name)
        if text is None:
            return None
        try:
            # A plus sign in a query is a blank; the offset of a time stands behind one. The letters
            # of a time may be small ones (RFC 3339, 5.6), which Python does not read.
            moment = datetime.fromisoformat(text.replace(" ", "+").upper())
        except ValueError:
            raise _bad(name, "must be an RFC 3339 time") from None
        return micros(moment, name)

    def names(self, name: str) -> tuple[str, ...]:
        """Return all values, given repeatedly or with commas."""
        found = ",".join(self._values.get(name, [])).split(",")
        return tuple(dict.fromkeys(value for value in found if value))


def micros(moment: datetime, name: str) -> int:
    """Return a time as microseconds since the epoch.

    Args:
        name: What the time is called, for messages.

    Raises RequestError (400) when it does not say its time zone.
    """
    if moment.tzinfo is None:
        raise _bad(name, "must name its time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def audit_filter(request: Request) -> AuditFilter:
    """Return which records are asked for. Raises RequestError (400)."""
    query = Query(request.query)
    ids = query.names("request_id")
    if len(ids) > MAX_LIMIT:
        raise _bad("request_id", f"at most {MAX_LIMIT} at once")
    return AuditFilter(
        start_us=query.moment_us("start_time"),
        end_us=query.moment_us("end_time"),
        agent_type=query.text("agent_type"),
        provider=query.text("provider"),
        project_id=query.text("project_id"),
        success=query.flag("success", default=None),
        request_ids=ids,
        bodies=bool(query.flag("include_bodies", default=False)),
        limit=query.number("limit", max(100, len(ids)), MAX_LIMIT),
        offset=query.number("offset", 0, 2**53),
    )


def metrics_filter(request: Request) -> MetricsFilter:
    """Return which parts of the metrics are asked for. Raises RequestError (400)."""
    query = Query(request.query)
    return MetricsFilter(
        by_agent=bool(query.flag("include_agent", default=True)),
        by_provider=bool(query.flag("include_provider", default=True)),
        by_model=bool(query.flag("include_model", default=True)),
        by_project=bool(query.flag("include_project", default=False)),
        recent=query.number("recent_limit", 20, MAX_LIMIT),
    )


def _bad(name: str, problem: str) -> RequestError:
    return RequestError(400, "invalid_request_error", f"{name}: {problem}")
