"""Statements on the sums of all records ever written: what statistics are made of.

Deleting old records changes no figure. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from operator import add

from gateway.store.records import AuditRecord
from gateway.wire.usage import Usage

_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_NO_USAGE = Usage()

_TOTALS = """INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
    successes = successes + excluded.successes, streams = streams + excluded.streams,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
    cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
    cost_pico = cost_pico + excluded.cost_pico, unpriced = unpriced + excluded.unpriced,
    latency_us = latency_us + excluded.latency_us"""
_OVERRIDES = """INSERT INTO overrides VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + excluded.count, priced = priced + excluded.priced,
    saved_pico = saved_pico + excluded.saved_pico"""
_PROJECTS = """INSERT INTO projects VALUES (?, 1, ?, ?, ?, ?, 0)
    ON CONFLICT DO UPDATE SET calls = calls + 1,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cost_pico = cost_pico + excluded.cost_pico, last_us = max(last_us, excluded.last_us)"""
# The sums of all days together.
_BASELINE = """INSERT INTO baseline SELECT ?, endpoint, provider, model, agent_type,
    sum(calls), sum(successes), sum(streams), sum(input_tokens), sum(output_tokens),
    sum(cache_write_tokens), sum(cache_read_tokens), sum(cost_pico), sum(unpriced), sum(latency_us)
    FROM totals GROUP BY endpoint, provider, model, agent_type"""


def add_records(connection: sqlite3.Connection, records: Iterable[AuditRecord]) -> None:
    """Add records to the sums; each sum is changed once, however many records it takes."""
    totals, overrides = _Sums(), _Sums()
    for record in records:
        totals.add(_group(record), _counts(record))
        if record.overridden and record.counted:
            saved = record.saved_pico
            pair = (record.requested_model, record.model)
            overrides.add(pair, (1, saved is not None, saved or 0))
        if record.project_id is not None:
            connection.execute(_PROJECTS, _project(record))
    connection.executemany(_TOTALS, totals.rows())
    connection.executemany(_OVERRIDES, overrides.rows())


def set_baseline(connection: sqlite3.Connection, at_us: int) -> None:
    """Let the metrics count from now; no sum is changed."""
    connection.execute("DELETE FROM baseline")
    connection.execute(_BASELINE, (at_us,))
    connection.execute("UPDATE projects SET baseline_pico = cost_pico")


class _Sums:
    """Numbers added up by group."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, ...], tuple[int, ...]] = {}

    def add(self, group: tuple[str | None, ...], numbers: tuple[int, ...]) -> None:
        before = self._found.get(group)
        self._found[group] = numbers if before is None else tuple(map(add, before, numbers))

    def rows(self) -> Iterator[tuple[object, ...]]:
        return ((*group, *numbers) for group, numbers in self._found.items())


def _group(record: AuditRecord) -> tuple[str, ...]:
    """Return the row of `totals` that a record belongs to."""
    day, agent_type = _date(record.at_us // _DAY_US), record.agent_type or ""
    return (day, record.endpoint.value, record.provider, record.model or "", agent_type)


def _counts(record: AuditRecord) -> tuple[int, ...]:
    """Return what a record adds to its row of `totals`."""
    usage = record.usage or _NO_USAGE
    unpriced = record.usage is not None and record.cost_pico is None
    return (
        *(1, record.success, record.stream, usage.input_tokens, usage.output_tokens),
        usage.cache_write_tokens,
        *(usage.cache_read_tokens, record.cost_pico or 0, unpriced, record.latency_us),
    )


@lru_cache(16)
def _date(day: int) -> str:
    """Return the date of a day, counted from the epoch."""
    return date.fromordinal(_EPOCH + day).isoformat()


def _project(record: AuditRecord) -> tuple[object, ...]:
    """Return what a record adds to the row of its project."""
    usage = record.usage or _NO_USAGE
    tokens = (usage.input_tokens, usage.output_tokens)
    return (record.project_id, *tokens, record.cost_pico or 0, record.at_us)
