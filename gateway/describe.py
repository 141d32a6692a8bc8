"""What a request's head and body say about its sender, for the record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from gateway.agents.identity import claims
from gateway.overrides.shape import header_name, name
from gateway.providers.anthropic import OAUTH_PREFIX
from gateway.redact import redact
from gateway.wire.body import Body
from gateway.wire.http import Head, Request, per_head

_RATE_LIMITS = {
    b"anthropic-ratelimit-requests-limit": "requests",
    b"anthropic-ratelimit-tokens-limit": "tokens",
    b"anthropic-ratelimit-input-tokens-limit": "input_tokens",
    b"anthropic-ratelimit-output-tokens-limit": "output_tokens",
    b"x-ratelimit-limit-requests": "requests",
    b"x-ratelimit-limit-tokens": "tokens",
}
"""What providers call their limits, a minute each."""

_MAX_DIGITS = 15  # a longer number is no limit of anything


class Sender(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request.

    Attributes:
        session_id: The client's own; None when it sends none.
        agent_id: The client's own id of a sub-agent; None for the main thread.
        client: User agent; None when it sends none.
        project_id: None when it names none.
    """

    session_id: str | None = None
    agent_id: str | None = None
    client: str | None = None
    project_id: str | None = None


def sender(request: Request, body: Body | None = None) -> Sender:
    """Return who sent a request. What a readable body says of its project counts first."""
    found = _sender(request.head)
    if body is None or body.project_id is None:
        return found
    return msgspec.structs.replace(found, project_id=name(body.project_id))


def billing(request: Request, key: str | None) -> str:
    """Return "subscription" when an OAuth token pays, else "metered".

    Args:
        key: The gateway's own key; None when the client's credential is forwarded.
    """
    return _billing(request.head) if key is None else _paid_by(key)


def rate_limits(answered: Mapping[bytes, bytes]) -> tuple[tuple[str, int], ...]:
    """Return what a provider says may be asked for in a minute, by name; empty when it does not.

    Args:
        answered: The headers of its answer.
    """
    if _RATE_LIMITS.keys().isdisjoint(answered.keys()):
        return ()
    found = []
    for header, name_ in _RATE_LIMITS.items():
        value = answered.get(header, b"")
        if value.isdigit() and len(value) <= _MAX_DIGITS:
            found.append((name_, int(value)))
    return tuple(found)


def header_text(text: str) -> bytes:
    """Return text as a header value; what a header cannot hold is percent-encoded."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return quote(text, safe=" !#$&'()*+,/:;=?@[]~").encode()


def error_text(status: int, body: bytes) -> str:
    """Return what an upstream's error answer says, for the record."""
    try:
        error = msgspec.json.decode(body)["error"]
        message = error if isinstance(error, str) else error["message"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        message = ""
    return redact(f"HTTP {status}: {message}" if message else f"HTTP {status}")


@per_head
def _sender(head: Head) -> Sender:
    told = claims(head)
    return Sender(
        session_id=told.session_id,
        agent_id=told.agent_id,
        client=header_name(head, b"user-agent"),
        project_id=header_name(head, b"x-project-id"),
    )


@per_head
def _billing(head: Head) -> str:
    credential = head.first.get(b"authorization", b"").decode("latin-1")
    return _paid_by(credential.partition(" ")[2].strip())


def _paid_by(key: str) -> str:
    return "subscription" if key.startswith(OAUTH_PREFIX) else "metered"
