"""What a request's head and body say about its sender, for the record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from gateway.agents.identity import NOBODY, Claims, claims
from gateway.errors import RequestError
from gateway.overrides.shape import header_name, name, read_betas
from gateway.providers.anthropic import OAUTH_PREFIX
from gateway.redact import redact
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

_LIMIT_HEADERS = frozenset(_RATE_LIMITS)

_MAX_DIGITS = 15  # a longer number is no limit of anything


class Sender(msgspec.Struct, frozen=True, gc=False):
    """Who sent a request.

    Attributes:
        session_id: The client's own; None when it sends none.
        agent_id: The client's own id of a sub-agent; None for the main thread.
        client: User agent; None when it sends none.
        project_id: None when it names none.
        billing: "subscription" when its credential is an OAuth token, else "metered".
        betas: Values of `anthropic-beta`, in order.
        claims: What its headers say of its agent.
    """

    session_id: str | None = None
    agent_id: str | None = None
    client: str | None = None
    project_id: str | None = None
    billing: str = "metered"
    betas: tuple[str, ...] = ()
    claims: Claims = NOBODY

    def of_project(self, project_id: str) -> Sender:
        """Return the sender of a request whose body names its project, which counts first."""
        return msgspec.structs.replace(self, project_id=name(project_id))


@per_head
def sender(head: Head) -> Sender:
    """Return who sent a request."""
    told = claims(head)
    credential = head.first.get(b"authorization", b"").decode("latin-1")
    return Sender(
        session_id=told.session_id,
        agent_id=told.agent_id,
        client=header_name(head, b"user-agent"),
        project_id=header_name(head, b"x-project-id"),
        billing=_paid_by(credential.partition(" ")[2].strip()),
        betas=read_betas(head),
        claims=told,
    )


def billing(request: Request, key: str | None) -> str:
    """Return "subscription" when an OAuth token pays, else "metered".

    Args:
        key: The gateway's own key; None when the client's credential is forwarded.
    """
    return sender(request.head).billing if key is None else _paid_by(key)


def rate_limits(answered: Mapping[bytes, bytes]) -> tuple[tuple[str, int], ...]:
    """Return what a provider says may be asked for in a minute, by name; empty when it does not.

    Args:
        answered: The headers of its answer.
    """
    if _LIMIT_HEADERS.isdisjoint(answered):
        return ()
    found = []
    for header, name_ in _RATE_LIMITS.items():
        value = answered.get(header, b"")
        if value.isdigit() and len(value) <= _MAX_DIGITS:
            found.append((name_, int(value)))
    return tuple(found)


def upstream_id(answered: Mapping[bytes, bytes]) -> str | None:
    """Return what a provider calls a request; None when it does not say.

    Args:
        answered: The headers of its answer.
    """
    value = answered.get(b"request-id") or answered.get(b"x-request-id")
    return None if value is None else redact(value.decode("latin-1"))


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


def own_key_refused(provider: str, status: int, body: bytes) -> RequestError:
    """Return what a client is told whose request a provider refused for the gateway's own key.

    A 503: nobody should be told to log in for a key that is not theirs.
    """
    text = f"provider {provider} refused the gateway's own key: {error_text(status, body)}"
    return RequestError(503, "api_error", text)


def _paid_by(key: str) -> str:
    return "subscription" if key.startswith(OAUTH_PREFIX) else "metered"
