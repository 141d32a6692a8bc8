"""Statements on the sums of all records ever written: what statistics are made of.

Deleting old records changes no figure. Every function runs inside the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import starmap

import apsw

from gateway.store.records import AuditRecord, Endpoint
from gateway.store.rows import Runner
from gateway.wire.usage import Usage

_Group = tuple[int, Endpoint, str, str | None, str | None, str | None]
"""A day since the epoch, endpoint, provider, model, agent type, and the model asked for where
another was sent instead and that is counted."""

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


def add_records(runner: Runner, records: Iterable[AuditRecord]) -> None:
    """Add records to the sums; those that add to the same ones are added up before."""
    groups: defaultdict[_Group, list[AuditRecord]] = defaultdict(list)
    for record in records:
        replaced = record.requested_model if record.overridden and record.counted else None
        day, model, agent_type = record.at_us // _DAY_US, record.model, record.agent_type
        group = (day, record.endpoint, record.provider, model, agent_type, replaced)
        groups[group].append(record)
        if record.project_id is not None:
            runner.execute(_PROJECTS, _project(record))
    runner.executemany(_TOTALS, starmap(_total, groups.items()))
    overrides = [_override(*one) for one in groups.items() if one[0][-1] is not None]
    if overrides:  # no rows cost as much as one
        runner.executemany(_OVERRIDES, overrides)


def set_baseline(connection: apsw.Connection, at_us: int) -> None:
    """Let the metrics count from now; no sum is changed."""
    connection.execute("DELETE FROM baseline")
    connection.execute(_BASELINE, (at_us,))
    connection.execute("UPDATE projects SET baseline_pico = cost_pico")


def _total(group: _Group, records: Sequence[AuditRecord]) -> tuple[object, ...]:
    """Return what the records of a group add to their row of `totals`."""
    day, endpoint, provider, model, agent_type, _ = group
    successes = streams = input_ = output = written = read = cost_pico = unpriced = latency_us = 0
    for record in records:
        usage, cost = record.usage, record.cost_pico
        successes += record.success
        streams += record.stream
        latency_us += record.latency_us
        if usage is not None:
            input_ += usage.input_tokens
            output += usage.output_tokens
            written += usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
            read += usage.cache_read_tokens
            unpriced += cost is None
        if cost is not None:
            cost_pico += cost
    return (
        _date(day), endpoint, provider, model or "", agent_type or "", len(records), successes,
        streams, input_, output, written, read, cost_pico, unpriced, latency_us,
    )  # fmt: skip  # in the order of the columns


def _override(group: _Group, records: Sequence[AuditRecord]) -> tuple[object, ...]:
    """Return what the records of a group add to their row of `overrides`."""
    _, _, _, model, _, replaced = group
    saved = [record.saved_pico for record in records if record.saved_pico is not None]
    return (replaced, model, len(records), len(saved), sum(saved))


@lru_cache(16)
def _date(day: int) -> str:
    """Return the date of a day, counted from the epoch."""
    return date.fromordinal(_EPOCH + day).isoformat()


def _project(record: AuditRecord) -> tuple[object, ...]:
    """Return what a record adds to the row of its project."""
    usage = record.usage or _NO_USAGE
    tokens = (usage.input_tokens, usage.output_tokens)
    return (record.project_id, *tokens, record.cost_pico or 0, record.at_us)
