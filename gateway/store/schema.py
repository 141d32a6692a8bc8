"""Tables of the ledger and the statements that fill them.

Money is whole picodollars (1e-12 USD), time whole microseconds. `totals` and `overrides` are sums
over all records ever written; statistics come from them, so deleting old records changes no figure.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from operator import add

import msgspec
from msgspec.structs import replace

from gateway.redact import redact_body
from gateway.store import conversations
from gateway.store.records import AuditRecord
from gateway.wire.usage import Usage

VERSION = 3
"""Kept in SQLite's `user_version`."""

_SUMS = (
    "calls",
    "successes",
    "streams",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "cost_pico",
    "unpriced",
    "latency_us",
)
_GROUP = "endpoint, provider, model, agent_type"

TABLES = (
    """CREATE TABLE audit (
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
    "CREATE INDEX audit_overridden ON audit (id) WHERE overridden",
    """CREATE TABLE totals (
        day TEXT NOT NULL, endpoint TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
        agent_type TEXT NOT NULL, calls INTEGER NOT NULL, successes INTEGER NOT NULL,
        streams INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL,
        cost_pico INTEGER NOT NULL, unpriced INTEGER NOT NULL, latency_us INTEGER NOT NULL,
        PRIMARY KEY (day, endpoint, provider, model, agent_type)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE overrides (
        source TEXT NOT NULL, target TEXT NOT NULL, count INTEGER NOT NULL,
        priced INTEGER NOT NULL, saved_pico INTEGER NOT NULL, PRIMARY KEY (source, target)
    ) STRICT, WITHOUT ROWID""",
)

MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE audit ADD COLUMN user TEXT",
        "ALTER TABLE audit ADD COLUMN route_reason TEXT",
        "ALTER TABLE audit ADD COLUMN adapted TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE audit ADD COLUMN skipped_reason TEXT",
        "ALTER TABLE audit ADD COLUMN cache TEXT",
        # Filters and retention go by time; the order of ids is that of the ends.
        "CREATE INDEX audit_time ON audit (at_us)",
        """CREATE TABLE bodies (
            audit_id INTEGER PRIMARY KEY, request TEXT, response TEXT
        ) STRICT""",
        f"""CREATE TABLE baseline (
            at_us INTEGER NOT NULL, endpoint TEXT NOT NULL, provider TEXT NOT NULL,
            model TEXT NOT NULL, agent_type TEXT NOT NULL,
            {", ".join(f"{name} INTEGER NOT NULL" for name in _SUMS)},
            PRIMARY KEY (endpoint, provider, model, agent_type)
        ) STRICT, WITHOUT ROWID""",
        f"""CREATE VIEW since_baseline AS SELECT {_GROUP}, {", ".join(_SUMS)} FROM totals
            UNION ALL SELECT {_GROUP}, {", ".join(f"-{name}" for name in _SUMS)} FROM baseline""",  # noqa: S608  # fixed names
        "CREATE TABLE spilled (file TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    ),
    2: (
        "ALTER TABLE audit ADD COLUMN agent_id TEXT",
        "ALTER TABLE audit ADD COLUMN chosen TEXT",
        "ALTER TABLE audit ADD COLUMN terms TEXT NOT NULL DEFAULT '[]'",
        # One row for what runs on a model of its own: a session, or a sub-agent of one.
        """CREATE TABLE conversations (
            session_id TEXT NOT NULL, agent_id TEXT NOT NULL, requested TEXT NOT NULL,
            model TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
            prefix_tokens INTEGER NOT NULL DEFAULT 0, prefix_until_us INTEGER NOT NULL DEFAULT 0,
            prefix_ttl_us INTEGER NOT NULL DEFAULT 0, tools INTEGER, messages INTEGER,
            PRIMARY KEY (session_id, agent_id, requested)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX conversations_last ON conversations (last_us)",
        # Calls of the agent tool that wait for their child, and what the children are called.
        """CREATE TABLE spawns (
            id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, prompt BLOB NOT NULL,
            agent_type TEXT NOT NULL, at_us INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX spawns_prompt ON spawns (session_id, prompt)",
        "CREATE INDEX spawns_time ON spawns (at_us)",
        """CREATE TABLE agents (
            session_id TEXT NOT NULL, agent_id TEXT NOT NULL, agent_type TEXT NOT NULL,
            source TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (session_id, agent_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX agents_time ON agents (at_us)",
        # What the provider last said a model may be asked for.
        """CREATE TABLE rate_limits (
            provider TEXT NOT NULL, model TEXT NOT NULL, at_us INTEGER NOT NULL,
            limits TEXT NOT NULL, PRIMARY KEY (provider, model)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE projects (
            project_id TEXT PRIMARY KEY, calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL, cost_pico INTEGER NOT NULL, last_us INTEGER NOT NULL,
            baseline_pico INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID""",
    ),
}
"""What turns a file of the version named into one of the next; a new file goes through all."""

_NO_USAGE = Usage()
_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
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
_RATE_LIMITS = """INSERT INTO rate_limits VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET at_us = excluded.at_us, limits = excluded.limits
    WHERE limits <> excluded.limits OR at_us < excluded.at_us - 60000000"""


def insert(connection: sqlite3.Connection, record: AuditRecord, *, keep_entry: bool) -> None:
    """Write a record and its sums, inside the caller's transaction."""
    insert_all(connection, (record,), keep_entries=keep_entry)


def insert_all(
    connection: sqlite3.Connection, records: Iterable[AuditRecord], *, keep_entries: bool
) -> None:
    """Write records and their sums, inside the caller's transaction: each sum is changed once."""
    totals, overrides = _Sums(), _Sums()
    for unsettled in records:
        record = _settled(connection, unsettled)
        if keep_entries:
            _insert_entry(connection, record)
        totals.add(_group(record), _counts_of(record))
        if record.overridden and record.counted:
            saved = record.saved_pico
            pair = (record.requested_model, record.model)
            overrides.add(pair, (1, saved is not None, saved or 0))
        if record.project_id is not None:
            connection.execute(_PROJECTS, _project(record, record.usage or _NO_USAGE))
        if record.limits:
            limits = (record.provider, record.model, record.at_us, _json(dict(record.limits)))
            connection.execute(_RATE_LIMITS, limits)
    connection.executemany(_TOTALS, totals.rows())
    connection.executemany(_OVERRIDES, overrides.rows())


def prepare(connection: sqlite3.Connection) -> None:
    """Bring a file to this version, inside the caller's transaction; a newer one stays as it is."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    statements: tuple[str, ...] = TABLES if version == 0 else ()
    for step in range(max(1, version), VERSION):
        statements += MIGRATIONS[step]
    for statement in statements:
        connection.execute(statement)
    if statements:
        connection.execute(f"PRAGMA user_version = {VERSION}")


def set_baseline(connection: sqlite3.Connection, at_us: int) -> None:
    """Let the metrics count from now, inside the caller's transaction; no sum is changed."""
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    connection.execute("DELETE FROM baseline")
    connection.execute(
        f"INSERT INTO baseline SELECT ?, {_GROUP}, {sums} FROM totals GROUP BY {_GROUP}",  # noqa: S608  # fixed names
        (at_us,),
    )
    connection.execute("UPDATE projects SET baseline_pico = cost_pico")


def delete_before(connection: sqlite3.Connection, at_us: int, limit: int) -> int:
    """Delete the oldest records that arrived before a time, at most `limit`; return how many.

    Inside the caller's transaction. The sums stay.
    """
    old = "SELECT id FROM audit WHERE at_us < ? ORDER BY at_us LIMIT ?"
    ids = [(row[0],) for row in connection.execute(old, (at_us, limit))]
    connection.executemany("DELETE FROM audit WHERE id = ?", ids)
    connection.executemany("DELETE FROM bodies WHERE audit_id = ?", ids)
    return len(ids)


class _Sums:
    """Numbers added up by group."""

    def __init__(self) -> None:
        self._found: dict[tuple[str | None, ...], tuple[int, ...]] = {}

    def add(self, group: tuple[str | None, ...], numbers: tuple[int, ...]) -> None:
        before = self._found.get(group)
        self._found[group] = numbers if before is None else tuple(map(add, before, numbers))

    def rows(self) -> Iterator[tuple[object, ...]]:
        return ((*group, *numbers) for group, numbers in self._found.items())


def _settled(connection: sqlite3.Connection, record: AuditRecord) -> AuditRecord:
    """Bring a record's conversation up to date; return the record with what it truly saved."""
    again = conversations.settle(connection, record)
    if not again or record.saved_pico is None:
        return record
    return replace(record, saved_pico=record.saved_pico - record.written_again_pico(again))


def _insert_entry(connection: sqlite3.Connection, record: AuditRecord) -> None:
    connection.execute(_INSERT, _row(record, record.usage))
    if record.request_body is not None or record.response_body is not None:
        bodies = (redact_body(record.request_body), redact_body(record.response_body))
        connection.execute(_BODIES, bodies)


def _row(record: AuditRecord, usage: Usage | None) -> tuple[object, ...]:
    tokens = (None,) * 5
    counts: tuple[int | None, ...] = tokens if usage is None else _counts(usage)
    return (
        *(record.request_id, record.boot_id, record.seq, record.at_us, record.endpoint.value),
        *(record.provider, record.model, record.requested_model, record.status, record.success),
        *(record.partial, record.stream, record.overridden, record.latency_us, record.ttft_us),
        *counts,
        *(record.cost_pico, record.saved_pico, record.agent_type, record.agent_source),
        *(record.project_id, record.session_id, record.client, record.billing),
        *(record.error_message, record.upstream_request_id, _json(record.shape), record.user),
        *(
            *(record.route_reason, _json(record.adapted), record.skipped_reason),
            *(record.cache and record.cache.value, record.agent_id, record.chosen),
            _json([] if usage is None else usage.unusual),
        ),
    )


def _counts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.cache_read_tokens,
    )


def _group(record: AuditRecord) -> tuple[str, ...]:
    """Return the row of `totals` that a record belongs to."""
    day, agent_type = _date(record.at_us // _DAY_US), record.agent_type or ""
    return (day, record.endpoint.value, record.provider, record.model or "", agent_type)


def _counts_of(record: AuditRecord) -> tuple[int, ...]:
    """Return what a record adds to its row of `totals`."""
    usage = record.usage or _NO_USAGE
    unpriced = record.usage is not None and record.cost_pico is None
    return (
        *(1, record.success, record.stream, usage.input_tokens, usage.output_tokens),
        usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        *(usage.cache_read_tokens, record.cost_pico or 0, unpriced, record.latency_us),
    )


@lru_cache(16)
def _date(day: int) -> str:
    """Return the date of a day, counted from the epoch."""
    return date.fromordinal(_EPOCH + day).isoformat()


def _project(record: AuditRecord, usage: Usage) -> tuple[object, ...]:
    tokens = (usage.input_tokens, usage.output_tokens)
    return (record.project_id, *tokens, record.cost_pico or 0, record.at_us)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
