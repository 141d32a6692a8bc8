"""Read recorded requests back as what decided about them; each query is one read transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import apsw
import msgspec

from gateway.overrides.shape import Shape, read_stored
from gateway.store.conversations import TTL_1H_US, ConversationKey
from gateway.store.records import Endpoint
from gateway.store.rows import Row, rows
from gateway.wire.usage import STANDARD, Terms, Usage

Limits = dict[tuple[str, str], dict[str, int]]
"""What a provider last said a model may be asked for in a minute, by provider and model."""

_limits = msgspec.json.Decoder(dict[str, int]).decode
_words = msgspec.json.Decoder(tuple[str, ...]).decode

_UNCOUNTED = frozenset({"web_search", "steps"})
"""Words of a record's terms that say what an answer was charged for, but not how often."""

_KINDS: Mapping[str, str] = {
    "batch": "tier",
    "flex": "tier",
    "priority": "tier",
    "fast": "speed",
}
"""What the other words are. One that is not here is read as a region: if it is none, no price is
known for it, and nothing is guessed."""

# `first_us` says whether a conversation had begun before the window that is looked at.
_PAGE = """SELECT audit.*, conversations.first_us, conversations.prefix_ttl_us
    FROM audit LEFT JOIN conversations
    ON conversations.session_id = audit.session_id
    AND conversations.agent_id = ifnull(audit.agent_id, '')
    AND conversations.requested = audit.requested_model
    WHERE audit.at_us >= ? AND audit.at_us <= ? AND (audit.at_us, audit.id) > (?, ?)
    ORDER BY audit.at_us, audit.id LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request of the past.

    Attributes:
        place: Where it stands among the others; what a page begins after.
        requested: None when the request was refused before its model was known.
        chosen: The model the rules of that time chose; None when none was.
        began_us: When its conversation began; None when it belongs to none, or is forgotten.
        cost_pico: What it cost; None when unknown.
        whole: Whether its usage is all that decided its price: searches and steps are not kept.
        hour: Whether its prompt is cached for an hour after each use, and not for five minutes.
    """

    place: tuple[int, int]
    request_id: str
    at_us: int
    endpoint: Endpoint
    provider: str
    model: str | None
    requested: str | None
    chosen: str | None
    agent_type: str | None
    agent_source: str | None
    session_id: str | None
    agent_id: str | None
    project_id: str | None
    subscription: bool
    shape: Shape
    usage: Usage | None
    cost_pico: int | None
    began_us: int | None
    whole: bool = True
    hour: bool = False

    @property
    def conversation(self) -> ConversationKey | None:
        """What it belongs to; None when its client named no session."""
        if self.session_id is None or self.requested is None:
            return None
        return ConversationKey(self.session_id, self.agent_id or "", self.requested)


@dataclass(frozen=True, slots=True)
class Window:
    """Which requests to look at, both ends included; microseconds since the epoch."""

    start_us: int
    end_us: int


def page(
    connection: apsw.Connection, window: Window, after: tuple[int, int], limit: int
) -> list[Recorded]:
    """Return the requests of a window that come after a place, in the order of their arrival."""
    values = (window.start_us, window.end_us, *after, limit)
    return [_recorded(row) for row in rows(connection, _PAGE, values)]


def latest_start(connection: apsw.Connection, window: Window, limit: int) -> int:
    """Return when the last so many requests of a window began; its own start when it has fewer."""
    at_us = connection.execute(
        "SELECT at_us FROM audit WHERE at_us >= ? AND at_us <= ? ORDER BY at_us DESC"
        " LIMIT 1 OFFSET ?",
        (window.start_us, window.end_us, limit - 1),
    ).get
    return window.start_us if at_us is None else int(at_us)


def rate_limits(connection: apsw.Connection) -> Limits:
    """Return every limit that a provider has named."""
    found = rows(connection, "SELECT provider, model, limits FROM rate_limits")
    return {(one["provider"], one["model"]): _limits(one["limits"]) for one in found}


def _recorded(row: Row) -> Recorded:
    terms, whole = (STANDARD, True) if row["terms"] == "[]" else _terms(row["terms"])
    usage = _usage(row, terms)
    return Recorded(
        place=(row["at_us"], row["id"]),
        request_id=row["request_id"],
        at_us=row["at_us"],
        endpoint=Endpoint(row["endpoint"]),
        provider=row["provider"],
        model=row["model"],
        requested=row["requested_model"],
        chosen=row["chosen"],
        agent_type=row["agent_type"],
        agent_source=row["agent_source"],
        session_id=row["session_id"],
        agent_id=row["agent_id"],
        project_id=row["project_id"],
        subscription=row["billing"] == "subscription",
        shape=read_stored(row["shape"]),
        usage=usage,
        cost_pico=row["cost_pico"],
        began_us=row["first_us"],
        whole=whole,
        hour=usage is not None and _hour(usage, row["prefix_ttl_us"]),
    )


def _terms(words: str) -> tuple[Terms, bool]:
    """Return on what terms an answer was made, and whether they are all that is to be known."""
    said = _words(words)
    found = {_KINDS.get(word, "geo"): word for word in said if word not in _UNCOUNTED}
    return Terms(**found), len(found) == len(said)


def _usage(row: Row, terms: Terms) -> Usage | None:
    if row["input_tokens"] is None:
        return None
    return Usage(
        row["input_tokens"],
        row["output_tokens"],
        row["cache_write_5m_tokens"],
        row["cache_write_1h_tokens"],
        row["cache_read_tokens"],
        terms=terms,
    )


def _hour(usage: Usage, ttl_us: int | None) -> bool:
    """Return whether a prompt is cached for an hour.

    What lives for an hour stands first in a prompt: all that precedes such a write does, too. Of a
    turn that only reads, its conversation says it.

    Args:
        ttl_us: How long the conversation's prefix is kept, microseconds; None without any.
    """
    if usage.cache_write_tokens:
        return usage.cache_write_1h_tokens > 0
    return ttl_us == TTL_1H_US
