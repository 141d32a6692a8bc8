"""Read the ledger in the shapes the operator API serves; each query is one read transaction.

All statistics come from the sums, so they agree across workers and survive restarts and deletion of
old records. Only the lists of recent requests come from the records themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import apsw

from gateway.cost.pricing import usd
from gateway.store.entries import Answer, recent, recent_overrides, rfc3339
from gateway.store.rows import Row, only, rows

RECENT_OVERRIDES, MAX_PROJECTS = 10, 1000

_DAY_US = 86_400_000_000

_MODELS = """SELECT model, sum(calls) calls, sum(input_tokens) input, sum(output_tokens) output,
    sum(cost_pico) cost FROM totals GROUP BY model ORDER BY cost DESC, model"""
_DAYS = "SELECT day, sum(cost_pico) cost FROM totals GROUP BY day ORDER BY day DESC LIMIT 30"
_PROJECTS = "SELECT * FROM projects ORDER BY cost_pico DESC, project_id LIMIT ?"


@dataclass(frozen=True, slots=True)
class MetricsFilter:
    """Which parts of the metrics to return."""

    by_agent: bool = True
    by_provider: bool = True
    by_model: bool = True
    by_project: bool = False
    recent: int = 20


def metrics(connection: apsw.Connection, wanted: MetricsFilter) -> Answer:
    """Return sums over all requests since the baseline, costs by group, the latest requests."""
    answer: Answer = {"summary": summary(connection)}
    if wanted.by_agent:
        answer["by_agent"] = _costs(connection, "agent_type")
    if wanted.by_provider:
        answer["by_provider"] = _costs(connection, "provider")
    if wanted.by_model:
        answer["by_model"] = _costs(connection, "model")
    if wanted.by_project:
        answer["by_project"] = _by_project(connection)
    answer["recent"] = recent(connection, wanted.recent)
    return answer


def summary(connection: apsw.Connection) -> Answer:
    """Return sums over all requests since the baseline, token counting included."""
    row = only(
        connection,
        "SELECT total(calls) calls, total(successes) successes, total(streams) streams,"
        " ifnull(sum(cost_pico), 0) cost, total(input_tokens) input, total(output_tokens) output,"
        " total(cache_write_tokens) written, total(cache_read_tokens) read_,"
        " total(latency_us) latency FROM since_baseline",
    )
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


def overrides(connection: apsw.Connection, *, enabled: bool) -> Answer:
    """Return how often each override fired and what it saved; token counting is left out."""
    found = rows(connection, "SELECT * FROM overrides ORDER BY count DESC, source")
    total = sum(row["count"] for row in found)
    requests = connection.execute(
        "SELECT ifnull(sum(calls), 0) FROM totals WHERE endpoint <> 'count_tokens'"
    ).get
    answer: Answer = {
        "total_overrides": total,
        "overrides_enabled": enabled,
        "total_requests": requests,
        "unmatched_requests": max(0, requests - total),
        "overrides_by_model": _by_model(found, total),
        "recent_overrides": recent_overrides(connection, RECENT_OVERRIDES),
    }
    if not enabled:
        answer["message"] = "Model overrides are disabled"
    return answer


def machine(connection: apsw.Connection) -> Answer:
    """Return the sums behind the dashboard's charts."""
    models = rows(connection, _MODELS)
    days = rows(connection, _DAYS)
    projects = rows(connection, _PROJECTS, (MAX_PROJECTS,))
    tokens = connection.execute(
        "SELECT ifnull(sum(input_tokens + output_tokens + cache_write_tokens + cache_read_tokens),"
        " 0) FROM totals"
    ).get
    return {
        "totalCost": usd(sum(row["cost"] for row in models)),
        "activeProjects": len(projects),
        "totalCalls": sum(row["calls"] for row in models),
        "totalTokens": tokens,
        "projects": [_project(row) for row in projects],
        "models": [_model(row) for row in models],
        "chartData": {
            "costOverTime": [{"date": row["day"], "cost": usd(row["cost"])} for row in days[::-1]],
            "costByProject": [
                {"project": row["project_id"], "cost": usd(row["cost_pico"])} for row in projects
            ],
            "modelDistribution": [
                {"model": row["model"] or "unknown", "count": row["calls"]} for row in models
            ],
        },
    }


def project(connection: apsw.Connection, now_us: int) -> Answer:
    """Return the sums of all requests, and how the last 24 hours compare with the 24 before.

    A trend is a change in percent; null when the day before had nothing to compare with.
    """
    row = only(
        connection,
        "SELECT ifnull(sum(cost_pico), 0) cost, ifnull(sum(calls), 0) calls, ifnull(sum("
        "input_tokens + output_tokens + cache_write_tokens + cache_read_tokens), 0) tokens,"
        " total(latency_us) latency FROM totals",
    )
    today = _window(connection, now_us - _DAY_US, now_us)
    before = _window(connection, now_us - 2 * _DAY_US, now_us - _DAY_US)
    trends = (_trend(new, old) for new, old in zip(today, before, strict=True))
    cost, tokens, calls, mean = ({"value": value, "period": "24h"} for value in trends)
    return {
        "cost": usd(row["cost"]),
        "costTrend": cost,
        "tokens": row["tokens"],
        "tokensTrend": tokens,
        "calls": row["calls"],
        "callsTrend": calls,
        "avgTime": round(row["latency"] / row["calls"] / 1000, 3) if row["calls"] else 0,
        "timeTrend": mean,
    }


def _window(connection: apsw.Connection, start_us: int, end_us: int) -> tuple[float, ...]:
    """Return cost, tokens, calls and mean latency of the records of a time."""
    found: tuple[float, ...] = connection.execute(
        "SELECT total(cost_pico), total(input_tokens + output_tokens + cache_write_5m_tokens"
        " + cache_write_1h_tokens + cache_read_tokens), count(*), ifnull(avg(latency_us), 0)"
        " FROM audit WHERE at_us >= ? AND at_us < ?",
        (start_us, end_us),
    ).get
    return found


def _trend(new: float, old: float) -> float | None:
    return round((new - old) / old * 100, 2) if old else None


def _costs(connection: apsw.Connection, column: str) -> Answer:
    # `column` is one of three names written in this file.
    query = f"""SELECT {column} key, sum(cost_pico) cost FROM since_baseline
        GROUP BY {column} HAVING sum(calls) > 0"""  # noqa: S608  # see above
    return {one["key"] or "unknown": usd(one["cost"]) for one in rows(connection, query)}


def _by_project(connection: apsw.Connection) -> Answer:
    """Return what each project cost since the baseline, the costliest first."""
    found = rows(
        connection,
        "SELECT project_id, cost_pico - baseline_pico cost FROM projects"
        " ORDER BY cost DESC, project_id LIMIT ?",
        (MAX_PROJECTS,),
    )
    return {one["project_id"]: usd(one["cost"]) for one in found}


def _by_model(found: Iterable[Row], total: int) -> Answer:
    """Return one row a requested model: all its targets together, the most frequent named."""
    models: dict[str, dict[str, int | str]] = {}
    for row in found:
        entry = models.setdefault(
            row["source"], {"target": row["target"], "count": 0, "priced": 0, "saved": 0}
        )
        for name, column in (("count", "count"), ("priced", "priced"), ("saved", "saved_pico")):
            entry[name] = int(entry[name]) + row[column]
    return {source: _saving(entry, total) for source, entry in models.items()}


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


def _project(row: Row) -> Answer:
    return {
        "name": row["project_id"],
        "calls": row["calls"],
        "inputTokens": row["input_tokens"],
        "outputTokens": row["output_tokens"],
        "cost": usd(row["cost_pico"]),
        "lastActivity": rfc3339(row["last_us"]),
    }


def _model(row: Row) -> Answer:
    return {
        "name": row["model"] or "unknown",
        "calls": row["calls"],
        "inputTokens": row["input"],
        "outputTokens": row["output"],
        "cost": usd(row["cost"]),
    }
