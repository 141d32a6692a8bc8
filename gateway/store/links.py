"""Statements on sub-agents: calls that wait for their child, and what the children are called.

Every function runs inside the caller's transaction. A call is deleted by whoever claims it, in the
transaction that names the child: of two workers only one can.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apsw

from gateway.agents.links import MAX_WAITING, SPAWN_TTL_S, Key, Name
from gateway.agents.spawns import Spawn

SPAWNS_KEPT_US = round(SPAWN_TTL_S * 1_000_000)
"""How long a call waits for its child."""

NAMES_KEPT_US = 86_400_000_000
"""How long a name is kept. A worker that is asked meanwhile remembers it for longer."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What the store knows of a sub-agent.

    Attributes:
        name: None when it has none yet.
        expected: Whether a call of its session waits for a child; unknown, so false, with a name.
    """

    name: Name | None
    expected: bool


def expect(
    connection: apsw.Connection, session_id: str, spawns: Iterable[Spawn], at_us: int
) -> None:
    """Keep the calls of a parent's answer; the session's oldest ones go when there are too many."""
    connection.executemany(
        "INSERT INTO spawns (session_id, prompt, agent_type, at_us) VALUES (?, ?, ?, ?)",
        [(session_id, spawn.prompt, spawn.agent_type, at_us) for spawn in spawns],
    )
    connection.execute(
        "DELETE FROM spawns WHERE id IN (SELECT id FROM spawns WHERE session_id = ?"
        " ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (session_id, MAX_WAITING),
    )


def find(connection: apsw.Connection, key: Key, now_us: int) -> Linked:
    """Return what is known of a sub-agent."""
    name = _name(connection, key)
    if name is not None:
        return Linked(name, expected=False)
    expected = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM spawns WHERE session_id = ? AND at_us >= ?)",
        (key.session_id, now_us - SPAWNS_KEPT_US),
    ).get
    return Linked(None, expected=bool(expected))


def claim(
    connection: apsw.Connection, key: Key, prompt: bytes, source: str, now_us: int
) -> Name | None:
    """Take the oldest call with this prompt and give the child its name; None without a call.

    A child that has a name by now keeps it, and takes no call.

    Args:
        source: The signal that names a child its parent has started.
    """
    known = _name(connection, key)
    if known is not None:
        return known
    agent_type = connection.execute(
        "DELETE FROM spawns WHERE id = (SELECT min(id) FROM spawns"
        " WHERE session_id = ? AND prompt = ? AND at_us >= ?) RETURNING agent_type",
        (key.session_id, prompt, now_us - SPAWNS_KEPT_US),
    ).get
    if agent_type is None:
        return None
    found = Name(agent_type, source)
    remember(connection, key, found, now_us)
    return found


def remember(connection: apsw.Connection, key: Key, name: Name, now_us: int) -> None:
    """Keep a sub-agent's name; the first one stays."""
    connection.execute(
        "INSERT INTO agents (session_id, agent_id, agent_type, source, at_us)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*key, *name, now_us),
    )


def forget_spawns(connection: apsw.Connection, before_us: int, limit: int) -> int:
    """Delete calls made before a time, at most `limit`; return how many."""
    connection.execute(
        "DELETE FROM spawns WHERE id IN"
        " (SELECT id FROM spawns WHERE at_us < ? ORDER BY at_us LIMIT ?)",
        (before_us, limit),
    )
    return connection.changes()


def forget_names(connection: apsw.Connection, before_us: int, limit: int) -> int:
    """Delete names given before a time, at most `limit`; return how many."""
    connection.execute(
        "DELETE FROM agents WHERE (session_id, agent_id) IN"
        " (SELECT session_id, agent_id FROM agents WHERE at_us < ? ORDER BY at_us LIMIT ?)",
        (before_us, limit),
    )
    return connection.changes()


def _name(connection: apsw.Connection, key: Key) -> Name | None:
    row = connection.execute(
        "SELECT agent_type, source FROM agents WHERE session_id = ? AND agent_id = ?", key
    ).fetchone()
    return None if row is None else Name(*row)
