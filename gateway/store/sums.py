"""Statements on the sums of all records ever written: what statistics are made of.

Deleting old records changes no figure. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache

import apsw

from gateway.store.records import AuditRecord, Endpoint
from gateway.wire.usage import Usage

_Group = tuple[int, Endpoint, str, str, str]
"""A day since the epoch, endpoint, provider, model and agent type."""

_Pair = tuple[str | None, str | None]
"""The model asked for, and the one sent instead."""

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


def add_records(connection: apsw.Connection, records: Sequence[AuditRecord]) -> None:
    """Add records to the sums; each sum is changed once, however many records it takes."""
    rows = [
        (_date(day), str(endpoint), *group, len(counts), *_added(counts))
        for (day, endpoint, *group), counts in _by_group(records).items()
    ]
    connection.executemany(_TOTALS, rows)
    overrides: defaultdict[_Pair, list[tuple[int, ...]]] = defaultdict(list)
    for record in records:
        if record.overridden and record.counted:
            saved = record.saved_pico
            pair = (record.requested_model, record.model)
            overrides[pair].append((saved is not None, saved or 0))
        if record.project_id is not None:
            connection.execute(_PROJECTS, _project(record))
    pairs = [(*pair, len(counts), *_added(counts)) for pair, counts in overrides.items()]
    connection.executemany(_OVERRIDES, pairs)


def set_baseline(connection: apsw.Connection, at_us: int) -> None:
    """Let the metrics count from now; no sum is changed."""
    connection.execute("DELETE FROM baseline")
    connection.execute(_BASELINE, (at_us,))
    connection.execute("UPDATE projects SET baseline_pico = cost_pico")


def _by_group(records: Iterable[AuditRecord]) -> Mapping[_Group, list[tuple[int, ...]]]:
    """Return what each record adds to its row of `totals`, besides one call."""
    found: defaultdict[_Group, list[tuple[int, ...]]] = defaultdict(list)
    for record in records:
        usage, cost = record.usage, record.cost_pico
        unpriced = cost is None and usage is not None
        if usage is None:
            usage = _NO_USAGE
        model, agent_type = record.model or "", record.agent_type or ""
        group = (record.at_us // _DAY_US, record.endpoint, record.provider, model, agent_type)
        found[group].append((
            record.success, record.stream, usage.input_tokens, usage.output_tokens,
            usage.cache_write_5m_tokens + usage.cache_write_1h_tokens, usage.cache_read_tokens,
            cost or 0, unpriced, record.latency_us,
        ))  # fmt: skip  # in the order of the columns
    return found


def _added(counts: Iterable[tuple[int, ...]]) -> Iterator[int]:
    """Return the sum of each column."""
    return map(sum, zip(*counts, strict=True))


@lru_cache(16)
def _date(day: int) -> str:
    """Return the date of a day, counted from the epoch."""
    return date.fromordinal(_EPOCH + day).isoformat()


def _project(record: AuditRecord) -> tuple[object, ...]:
    """Return what a record adds to the row of its project."""
    usage = record.usage or _NO_USAGE
    tokens = (usage.input_tokens, usage.output_tokens)
    return (record.project_id, *tokens, record.cost_pico or 0, record.at_us)
