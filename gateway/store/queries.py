"""Read the ledger in the shapes the operator API serves; each query is one read transaction.

All statistics come from the sums, so they agree across workers and survive restarts and deletion of
old records. Only the lists of recent requests come from the records themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from gateway.pricing import usd

Answer = dict[str, object]

RECENT_OVERRIDES = 10


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records to return; None matches all.

    Attributes:
        start_us: Earliest time of arrival, microseconds since the epoch.
        end_us: Latest time of arrival.
        request_ids: Only these; empty for all.
    """

    start_us: int | None = None
    end_us: int | None = None
    agent_type: str | None = None
    provider: str | None = None
    project_id: str | None = None
    success: bool | None = None
    request_ids: tuple[str, ...] = ()
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class MetricsFilter:
    """Which parts of the metrics to return."""

    by_agent: bool = True
    by_provider: bool = True
    by_model: bool = True
    by_project: bool = False
    recent: int = 20


def audit(connection: sqlite3.Connection, wanted: AuditFilter) -> Answer:
    """Return matching records, newest first, and how many match in all."""
    where, values = _conditions(wanted)
    # The conditions are fixed text with placeholders; only values come from outside.
    count = f"SELECT count(*) FROM audit {where}"  # noqa: S608  # see above
    page = f"SELECT * FROM audit {where} ORDER BY id DESC LIMIT ? OFFSET ?"  # noqa: S608  # see above
    total = connection.execute(count, values).fetchone()[0]
    rows = connection.execute(page, (*values, wanted.limit, wanted.offset))
    return {"entries": [_entry(row) for row in rows], "total": total}


def metrics(connection: sqlite3.Connection, wanted: MetricsFilter) -> Answer:
    """Return sums over all requests, costs by group, and the latest requests."""
    answer: Answer = {"summary": summary(connection)}
    if wanted.by_agent:
        answer["by_agent"] = _costs(connection, "agent_type")
    if wanted.by_provider:
        answer["by_provider"] = _costs(connection, "provider")
    if wanted.by_model:
        answer["by_model"] = _costs(connection, "model")
    if wanted.by_project:
        answer["by_project"] = {}  # no request carries a project yet
    rows = connection.execute("SELECT * FROM audit ORDER BY id DESC LIMIT ?", (wanted.recent,))
    answer["recent"] = [_recent(row) for row in rows]
    return answer


def summary(connection: sqlite3.Connection) -> Answer:
    """Return sums over all recorded requests, token counting included."""
    row = connection.execute(
        "SELECT total(calls) calls, total(successes) successes, total(streams) streams,"
        " ifnull(sum(cost_pico), 0) cost, total(input_tokens) input, total(output_tokens) output,"
        " total(cache_write_tokens) written, total(cache_read_tokens) read_,"
        " total(latency_us) latency FROM totals"
    ).fetchone()
    calls = int(row["calls"])
    return {
        "total_requests": calls,
        "successful_requests": int(row["successes"]),
        "failed_requests": calls - int(row["successes"]),
        "streaming_requests": int(row["streams"]),
        "total_cost_usd": usd(row["cost"]),
        "total_input_tokens": int(row["input"]),
        "total_output_tokens": int(row["output"]),
        "total_cache_write_tokens": int(row["written"]),
        "total_cache_read_tokens": int(row["read_"]),
        "avg_latency_ms": round(row["latency"] / calls / 1000, 3) if calls else 0,
    }


def overrides(connection: sqlite3.Connection, *, enabled: bool) -> Answer:
    """Return how often each override fired and what it saved; token counting is left out."""
    rows = connection.execute("SELECT * FROM overrides ORDER BY count DESC, source").fetchall()
    total = sum(row["count"] for row in rows)
    requests = connection.execute(
        "SELECT ifnull(sum(calls), 0) FROM totals WHERE endpoint = 'messages'"
    ).fetchone()[0]
    answer: Answer = {
        "total_overrides": total,
        "overrides_enabled": enabled,
        "total_requests": requests,
        "unmatched_requests": max(0, requests - total),
        "overrides_by_model": _by_model(rows, total),
        "recent_overrides": recent_overrides(connection, RECENT_OVERRIDES),
    }
    if not enabled:
        answer["message"] = "Model overrides are disabled"
    return answer


def recent_overrides(connection: sqlite3.Connection, limit: int) -> list[Answer]:
    """Return the latest overridden requests, newest first."""
    rows = connection.execute(
        "SELECT requested_model, model, at_us FROM audit WHERE overridden AND endpoint = 'messages'"
        " ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [_override(row) for row in rows]


def overrides_after(connection: sqlite3.Connection, last: int) -> tuple[int, list[Answer]]:
    """Return the newest record's id and the overrides recorded after `last`, oldest first."""
    newest = connection.execute("SELECT ifnull(max(id), 0) FROM audit").fetchone()[0]
    rows = connection.execute(
        "SELECT requested_model, model, at_us FROM audit WHERE overridden AND endpoint = 'messages'"
        " AND id > ? AND id <= ? ORDER BY id LIMIT 100",
        (last, newest),
    )
    return newest, [_override(row) for row in rows]


def machine(connection: sqlite3.Connection) -> Answer:
    """Return the sums behind the dashboard's charts."""
    models = connection.execute(
        "SELECT model, sum(calls) calls, sum(input_tokens) input, sum(output_tokens) output,"
        " sum(cost_pico) cost FROM totals GROUP BY model ORDER BY cost DESC, model"
    ).fetchall()
    days = connection.execute(
        "SELECT day, sum(cost_pico) cost FROM totals GROUP BY day ORDER BY day DESC LIMIT 30"
    ).fetchall()
    tokens = connection.execute(
        "SELECT ifnull(sum(input_tokens + output_tokens + cache_write_tokens + cache_read_tokens),"
        " 0) FROM totals"
    ).fetchone()[0]
    return {
        "totalCost": usd(sum(row["cost"] for row in models)),
        "activeProjects": 0,
        "totalCalls": sum(row["calls"] for row in models),
        "totalTokens": tokens,
        "projects": [],
        "models": [_model(row) for row in models],
        "chartData": {
            "costOverTime": [{"date": row["day"], "cost": usd(row["cost"])} for row in days[::-1]],
            "costByProject": [],
            "modelDistribution": [
                {"model": row["model"] or "unknown", "count": row["calls"]} for row in models
            ],
        },
    }


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


def _entry(row: sqlite3.Row) -> Answer:
    shape = msgspec.json.decode(row["shape"])
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
        **{name: row[name] for name in ("error_message", "upstream_request_id", "session_id")},
        "user": None,
        **{name: row[name] for name in ("client", "agent_source", "billing", "boot_id", "seq")},
        "partial": bool(row["partial"]),
        "adapted": [],
        "skipped_reason": None,
        "request_shape": {**shape, "context_tokens": _context(row)},
    }


def _recent(row: sqlite3.Row) -> Answer:
    return {
        "request_id": row["request_id"],
        "timestamp": rfc3339(row["at_us"]),
        **{name: row[name] for name in ("provider", "model", "agent_type")},
        **{name: row[name] for name in ("input_tokens", "output_tokens")},
        "cost_usd": _cost(row),
        "latency_ms": row["latency_us"] / 1000,
    }


def _tokens(row: sqlite3.Row) -> Answer:
    known = row["input_tokens"] is not None
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"] if known else None
    return {
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "cache_write_tokens": written,
        "cache_read_tokens": row["cache_read_tokens"],
    }


def _context(row: sqlite3.Row) -> int | None:
    if row["input_tokens"] is None:
        return None
    written = row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"]
    return int(row["input_tokens"] + written + row["cache_read_tokens"])


def _cost(row: sqlite3.Row) -> Decimal | None:
    return None if row["cost_pico"] is None else usd(row["cost_pico"])


def _costs(connection: sqlite3.Connection, column: str) -> Answer:
    # `column` is one of three names written in this file.
    query = f"SELECT {column} key, sum(cost_pico) cost FROM totals GROUP BY {column}"  # noqa: S608  # see above
    rows = connection.execute(query)
    return {row["key"] or "unknown": usd(row["cost"]) for row in rows}


def _by_model(rows: Iterable[sqlite3.Row], total: int) -> Answer:
    """Return one row a requested model: all its targets together, the most frequent named."""
    found: dict[str, dict[str, int | str]] = {}
    for row in rows:
        entry = found.setdefault(
            row["source"], {"target": row["target"], "count": 0, "priced": 0, "saved": 0}
        )
        for name, column in (("count", "count"), ("priced", "priced"), ("saved", "saved_pico")):
            entry[name] = int(entry[name]) + row[column]
    return {source: _saving(entry, total) for source, entry in found.items()}


def _saving(entry: Mapping[str, int | str], total: int) -> Answer:
    count, saved = int(entry["count"]), usd(int(entry["saved"]))
    known = bool(entry["priced"])
    return {
        "overridden_to": entry["target"],
        "count": count,
        "percentage": round(count / total * 100, 2),
        "cost_saved": _dollars(saved) if known else None,
        "cost_saved_usd": saved if known else None,
    }


def _dollars(amount: Decimal) -> str:
    return f"-${-amount:.2f}" if amount < 0 else f"${amount:.2f}"


def _override(row: sqlite3.Row) -> Answer:
    return {
        "original_model": row["requested_model"],
        "override_to": row["model"],
        "timestamp": rfc3339(row["at_us"]),
    }


def _model(row: sqlite3.Row) -> Answer:
    return {
        "name": row["model"] or "unknown",
        "calls": row["calls"],
        "inputTokens": row["input"],
        "outputTokens": row["output"],
        "cost": usd(row["cost"]),
    }
