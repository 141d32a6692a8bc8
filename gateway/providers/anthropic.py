"""Headers for providers that speak the Anthropic Messages API. Pure."""

from __future__ import annotations

from gateway.wire.http import Header

OAUTH_BETA = b"oauth-2025-04-20"
OAUTH_PREFIX = "sk-ant-oat"

# `host`, framing and connection headers belong to one hop; `x-agent-type` is meant for the gateway.
_DROPPED = frozenset(
    b"host connection keep-alive proxy-connection proxy-authorization te trailer"
    b" transfer-encoding upgrade expect content-length accept-encoding x-agent-type".split()
)
_CREDENTIALS = frozenset({b"authorization", b"x-api-key"})


def request_headers(
    headers: tuple[Header, ...], key: str | None, extra: tuple[Header, ...]
) -> tuple[Header, ...]:
    """Return the end-to-end headers of the upstream request, in the client's order.

    Args:
        headers: The client's, names in lower case.
        key: Sent instead of the client's credential; None forwards the client's own.
        extra: Configured for the provider; each replaces the client's of the same name.
    """
    dropped = _DROPPED | {name for name, _ in extra}
    if key is not None:
        dropped |= _CREDENTIALS
    kept = [header for header in headers if header[0] not in dropped]
    if key is not None:
        kept = _with_key(kept, key)
    return (*kept, *extra, (b"accept-encoding", b"identity"))


def _with_key(headers: list[Header], key: str) -> list[Header]:
    if not key.startswith(OAUTH_PREFIX):
        return [*headers, (b"x-api-key", key.encode())]
    return [*_with_beta(headers), (b"authorization", b"Bearer " + key.encode())]


def _with_beta(headers: list[Header]) -> list[Header]:
    """Add the beta an OAuth token needs, to the client's list when there is one."""
    for index, (name, value) in enumerate(headers):
        if name == b"anthropic-beta":
            if OAUTH_BETA in (beta.strip() for beta in value.split(b",")):
                return headers
            merged = (name, value + b"," + OAUTH_BETA)
            return [*headers[:index], merged, *headers[index + 1 :]]
    return [*headers, (b"anthropic-beta", OAUTH_BETA)]
