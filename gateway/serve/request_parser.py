"""Turn the bytes of one client connection into requests and refusals, within bounds. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import httptools

from gateway.wire.hops import end_to_end
from gateway.wire.http import Header, Request


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client connection may cost.

    Attributes:
        head_bytes: Request line and headers together, and so each single header too.
        target_bytes: Path and query.
        body_bytes: Decoded body.
        head_timeout_s: From the first byte of a head, or the start of a connection, to its end.
        body_idle_timeout_s: Longest pause between two pieces of a body.
        keep_alive_s: How long an idle connection is kept.
        write_stall_s: How long a client may take nothing of an answer before it is cut off.
    """

    head_bytes: int = 64 << 10
    target_bytes: int = 16 << 10
    body_bytes: int = 32 << 20
    head_timeout_s: float = 20.0
    body_idle_timeout_s: float = 60.0
    keep_alive_s: float = 75.0
    write_stall_s: float = 300.0


class Phase(Enum):
    """What of a message the parser is in."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DEAD = "dead"  # nothing more is read from this connection


@dataclass(frozen=True, slots=True)
class Inbound:
    """A complete request and what its framing asks of the answer's."""

    request: Request
    keep_alive: bool
    http_1_0: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is answered by the framing itself; the connection ends with it."""

    status: int
    message: str


class RequestParser:
    """One connection's requests, in order.

    `ready` holds what `feed` completed. After a refusal, or a request that ends its connection,
    the phase is DEAD and further bytes are ignored. Trailers and hop-by-hop headers never reach
    a request.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_completed",
        "_connection",
        "_fed",
        "_head_bytes",
        "_headers",
        "_http_1_0",
        "_limits",
        "_moved",
        "_now",
        "_parser",
        "_received",
        "_refusal",
        "_target",
        "expects_continue",
        "phase",
        "ready",
    )

    def __init__(self, limits: Limits) -> None:
        self.ready: deque[Inbound | Refusal] = deque()
        self.phase = Phase.IDLE
        self.expects_continue = False
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._refusal: Refusal | None = None
        self._now = self._received = 0.0
        self._fed = self._head_bytes = self._body_bytes = 0
        self._completed = self._moved = self._http_1_0 = False
        self._target = b""
        self._headers: list[Header] = []
        self._connection: list[bytes] = []
        self._body: list[bytes] = []

    def feed(self, data: bytes | memoryview, now: float) -> None:
        """Parse the next bytes, received at event-loop time `now` (seconds)."""
        if self.phase is Phase.DEAD:
            return
        self._now, self._completed, self._moved = now, False, False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.phase = Phase.DEAD  # the rest would be in a protocol that is not spoken here
        except httptools.HttpParserError:
            self._fail()
        else:
            self._bound(len(data))

    def refuse(self, status: int, message: str) -> None:
        """Give up on the message being received, e.g. because it is too slow."""
        self.phase = Phase.DEAD
        self._body.clear()
        self._headers.clear()
        self.ready.append(Refusal(status, message))

    # -- callbacks of httptools, in the order of a message

    def on_message_begin(self) -> None:  # noqa: D102 - named by httptools
        if self.phase is Phase.DEAD:
            raise _Stop
        self.phase, self._received = Phase.HEAD, self._now
        self._target, self._headers, self._body = b"", [], []
        self._fed = self._head_bytes = self._body_bytes = 0
        self.expects_continue = False

    def on_url(self, piece: bytes) -> None:  # noqa: D102 - named by httptools
        self._target += piece
        if len(self._target) > self._limits.target_bytes:
            self._stop(414, f"the URL is longer than {self._limits.target_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102 - named by httptools
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes + len(self._target) > self._limits.head_bytes:
            self._stop(431, f"the headers are larger than {self._limits.head_bytes} bytes")
        if self.phase is Phase.HEAD:  # after the body it is a trailer
            self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:  # noqa: D102 - named by httptools
        version = self._parser.get_http_version()
        self._http_1_0 = version == "1.0"
        if version not in ("1.1", "1.0"):
            self._stop(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        framing = _Framing.of(self._headers)
        self._check_framing(framing)
        self._target = self._origin_form(framing)
        self._connection = framing.connection
        self.expects_continue = bool(framing.expect) and not self._http_1_0
        self.phase, self._fed = Phase.BODY, 0

    def on_body(self, piece: bytes) -> None:  # noqa: D102 - named by httptools
        self._moved, self.expects_continue = True, False
        self._body_bytes += len(piece)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(413, self._too_large())
        self._body.append(piece)

    def on_message_complete(self) -> None:  # noqa: D102 - named by httptools
        parser, body = self._parser, self._body
        request = Request(
            parser.get_method(),
            self._target,
            end_to_end(self._headers, self._connection),
            body[0] if len(body) == 1 else b"".join(body),
            self._received,
        )
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self.ready.append(Inbound(request, keep_alive, self._http_1_0))
        self.phase = Phase.IDLE if keep_alive else Phase.DEAD
        self._body, self._headers, self.expects_continue = [], [], False
        self._completed = True

    # -- bounds and checks

    def _fail(self) -> None:
        if self.phase is Phase.DEAD:
            return  # bytes behind a request that ends its connection: that request stays good
        refusal = self._refusal or Refusal(400, "this is not a well-formed HTTP/1.1 request")
        self.refuse(refusal.status, refusal.message)

    def _stop(self, status: int, message: str) -> None:
        self._refusal = Refusal(status, message)
        raise _Stop

    def _bound(self, fed: int) -> None:
        """Bound what httptools keeps silently: an unfinished header, trailer, chunk extension."""
        if self.phase is Phase.HEAD and not self._completed:  # else part of it was a message before
            self._fed += fed
            if self._fed > self._limits.head_bytes:
                limit = self._limits.head_bytes
                self.refuse(431, f"the request line and headers are larger than {limit} bytes")
        elif self.phase is Phase.BODY:
            self._fed = 0 if self._moved else self._fed + fed
            if self._fed > self._limits.head_bytes:
                self.refuse(400, "the chunk extension or trailer of the body is too large")

    def _check_framing(self, framing: _Framing) -> None:
        """Refuse what two parties could understand differently (RFC 9112 §6.3, §11.2)."""
        if len(framing.host) != 1 and not (self._http_1_0 and not framing.host):
            self._stop(400, "exactly one Host header is needed")
        if framing.coding:
            if framing.length or self._http_1_0:
                self._stop(400, "Transfer-Encoding with Content-Length or HTTP/1.0 is ambiguous")
            if [value.lower() for value in framing.coding] != [b"chunked"]:
                self._stop(501, "the only transfer coding understood is: chunked")
        if len(framing.length) > 1:
            self._stop(400, "more than one Content-Length")
        if framing.length and int(framing.length[0]) > self._limits.body_bytes:
            self._stop(413, self._too_large())
        if self._parser.should_upgrade() and (framing.length or framing.coding):
            self._stop(501, "an Upgrade with a body is not supported")
        if self._parser.get_method() == b"CONNECT":
            self._stop(501, "this is not a forward proxy")
        if framing.expect and [value.lower() for value in framing.expect] != [b"100-continue"]:
            self._stop(417, "the only expectation understood is: 100-continue")

    def _origin_form(self, framing: _Framing) -> bytes:
        target = self._target
        if (
            target[:7].lower() == b"http://"
        ):  # RFC 9112 §3.2.2: servers must accept the absolute form
            authority, slash, rest = target[7:].partition(b"/")
            if framing.host and authority.lower() != framing.host[0].lower():
                self._stop(400, "Host differs from the host in the URL")
            target = slash + rest if slash else b"/"
        if target[:1] != b"/" or b"#" in target:
            self._stop(400, "the request target must be a path with an optional query")
        return target

    def _too_large(self) -> str:
        return f"the body is larger than {self._limits.body_bytes} bytes"


class _Stop(Exception):
    """Ends parsing from inside a callback."""


@dataclass(slots=True)
class _Framing:
    """The headers that decide how a message is read, all their values in order."""

    host: list[bytes]
    length: list[bytes]
    coding: list[bytes]
    connection: list[bytes]
    expect: list[bytes]

    @classmethod
    def of(cls, headers: list[Header]) -> _Framing:
        framing = cls([], [], [], [], [])
        for name, value in headers:
            if name == b"host":
                framing.host.append(value)
            elif name == b"content-length":
                framing.length.append(value)
            elif name == b"transfer-encoding":
                framing.coding.append(value)
            elif name == b"connection":
                framing.connection.append(value)
            elif name == b"expect":
                framing.expect.append(value)
        return framing
