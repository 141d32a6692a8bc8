"""Read single records of the ledger: pages of them, the latest, and what happened since one.

Each query is one read transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import apsw
import msgspec
from msgspec.structs import asdict

from gateway.cost.pricing import usd
from gateway.overrides.shape import read_stored
from gateway.store.rows import Row, rows

Answer = dict[str, object]
Event = tuple[str, Answer]
"""What is told to listeners: its name and what it says."""

EVENT_ROWS = 200
"""So many records that have something to tell are read at once."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to return; None matches all.

    Attributes:
        start_us: Earliest time of arrival, microseconds since the epoch.
        end_us: Latest time of arrival.
        request_ids: Only these; empty for all.
        bodies: Whether to return the bodies that were kept, too.
    """

    start_us: int | None = None
    end_us: int | None = None
    agent_type: str | None = None
    provider: str | None = None
    project_id: str | None = None
    success: bool | None = None
    request_ids: tuple[str, ...] = ()
    bodies: bool = False
    limit: int = 100
    offset: int = 0


def audit(connection: apsw.Connection, wanted: AuditFilter) -> Answer:
    """Return matching records, the latest arrival first, and how many match in all."""
    where, values = _conditions(wanted)
    # The conditions are fixed text with placeholders; only values come from outside.
    count = f"SELECT count(*) FROM audit {where}"  # noqa: S608  # see above
    page = f"SELECT * FROM audit {where} ORDER BY at_us DESC, id DESC LIMIT ? OFFSET ?"  # noqa: S608  # see above
    total = connection.execute(count, values).get
    found = rows(connection, page, (*values, wanted.limit, wanted.offset))
    entries = [_entry(one) for one in found]
    if wanted.bodies:
        entries = [{**entry, **_bodies(connection, entry["id"])} for entry in entries]
    return {"entries": entries, "total": total}


def recent(connection: apsw.Connection, limit: int) -> list[Answer]:
    """Return the latest requests, newest first, in short."""
    found = rows(connection, "SELECT * FROM audit ORDER BY id DESC LIMIT ?", (limit,))
    return [_recent(one) for one in found]


def recent_overrides(connection: apsw.Connection, limit: int) -> list[Answer]:
    """Return the latest overridden requests, newest first."""
    found = rows(
        connection,
        "SELECT requested_model, model, at_us FROM audit"
        " WHERE overridden AND endpoint <> 'count_tokens' ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [_override(one) for one in found]


def newest(connection: apsw.Connection) -> int:
    """Return the newest record's id; 0 without any."""
    found: int = connection.execute("SELECT ifnull(max(id), 0) FROM audit").get
    return found


def events_after(
    connection: apsw.Connection, last: int, limit: int = EVENT_ROWS
) -> tuple[int, list[Event]]:
    """Return what happened after record `last`, oldest first, and the record to go on after.

    That is the newest one, unless more than `limit` records have something to tell.
    """
    end = newest(connection)
    found = rows(
        connection,
        "SELECT * FROM audit WHERE id > ? AND id <= ? AND (cache IS NOT NULL OR NOT success"
        " OR overridden AND endpoint <> 'count_tokens') ORDER BY id LIMIT ?",
        (last, end, limit),
    )
    seen = found[-1]["id"] if len(found) == limit else end
    return seen, [event for one in found for event in _events(one)]


def rfc3339(at_us: int) -> str:
    """Return a time as RFC 3339 in UTC with microseconds."""
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _conditions(wanted: AuditFilter) -> tuple[str, tuple[object, ...]]:
    tests: Mapping[str, object | None] = {
        "at_us >= ?": wanted.start_us,
        "at_us <= ?": wanted.end_us,
        "agent_type = ?": wanted.agent_type,
        "provider = ?": wanted.provider,
        "project_id = ?": wanted.project_id,
        "success = ?": wanted.success,
    }
    used = {test: value for test, value in tests.items() if value is not None}
    clauses, values = list(used), tuple(used.values())
    if wanted.request_ids:
        clauses.append(f"request_id IN (?{', ?' * (len(wanted.request_ids) - 1)})")
        values += wanted.request_ids
    return (f"WHERE {' AND '.join(clauses)}" if clauses else ""), values


def _entry(row: Row) -> Answer:
    shape = read_stored(row["shape"])
    measured = _context(row)
    return {
        "id": row["id"],
        "request_id": row["request_id"],
        "timestamp": rfc3339(row["at_us"]),
        "endpoint": row["endpoint"],
        **{name: row[name] for name in ("agent_type", "project_id", "provider", "model")},
        "requested_model": row["requested_model"],
        "success": bool(row["success"]),
        "status": row["status"],
        "stream": bool(row["stream"]),
        "latency_ms": row["latency_us"] / 1000,
        "ttft_ms": None if row["ttft_us"] is None else row["ttft_us"] / 1000,
        **_tokens(row),
        "cost_usd": _cost(row),
        "terms": msgspec.json.decode(row["terms"]),
        **{name: row[name] for name in ("error_message", "upstream_request_id", "session_id")},
        **{name: row[name] for name in ("user", "client", "agent_source", "billing", "boot_id")},
        "seq": row["seq"],
        "partial": bool(row["partial"]),
        "cache": row["cache"],
        "route_reason": row["route_reason"],
        "adapted": msgspec.json.decode(row["adapted"]),
        "skipped_reason": row["skipped_reason"],
        "request_shape": {
            **asdict(shape),
            "context_tokens": shape.context_tokens if measured is None else measured,
        },
    }


def _bodies(connection: apsw.Connection, audit_id: object) -> Answer:
    query = "SELECT request, response FROM bodies WHERE audit_id = ?"
    request, response = connection.execute(query, (audit_id,)).get or (None, None)
    return {"request_body": request, "response_body": response}


def _recent(row: Row) -> Answer:
    return {
        "request_id": row["request_id"],
        "timestamp": rfc3339(row["at_us"]),
        **{name: row[name] for name in ("provider", "model", "agent_type")},
        **{name: row[name] for name in ("input_tokens", "output_tokens")},
        "cost_usd": _cost(row),
        "latency_ms": row["latency_us"] / 1000,
    }


def _tokens(row: Row) -> Answer:
    known = row["input_tokens"] is not None
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"] if known else None
    return {
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "cache_write_tokens": written,
        "cache_read_tokens": row["cache_read_tokens"],
    }


def _context(row: Row) -> int | None:
    if row["input_tokens"] is None:
        return None
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]
    return int(row["input_tokens"] + written + row["cache_read_tokens"])


def _cost(row: Row) -> Decimal | None:
    return None if row["cost_pico"] is None else usd(row["cost_pico"])


def _override(row: Row) -> Answer:
    return {
        "original_model": row["requested_model"],
        "override_to": row["model"],
        "timestamp": rfc3339(row["at_us"]),
    }


def _events(row: Row) -> Iterator[Event]:
    about = {name: row[name] for name in ("request_id", "model")}
    about["timestamp"] = rfc3339(row["at_us"])
    if row["overridden"] and row["endpoint"] != "count_tokens":
        yield "model_override", _override(row)
    if row["cache"] is not None:
        yield f"cache_{row['cache']}", about
    if not row["success"]:
        yield "error", {**about, "status": row["status"], "message": row["error_message"]}
