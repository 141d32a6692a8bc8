"""Link sub-agents to the tool call that started them. Pure: state driven by events and a clock.

A parent's answer names the sub-agent and holds its prompt; the child's first request begins with
that prompt. What is kept here is one worker's memory: it stands before the store that all workers
share, and holds the calls that the store did not take. Bounded and expiring.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from gateway.agents.spawns import Spawn

MAX_WAITING = 256
"""Unclaimed calls kept of one session; the oldest are forgotten."""

SPAWN_TTL_S = 3600.0
"""How long a call waits for its child."""

K = TypeVar("K")
V = TypeVar("V")


class Key(NamedTuple):
    """One sub-agent, as its client names it; the session is empty when the client names none."""

    session_id: str
    agent_id: str


class Name(NamedTuple):
    """What a sub-agent is called, and the signal that said so."""

    agent_type: str
    source: str


class AgentLinks:
    """Which sub-agents one worker expects, and what those that came to it are called.

    Args:
        ttl_s: How long a name is kept after its last use, seconds.
        max_sessions: Sessions whose unclaimed calls are kept; the oldest are forgotten.
        max_names: Names kept.
    """

    __slots__ = ("_names", "_spawns", "_unnamed")

    def __init__(
        self, *, ttl_s: float = 3600, max_sessions: int = 4096, max_names: int = 16384
    ) -> None:
        self._spawns: _Expiring[str, tuple[Spawn, ...]] = _Expiring(SPAWN_TTL_S, max_sessions)
        self._names: _Expiring[Key, Name] = _Expiring(ttl_s, max_names)
        self._unnamed: _Expiring[Key, bool] = _Expiring(ttl_s, max_names)

    def observe(self, session_id: str, spawns: Iterable[Spawn], now: float) -> None:
        """Expect the children a parent's answer started."""
        waiting = (*self._waiting(session_id, now), *spawns)
        self._spawns.put(session_id, waiting[-MAX_WAITING:], now)

    def expects(self, session_id: str, now: float) -> bool:
        """Return whether a call of this session waits for its child."""
        return bool(self._waiting(session_id, now))

    def claim(self, session_id: str, prompt: bytes, now: float) -> str | None:
        """Return the type the parent gave the child with this prompt, once; None when nobody did.

        Of two children with one prompt the first to come takes the first call.
        """
        waiting = self._waiting(session_id, now)
        found = next((spawn for spawn in waiting if spawn.prompt == prompt), None)
        if found is None:
            return None
        at = waiting.index(found)
        self._spawns.put(session_id, waiting[:at] + waiting[at + 1 :], now)
        return found.agent_type

    def name(self, key: Key, now: float) -> Name | None:
        """Return the name this agent was given before; None when it has none yet."""
        found = self._names.get(key, now)
        if found is not None:
            self._names.put(key, found, now)
        return found

    def remember(self, key: Key, name: Name, now: float) -> None:
        """Keep an agent's name for its later turns."""
        self._names.put(key, name, now)

    def unnamed(self, key: Key, now: float) -> bool:
        """Return whether it is known already that nobody has named this agent."""
        return self._unnamed.get(key, now) is not None

    def remember_unnamed(self, key: Key, now: float) -> None:
        """Keep that nobody has named this agent, so that nobody is asked again."""
        self._unnamed.put(key, True, now)

    def _waiting(self, session_id: str, now: float) -> tuple[Spawn, ...]:
        return self._spawns.get(session_id, now) or ()


class _Expiring(Generic[K, V]):
    """A bounded table in the order of last use; entries end after their time."""

    __slots__ = ("_entries", "_limit", "_ttl_s")

    def __init__(self, ttl_s: float, limit: int) -> None:
        self._ttl_s, self._limit = ttl_s, limit
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, now: float) -> V | None:
        found = self._entries.get(key)
        return None if found is None or now - found[0] > self._ttl_s else found[1]

    def put(self, key: K, value: V, now: float) -> None:
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)
