"""Tables of the ledger and the statements that fill them.

Money is whole picodollars (1e-12 USD), time whole microseconds. `totals` and `overrides` are sums
over all records ever written; statistics come from them, so deleting old records changes no figure.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import msgspec

from gateway.store.records import AuditRecord
from gateway.wire.usage import Usage

VERSION = 1
"""Kept in SQLite's `user_version`."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, boot_id TEXT NOT NULL,
        seq INTEGER NOT NULL, at_us INTEGER NOT NULL, endpoint TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT,
        requested_model TEXT, status INTEGER NOT NULL, success INTEGER NOT NULL,
        partial INTEGER NOT NULL, stream INTEGER NOT NULL, overridden INTEGER NOT NULL,
        latency_us INTEGER NOT NULL, ttft_us INTEGER, input_tokens INTEGER, output_tokens INTEGER,
        cache_write_5m_tokens INTEGER, cache_write_1h_tokens INTEGER, cache_read_tokens INTEGER,
        cost_pico INTEGER, saved_pico INTEGER, agent_type TEXT, agent_source TEXT, project_id TEXT,
        session_id TEXT, client TEXT, billing TEXT, error_message TEXT, upstream_request_id TEXT,
        shape TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS audit_overridden ON audit (id) WHERE overridden",
    """CREATE TABLE IF NOT EXISTS totals (
        day TEXT NOT NULL, endpoint TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
        agent_type TEXT NOT NULL, calls INTEGER NOT NULL, successes INTEGER NOT NULL,
        streams INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL,
        cost_pico INTEGER NOT NULL, unpriced INTEGER NOT NULL, latency_us INTEGER NOT NULL,
        PRIMARY KEY (day, endpoint, provider, model, agent_type)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS overrides (
        source TEXT NOT NULL, target TEXT NOT NULL, count INTEGER NOT NULL,
        priced INTEGER NOT NULL, saved_pico INTEGER NOT NULL, PRIMARY KEY (source, target)
    ) STRICT, WITHOUT ROWID""",
)

_INSERT = """INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_TOTALS = """INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET calls = calls + 1, successes = successes + excluded.successes,
    streams = streams + excluded.streams, input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
    cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
    cost_pico = cost_pico + excluded.cost_pico, unpriced = unpriced + excluded.unpriced,
    latency_us = latency_us + excluded.latency_us"""
_OVERRIDES = """INSERT INTO overrides VALUES (?, ?, 1, ?, ?)
    ON CONFLICT DO UPDATE SET count = count + 1, priced = priced + excluded.priced,
    saved_pico = saved_pico + excluded.saved_pico"""


def insert(connection: sqlite3.Connection, record: AuditRecord, *, keep_entry: bool) -> None:
    """Write a record and its sums, inside the caller's transaction."""
    usage = record.usage
    if keep_entry:
        connection.execute(_INSERT, _row(record, usage))
    connection.execute(_TOTALS, _sums(record, usage or Usage()))
    if record.overridden and record.counted:
        saved = record.saved_pico
        connection.execute(
            _OVERRIDES, (record.requested_model, record.model, saved is not None, saved or 0)
        )


def _row(record: AuditRecord, usage: Usage | None) -> tuple[object, ...]:
    tokens = (None,) * 5
    counts: tuple[int | None, ...] = tokens if usage is None else _counts(usage)
    return (
        *(record.request_id, record.boot_id, record.seq, record.at_us, record.endpoint.value),
        *(record.provider, record.model, record.requested_model, record.status, record.success),
        *(record.partial, record.stream, record.overridden, record.latency_us, record.ttft_us),
        *counts,
        *(record.cost_pico, record.saved_pico, record.agent_type, record.agent_source, None),
        *(record.session_id, record.client, record.billing, record.error_message),
        *(record.upstream_request_id, msgspec.json.encode(record.shape).decode()),
    )


def _counts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_read_tokens,
    )


def _sums(record: AuditRecord, usage: Usage) -> tuple[object, ...]:
    day = datetime.fromtimestamp(record.at_us // 1_000_000, UTC).date().isoformat()
    unpriced = record.usage is not None and record.cost_pico is None
    return (
        *(day, record.endpoint.value, record.provider, record.model or "", record.agent_type or ""),
        *(1, record.success, record.stream, usage.input_tokens, usage.output_tokens),
        usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        *(usage.cache_read_tokens, record.cost_pico or 0, unpriced, record.latency_us),
    )
