"""What a request's head and body say about its sender, for the record. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from gateway.providers.anthropic import OAUTH_PREFIX
from gateway.redact import redact
from gateway.store.records import Shape
from gateway.wire.body import Body
from gateway.wire.http import Request

MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request.

    Attributes:
        session_id: The client's own; None when it sends none.
        client: User agent; None when it sends none.
    """

    session_id: str | None = None
    client: str | None = None


def sender(request: Request) -> Sender:
    """Return who sent a request, by its headers."""
    return Sender(
        session_id=_text(request, b"x-claude-code-session-id"),
        client=_text(request, b"user-agent"),
    )


def billing(request: Request, key: str | None) -> str:
    """Return "subscription" when an OAuth token pays, else "metered".

    Args:
        key: The gateway's own key; None when the client's credential is forwarded.
    """
    if key is None:
        credential = (request.header(b"authorization") or b"").decode("latin-1")
        key = credential.partition(" ")[2].strip()
    return "subscription" if key.startswith(OAUTH_PREFIX) else "metered"


def shape(request: Request, body: Body) -> Shape:
    """Return what a request asked for; a field of an unexpected type counts as not said."""
    betas = (request.header(b"anthropic-beta") or b"").decode("latin-1").split(",")
    return Shape(
        effort=_member(body.value("output_config"), "effort"),
        thinking=_member(body.value("thinking"), "type"),
        betas=tuple(_name(beta.strip()) for beta in betas if beta.strip()),
        max_tokens=_whole(body.value("max_tokens")),
        tools=body.count("tools"),
        messages=body.count("messages"),
    )


def header_text(text: str) -> bytes:
    """Return text as a header value; what a header cannot hold is percent-encoded."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return quote(text, safe=" !#$&'()*+,/:;=?@[]~").encode()


def error_text(status: int, body: bytes) -> str:
    """Return what an upstream's error answer says, for the record."""
    try:
        message = msgspec.json.decode(body)["error"]["message"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        message = ""
    return redact(f"HTTP {status}: {message}" if message else f"HTTP {status}")


def _text(request: Request, name: bytes) -> str | None:
    value = request.header(name)
    return _name(value.decode("latin-1")) if value else None


def _name(text: str) -> str:
    return redact(text)[:MAX_NAME_CHARS]


def _member(value: object, name: str) -> str | None:
    found = value.get(name) if isinstance(value, dict) else None
    return _name(found) if isinstance(found, str) else None


def _whole(value: object) -> int | None:
    usable = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    return value if isinstance(value, int) and usable else None
