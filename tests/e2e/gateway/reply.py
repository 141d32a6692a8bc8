"""An answer's bytes read as a client reads them, whole or cut; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.gateway.scripted import Json, Pairs, header


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a client received it.

    Attributes:
        pairs: Its headers, names in lower case.
        whole: Whether the framing was not cut.
    """

    status: int
    pairs: Pairs
    body: bytes
    whole: bool

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        return dict(self.pairs)

    def header(self, name: bytes) -> bytes | None:
        return self.headers.get(name)

    @property
    def request_id(self) -> str:
        return self.headers[b"x-gateway-request-id"].decode()

    def json(self) -> Json:
        return json.loads(self.body)


def parse(raw: bytes) -> Reply:
    """Read an answer up to the end of its connection."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    pairs = tuple(header(line) for line in lines[1:])
    headers, whole = dict(pairs), True
    if headers.get(b"transfer-encoding") == b"chunked":
        rest, whole = _unchunk(rest)
    elif b"content-length" in headers:
        whole = len(rest) == int(headers[b"content-length"])
    return Reply(int(lines[0].split()[1]), pairs, rest, whole)


def _unchunk(data: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        size, found, data = data.partition(b"\r\n")
        if not found:
            return body, False
        length = int(size, 16)
        body += data[:length]
        if length == 0:
            return body, data == b"\r\n"
        data = data[length + 2 :]
