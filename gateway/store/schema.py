"""Tables of the ledger, and how a file of an older version becomes one of this.

Money is whole picodollars (1e-12 USD), time whole microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import apsw

VERSION = 3
"""Kept in SQLite's `user_version`."""

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
        """CREATE TABLE baseline (
            at_us INTEGER NOT NULL, endpoint TEXT NOT NULL, provider TEXT NOT NULL,
            model TEXT NOT NULL, agent_type TEXT NOT NULL, calls INTEGER NOT NULL,
            successes INTEGER NOT NULL, streams INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
            cache_read_tokens INTEGER NOT NULL, cost_pico INTEGER NOT NULL,
            unpriced INTEGER NOT NULL, latency_us INTEGER NOT NULL,
            PRIMARY KEY (endpoint, provider, model, agent_type)
        ) STRICT, WITHOUT ROWID""",
        """CREATE VIEW since_baseline AS SELECT endpoint, provider, model, agent_type, calls,
            successes, streams, input_tokens, output_tokens, cache_write_tokens,
            cache_read_tokens, cost_pico, unpriced, latency_us FROM totals
            UNION ALL SELECT endpoint, provider, model, agent_type, -calls,
            -successes, -streams, -input_tokens, -output_tokens, -cache_write_tokens,
            -cache_read_tokens, -cost_pico, -unpriced, -latency_us FROM baseline""",
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


def prepare(connection: apsw.Connection) -> None:
    """Bring a file to this version, inside the caller's transaction; a newer one stays as it is."""
    version = connection.execute("PRAGMA user_version").get
    statements: tuple[str, ...] = TABLES if version == 0 else ()
    for step in range(max(1, version), VERSION):
        statements += MIGRATIONS[step]
    for statement in statements:
        connection.execute(statement)
    if statements:
        connection.execute(f"PRAGMA user_version = {VERSION}")
