"""Statements on conversations: the model each runs on, and what its prompt cache would hold.

A conversation is a session, or one sub-agent of it, and the model it asks for. It lives until it
has been idle for a while. Every function runs inside the caller's transaction.

What an override saves is not only a difference of prices. A provider caches prompts per model, so
the first turn after a change of model writes a prefix again that the requested model already had.
The row of a conversation therefore keeps the prefix that would be cached had no model changed.
"""

from __future__ import annotations

import apsw
import msgspec

from gateway.store.records import AuditRecord, Endpoint
from gateway.store.rows import Runner

KEPT_US = 7 * 86_400_000_000
"""How long a conversation is remembered after its last request."""

TTL_5M_US, TTL_1H_US = 300_000_000, 3_600_000_000


class ConversationKey(msgspec.Struct, frozen=True, gc=False):
    """One conversation.

    Attributes:
        agent_id: The sub-agent's; empty for a session's main thread.
        requested: The model the client asks for.
    """

    session_id: str
    agent_id: str
    requested: str


def key_of(record: AuditRecord) -> ConversationKey | None:
    """Return the conversation a record belongs to; None when its client names no session."""
    if record.session_id is None or not record.requested_model:
        return None
    return ConversationKey(record.session_id, record.agent_id or "", record.requested_model)


def bound_model(connection: apsw.Connection, key: ConversationKey, since_us: int) -> str | None:
    """Return the model a conversation runs on; None when it is new or was idle since then."""
    model = connection.execute(
        "SELECT model FROM conversations WHERE session_id = ? AND agent_id = ? AND requested = ?"
        " AND last_us >= ?",
        (key.session_id, key.agent_id, key.requested, since_us),
    ).get
    return None if model is None else str(model)


def begin(runner: Runner, key: ConversationKey, model: str, at_us: int) -> None:
    """Note that a conversation has begun, before its first answer is there.

    A stream may last for minutes; what is asked beside it must find the conversation.
    """
    runner.execute(
        "INSERT INTO conversations (session_id, agent_id, requested, model, first_us, last_us)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_us = max(last_us, ?)",
        (key.session_id, key.agent_id, key.requested, model, at_us, at_us, at_us),
    )


def settle(runner: Runner, record: AuditRecord) -> int:
    """Bring a record's conversation up to date; return the tokens written again.

    That is how many of the record's cache writes would have been reads had the conversation
    stayed with the model it asks for.
    """
    key = key_of(record)
    if key is None or record.chosen is None or record.endpoint is Endpoint.COUNT_TOKENS:
        return 0
    begin(runner, key, record.chosen, record.at_us)
    model, *prefix = runner.execute(
        "SELECT model, prefix_tokens, prefix_until_us, prefix_ttl_us, tools, messages"
        " FROM conversations"
        " WHERE session_id = ? AND agent_id = ? AND requested = ?",
        (key.session_id, key.agent_id, key.requested),
    ).get
    before = _Prefix(*prefix)
    after = before.followed(record)
    runner.execute(
        "UPDATE conversations SET model = ?, last_us = max(last_us, ?), prefix_tokens = ?,"
        " prefix_until_us = ?, prefix_ttl_us = ?, tools = ?, messages = ?"
        " WHERE session_id = ? AND agent_id = ? AND requested = ?",
        (
            *(record.chosen, record.at_us, after.tokens, after.until_us, after.ttl_us),
            *(after.tools, after.messages, key.session_id, key.agent_id, key.requested),
        ),
    )
    # A conversation that was on this model before finds there what it would find on its own.
    return 0 if model == record.chosen else before.written_again(record)


def forget(connection: apsw.Connection, before_us: int, limit: int) -> int:
    """Delete conversations without a request since then, at most `limit`; return how many."""
    connection.execute(
        "DELETE FROM conversations WHERE (session_id, agent_id, requested) IN (SELECT session_id,"
        " agent_id, requested FROM conversations WHERE last_us < ? ORDER BY last_us LIMIT ?)",
        (before_us, limit),
    )
    return connection.changes()


class _Prefix(msgspec.Struct, frozen=True, gc=False):
    """The prompt prefix that the requested model would have cached.

    Attributes:
        until_us: When the provider forgets it, microseconds since the epoch.
        ttl_us: How long each use keeps it.
        tools: Number of tools in the request that made it.
        messages: Number of messages there.
    """

    tokens: int
    until_us: int
    ttl_us: int
    tools: int | None
    messages: int | None

    def followed(self, record: AuditRecord) -> _Prefix:
        """Return what is cached after a record."""
        usage, at_us = record.usage, record.at_us
        cached = 0 if usage is None else usage.cache_write_tokens + usage.cache_read_tokens
        if usage is None or not cached:
            return self
        # A side request, for a title say, has a prefix of its own and takes nothing away.
        if not self._same(record) and cached < self.tokens and at_us < self.until_us:
            return self
        ttl_us = self.ttl_us or TTL_5M_US
        if usage.cache_write_tokens:
            ttl_us = TTL_1H_US if usage.cache_write_1h_tokens else TTL_5M_US
        shape = record.shape
        return _Prefix(cached, at_us + ttl_us, ttl_us, shape.tools, shape.messages)

    def written_again(self, record: AuditRecord) -> int:
        usage = record.usage
        if usage is None or not record.overridden or record.at_us >= self.until_us:
            return 0
        # Tools stand first in a prompt: with others nothing is shared. Fewer messages mean that
        # the conversation was compacted, and its prefix written anew under any model.
        if not self._same(record) or (record.shape.messages or 0) < (self.messages or 0):
            return 0
        written, read = usage.cache_write_tokens, usage.cache_read_tokens
        return max(0, min(self.tokens, written + read) - read)

    def _same(self, record: AuditRecord) -> bool:
        return self.tools == record.shape.tools
