"""What a request's head says of how the message is read, and what of it is refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gateway.wire import hops
from gateway.wire.http import Header, all_values, first_values

_NAMES = (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect")
_ABSOLUTE = re.compile(rb"http://([^/?#]*)/?", re.IGNORECASE)


class Unacceptable(Exception):
    """A message that is answered by the framing itself."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def without_authority(target: bytes) -> tuple[bytes | None, bytes]:
    """Return the authority of a target in absolute form, else None, and its path with the query."""
    # RFC 9112 §3.2.2: servers must accept the absolute form. RFC 3986 §3.2: where authorities end.
    found = _ABSOLUTE.match(target)
    return (None, target) if found is None else (found[1], b"/" + target[found.end() :])


class Framing(NamedTuple):
    """The headers that decide how a message is read, all their values in order."""

    host: tuple[bytes, ...]
    length: tuple[bytes, ...]
    coding: tuple[bytes, ...]
    connection: tuple[bytes, ...]
    expect: tuple[bytes, ...]

    @classmethod
    def of(cls, headers: Sequence[Header]) -> Framing:
        """Read them from a message's headers, names in lower case."""
        first = first_values(headers)
        return cls(*[all_values(headers, first, name) for name in _NAMES])

    @property
    def body_bytes(self) -> int | None:
        """The length of the body; None when it is not told."""
        return int(self.length[0]) if self.length else None

    @property
    def is_plain(self) -> bool:
        """Whether a Content-Length says all of it."""
        kept = {value.lower() for value in self.connection} <= {b"keep-alive"}
        return len(self.length) == 1 and kept and not self.coding and not self.expect

    def check(self, *, http_1_0: bool) -> None:
        """Refuse what two parties could understand differently (RFC 9112 §6.3, §11.2).

        Raises Unacceptable.
        """
        if len(self.host) != 1 and not (http_1_0 and not self.host):
            raise Unacceptable(400, "exactly one Host header is needed")
        if self.coding:
            if self.length or http_1_0:
                text = "Transfer-Encoding with Content-Length or HTTP/1.0 is ambiguous"
                raise Unacceptable(400, text)
            if [value.lower() for value in self.coding] != [b"chunked"]:
                raise Unacceptable(501, "the only transfer coding understood is: chunked")
        if len(self.length) > 1:
            raise Unacceptable(400, "more than one Content-Length")

    def check_expectation(self) -> None:
        """Refuse an expectation nobody here meets. Raises Unacceptable."""
        if self.expect and [value.lower() for value in self.expect] != [b"100-continue"]:
            raise Unacceptable(417, "the only expectation understood is: 100-continue")

    def origin_form(self, target: bytes) -> bytes:
        """Return the path and query of a request's target. Raises Unacceptable."""
        authority, target = without_authority(target)
        if authority is not None and self.host and authority.lower() != self.host[0].lower():
            raise Unacceptable(400, "Host differs from the host in the URL")
        if target[:1] != b"/" or target.find(b"#") >= 0:
            text = "the request target must be a path with an optional query"
            raise Unacceptable(400, text)
        return target

    def end_to_end(self, headers: Sequence[Header]) -> tuple[Header, ...]:
        """Return the headers a request is told: not those of this connection, nor the length."""
        told = hops.end_to_end(headers, self.connection)
        return tuple([header for header in told if header[0] != b"content-length"])
