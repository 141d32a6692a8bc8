"""Providers that speak the Anthropic Messages API: headers, and what Anthropic checks. Pure."""

from __future__ import annotations

from gateway.config.settings import ANTHROPIC_DOMAIN, ProviderSettings
from gateway.providers.dialect import Dialect, bearer_headers, versioned_target, with_key
from gateway.translate.unsigned import MARKED, MARKED_OR_EMPTY, Unsigned
from gateway.wire.formats import Wire
from gateway.wire.http import Header

OAUTH_BETA = b"oauth-2025-04-20"
OAUTH_PREFIX = "sk-ant-oat"
KEY_PREFIX = "sk-ant-"
VERSION: Header = (b"anthropic-version", b"2023-06-01")
"""Sent for clients that speak another wire format and therefore name none."""


def request_headers(
    headers: tuple[Header, ...], key: str | None, extra: tuple[Header, ...]
) -> tuple[Header, ...]:
    """Return the end-to-end headers of the upstream request, in the client's order.

    Args:
        headers: The client's, names in lower case.
        key: Sent instead of the client's credential; None forwards the client's own.
        extra: Configured for the provider; each replaces the client's of the same name.
    """
    if key is None:
        return with_key(headers, (), extra)
    if not key.startswith(OAUTH_PREFIX):
        return with_key(headers, ((b"x-api-key", key.encode()),), extra)
    return bearer_headers(_with_beta(headers), key, extra)


def unsigned_thinking(settings: ProviderSettings) -> Unsigned:
    """Return which thinking the provider does not take.

    Behind another address, too, may be Anthropic: what the gateway marked goes to none of them.
    """
    return MARKED_OR_EMPTY if settings.is_at(ANTHROPIC_DOMAIN) else MARKED


def _with_beta(headers: tuple[Header, ...]) -> tuple[Header, ...]:
    """Add the beta an OAuth token needs, to the client's list when there is one."""
    for index, (name, value) in enumerate(headers):
        if name == b"anthropic-beta":
            if OAUTH_BETA in (beta.strip() for beta in value.split(b",")):
                return headers
            merged = (name, value + b"," + OAUTH_BETA)
            return (*headers[:index], merged, *headers[index + 1 :])
    return (*headers, (b"anthropic-beta", OAUTH_BETA))


DIALECT = Dialect(
    request_headers=request_headers,
    target=versioned_target,
    wire=Wire.MESSAGES,
    apis={},
    needs_key=True,
    vendor="anthropic",
    key_vendor="anthropic",
    own_headers=(VERSION,),
)
