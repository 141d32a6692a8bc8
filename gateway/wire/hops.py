"""Which headers belong to one connection only and never travel further. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.wire.http import Header

# RFC 9110 §7.6.1, with the obsolete ones that are still seen.
HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

# A sender must not name these in Connection; obeying would let it remove what framing and the
# check of Host rest on.
_UNREMOVABLE = frozenset((b"host", b"content-length", b"content-type", b"content-encoding"))


OWN = b"x-gateway-"
"""How the gateway's own headers begin; nobody else's answer may have any."""


def end_to_end(headers: Iterable[Header], connection: Iterable[bytes]) -> tuple[Header, ...]:
    """Return the headers that travel on.

    Args:
        headers: Names in lower case.
        connection: Values of the message's `Connection` headers; what they name is dropped too.
    """
    headers = tuple(headers)
    if HOP_BY_HOP.isdisjoint(dict(headers)):
        return headers
    named = {
        token.strip(b" \t").lower() for value in connection for token in value.split(b",")
    } - _UNREMOVABLE
    dropped = HOP_BY_HOP | named if named else HOP_BY_HOP
    return tuple([header for header in headers if header[0] not in dropped])
