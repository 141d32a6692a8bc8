"""What is said about a choice, to the client and in the log; the same for many requests. Pure."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from gateway.describe import header_text
from gateway.redact import redact
from gateway.wire.http import Header

_REMEMBERED, _MAX_CHARS = 1024, 200  # so many choices, none that a client gave a longer name


class Told(msgspec.Struct, frozen=True):
    """What is said about a choice.

    Attributes:
        headers: Who is asked, and for which model.
        route: A line for the log.
        override: One more; empty for a request that keeps its model.
    """

    headers: tuple[Header, ...] = ()
    route: str = ""
    override: str = ""


class Choice(msgspec.Struct, frozen=True):
    """Who is asked for what, and why.

    Attributes:
        model: The provider's own name of the model.
        chosen: The model before the provider's alias.
        requested: The client's model.
    """

    agent: str
    provider: str
    reason: str
    model: str
    chosen: str
    requested: str


def tell(choice: Choice) -> Told:
    """Return what is said about a choice."""
    return _tell(choice) if len(choice.requested) <= _MAX_CHARS else _told(choice)


def line(text: str) -> str:
    """Return a name for a log line, on one line whatever it holds."""
    return text if text.isprintable() else redact(text)


def _told(choice: Choice) -> Told:
    agent, reason = line(choice.agent), line(choice.reason)
    headers = [
        (b"x-gateway-provider", header_text(choice.provider)),
        (b"x-gateway-model", header_text(choice.model)),
    ]
    override = ""
    if choice.chosen != choice.requested:
        change = header_text(f"{choice.requested}=>{choice.chosen}")
        headers.append((b"x-gateway-override", change))
        override = f"Model override: {line(choice.requested)} → {line(choice.chosen)}"
    return Told(
        tuple(headers),
        f"Routing request: agent_type={agent}, provider={choice.provider}, reason={reason}",
        override,
    )


_tell = lru_cache(_REMEMBERED)(_told)
