"""What a gateway recorded in a stretch of time, for a review. Asks its audit; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from statistics import fmean
from typing import Any
from urllib.parse import urlencode

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import JsonObject
from cco_migrate.probes.site import Site, ask, object_in

SAMPLE = 1000
"""How many of the newest records the averages are taken of."""

_AUDIT = "/gateway/audit"
_STATISTICS = "/api/overrides/stats"


@dataclass(frozen=True, slots=True)
class Usage:
    """Records of a stretch of time, verification requests included.

    Attributes:
        sampled: Of how many of the newest records the averages are.
        latency_ms: Average until the last byte; None without a record that has it.
        first_token_ms: Average until the first token; None without a record that has it.
        streamed: How many of the sampled records are streams.
    """

    requests: int
    failed: int
    sampled: int
    latency_ms: float | None
    first_token_ms: float | None
    streamed: int


def read_usage(site: Site, since: datetime, until: datetime) -> Usage | Unmeasured:
    """Return what the audit holds of a stretch of time."""
    stretch = {"start_time": _moment(since), "end_time": _moment(until)}
    every = _page(site, {**stretch, "limit": str(SAMPLE)})
    if isinstance(every, Unmeasured):
        return every
    failed = _page(site, {**stretch, "limit": "1", "success": "false"})
    if isinstance(failed, Unmeasured):
        return failed
    rows = every.rows
    return Usage(
        requests=every.total,
        failed=failed.total,
        sampled=len(rows),
        latency_ms=_average(rows, "latency_ms"),
        first_token_ms=_average(rows, "ttft_ms"),
        streamed=sum(row.get("stream") is True for row in rows),
    )


def read_saved(site: Site) -> Decimal | Unmeasured:
    """Return the USD that overrides saved since the gateway began to count."""
    row = _asked(site, _STATISTICS)
    if isinstance(row, Unmeasured):
        return row
    models = row.get("overrides_by_model")
    if not isinstance(models, dict):
        return Unmeasured(f"{_STATISTICS} does not say what was saved")
    amounts = [one.get("cost_saved_usd") for one in models.values() if isinstance(one, dict)]
    if None in amounts or len(amounts) != len(models):
        return Unmeasured(f"{_STATISTICS} has no amount for every model")
    return sum((Decimal(str(amount)) for amount in amounts), Decimal(0))


@dataclass(frozen=True, slots=True)
class _Page:
    total: int
    rows: Sequence[Mapping[str, Any]]  # Any: JSON


def _page(site: Site, query: Mapping[str, str]) -> _Page | Unmeasured:
    row = _asked(site, f"{_AUDIT}?{urlencode(query)}")
    if isinstance(row, Unmeasured):
        return row
    total, rows = row.get("total"), row.get("entries")
    if not isinstance(total, int) or not isinstance(rows, list):
        return Unmeasured(f"{_AUDIT} does not say how many requests match")
    return _Page(total, [one for one in rows if isinstance(one, dict)])


def _asked(site: Site, target: str) -> JsonObject | Unmeasured:
    path = target.partition("?")[0]
    answer = ask(site, target)
    if isinstance(answer, Unmeasured):
        return answer
    if answer.status != 200:
        return Unmeasured(f"{path} answers {answer.status}")
    return object_in(answer, path)


def _average(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:  # Any: JSON
    values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
    return fmean(values) if values else None


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
