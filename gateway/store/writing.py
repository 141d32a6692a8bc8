"""Write records and what follows from them, and delete old ones.

Every function runs inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from gateway.redact import redact_body
from gateway.store import conversations, sums
from gateway.store.records import AuditRecord
from gateway.wire.usage import Usage

_COLUMNS = tuple(
    """request_id boot_id seq at_us endpoint provider model requested_model status success
    partial stream overridden latency_us ttft_us input_tokens output_tokens cache_write_5m_tokens
    cache_write_1h_tokens cache_read_tokens cost_pico saved_pico agent_type agent_source project_id
    session_id client billing error_message upstream_request_id shape user route_reason adapted
    skipped_reason cache agent_id chosen terms""".split()  # noqa: SIM905  # one word a column reads better
)
# Named, so that a worker of an older version goes on writing while newer ones come up.
_INSERT = (
    f"INSERT INTO audit ({', '.join(_COLUMNS)})"  # noqa: S608  # fixed names
    f" VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_BODIES = "INSERT INTO bodies VALUES (last_insert_rowid(), ?, ?)"
_RATE_LIMITS = """INSERT INTO rate_limits VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at_us = excluded.at_us, limits = excluded.limits
    WHERE limits <> excluded.limits OR at_us < excluded.at_us - 60000000"""


def insert(
    connection: sqlite3.Connection, records: Iterable[AuditRecord], *, keep_entries: bool
) -> None:
    """Write records, their sums and the limits their providers named.

    Args:
        keep_entries: Whether each request leaves an entry; the sums are kept in any case.
    """
    settled = [_settled(connection, record) for record in records]
    for record in settled:
        if keep_entries:
            _insert_entry(connection, record)
        if record.limits:
            limits = (record.provider, record.model, record.at_us, _json(dict(record.limits)))
            connection.execute(_RATE_LIMITS, limits)
    sums.add_records(connection, settled)


def delete_before(connection: sqlite3.Connection, at_us: int, limit: int) -> int:
    """Delete the oldest records that arrived before a time, at most `limit`; return how many.

    The sums stay.
    """
    old = "SELECT id FROM audit WHERE at_us < ? ORDER BY at_us LIMIT ?"
    ids = [(row[0],) for row in connection.execute(old, (at_us, limit))]
    connection.executemany("DELETE FROM audit WHERE id = ?", ids)
    connection.executemany("DELETE FROM bodies WHERE audit_id = ?", ids)
    return len(ids)


def _settled(connection: sqlite3.Connection, record: AuditRecord) -> AuditRecord:
    """Bring a record's conversation up to date; return the record with what it truly saved."""
    again = conversations.settle(connection, record)
    if not again or record.saved_pico is None:
        return record
    return replace(record, saved_pico=record.saved_pico - record.written_again_pico(again))


def _insert_entry(connection: sqlite3.Connection, record: AuditRecord) -> None:
    connection.execute(_INSERT, _row(record))
    if record.request_body is not None or record.response_body is not None:
        bodies = (redact_body(record.request_body), redact_body(record.response_body))
        connection.execute(_BODIES, bodies)


def _row(record: AuditRecord) -> tuple[object, ...]:
    usage = record.usage
    counts: tuple[int | None, ...] = (None,) * 5 if usage is None else _counts(usage)
    return (
        *(record.request_id, record.boot_id, record.seq, record.at_us, record.endpoint.value),
        *(record.provider, record.model, record.requested_model, record.status, record.success),
        *(record.partial, record.stream, record.overridden, record.latency_us, record.ttft_us),
        *counts,
        *(record.cost_pico, record.saved_pico, record.agent_type, record.agent_source),
        *(record.project_id, record.session_id, record.client, record.billing),
        *(record.error_message, record.upstream_request_id, _json(record.shape), record.user),
        *(record.route_reason, _json(record.adapted), record.skipped_reason),
        *(record.cache and record.cache.value, record.agent_id, record.chosen),
        _json([] if usage is None else usage.unusual),
    )


def _counts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_read_tokens,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
