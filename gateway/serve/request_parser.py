"""Turn the bytes of one client connection into requests and refusals, within bounds. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import NamedTuple

import httptools
import msgspec

from gateway.wire.hops import end_to_end
from gateway.wire.http import UNBOUNDED, Head, Header, Memory, Request, all_values, first_values

_LARGE_BYTES = 1 << 20  # up to here pieces are kept as they came


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client connection may cost.

    Attributes:
        head_bytes: Request line and headers together, and so each single header too.
        target_bytes: Path and query.
        body_bytes: Decoded body.
        head_timeout_s: From the first byte of a head, or the start of a connection, to its end.
        body_idle_timeout_s: Longest pause between two pieces of a body.
        body_bytes_per_s: How fast a body arrives at least, on average since its head, counted
            from `body_idle_timeout_s` on.
        buffered_bytes: What bodies and buffered answers of all connections may take.
        memory_wait_s: Longest wait for a part of them.
        keep_alive_s: How long an idle connection is kept.
        write_stall_s: How long a client may take nothing of an answer before it is cut off.
        sweep_s: How often these times are looked at.
    """

    head_bytes: int = 64 << 10
    target_bytes: int = 16 << 10
    body_bytes: int = 32 << 20
    head_timeout_s: float = 20.0
    body_idle_timeout_s: float = 60.0
    body_bytes_per_s: float = 8192.0
    buffered_bytes: int = 256 << 20
    memory_wait_s: float = 30.0
    keep_alive_s: float = 75.0
    write_stall_s: float = 300.0
    sweep_s: float = 1.0


class Phase(Enum):
    """What of a message the parser is in."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DEAD = "dead"  # nothing more is read from this connection


# Python 3.11 looks up an enum's member by way of its metaclass, and these are needed per header.
_IDLE, _HEAD, _BODY, _DEAD = Phase


class Inbound(msgspec.Struct, frozen=True):
    """A complete request and what its framing asks of the answer's."""

    request: Request
    keep_alive: bool
    http_1_0: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is answered by the framing itself; the connection ends with it.

    Attributes:
        target: As far as it was received; empty when none was.
        retry_after_s: When to try again; None when that would be of no use.
    """

    status: int
    message: str
    target: bytes = b""
    retry_after_s: int | None = None


class RequestParser:
    """One connection's requests, in order.

    `ready` holds what `feed` completed. After a refusal, or a request that ends its connection,
    the phase is DEAD and further bytes are ignored. Trailers and hop-by-hop headers never reach
    a request.
    """

    __slots__ = (
        "_body_bytes",
        "_completed",
        "_fed",
        "_headers",
        "_http_1_0",
        "_large",
        "_length",
        "_limits",
        "_memory",
        "_moved",
        "_now",
        "_parser",
        "_pieces",
        "_received",
        "_target",
        "_trailer_bytes",
        "_travelling",
        "_why",
        "expects_continue",
        "phase",
        "ready",
    )

    def __init__(self, limits: Limits, memory: Memory = UNBOUNDED) -> None:
        self.ready: deque[Inbound | Refusal] = deque()
        self.phase = _IDLE
        self.expects_continue = False
        self._limits, self._memory = limits, memory
        self._parser = httptools.HttpRequestParser(self)
        self._why: tuple[int, str] | None = None
        self._now = self._received = 0.0
        self._fed = self._trailer_bytes = self._body_bytes = 0
        self._completed = self._moved = self._http_1_0 = False
        self._target = b""
        self._headers: list[Header] = []
        self._travelling: tuple[Header, ...] = ()  # those of them that a request is told
        self._pieces: list[bytes] = []
        self._large = bytearray()
        self._length: int | None = None

    @property
    def body_bytes(self) -> int:
        """How much of the body under way has arrived; 0 between bodies."""
        return self._body_bytes if self.phase is _BODY else 0

    @property
    def body_room(self) -> int:
        """What the body under way takes: all of it, else what has arrived; 0 between bodies."""
        if self.phase is not _BODY:
            return 0
        return self._body_bytes if self._length is None else self._length

    def feed(self, data: bytes | memoryview, now: float) -> None:
        """Parse the next bytes, received at event-loop time `now` (seconds)."""
        if self.phase is _DEAD:
            return
        self._now, self._completed, self._moved = now, False, False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.phase = _DEAD  # the rest would be in a protocol that is not spoken here
        except httptools.HttpParserError:
            self._fail()
        else:
            self._bound(len(data))

    def refuse(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        """Give up on the message being received, e.g. because it is too slow."""
        self.phase = _DEAD
        self._pieces, self._large = [], bytearray()
        self._headers.clear()
        self.ready.append(Refusal(status, message, self._target, retry_after_s))

    # -- callbacks of httptools, in the order of a message

    def on_message_begin(self) -> None:  # noqa: D102 - named by httptools
        if self.phase is _DEAD:
            raise _Stop
        self.phase, self._received = _HEAD, self._now
        self._target, self._headers, self._length = b"", [], None
        self._fed = self._trailer_bytes = self._body_bytes = 0
        self.expects_continue = False

    def on_url(self, piece: bytes) -> None:  # noqa: D102 - named by httptools
        self._target += piece
        if len(self._target) > self._limits.target_bytes:
            self._stop(414, f"the URL is longer than {self._limits.target_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102 - named by httptools
        if self.phase is _HEAD:
            self._headers.append((name.lower(), value.strip(b" \t")))
        else:
            self._trailer_bytes += len(name) + len(value) + 4
            self._bound_head(self._trailer_bytes)

    def on_headers_complete(self) -> None:  # noqa: D102 - named by httptools
        version = self._parser.get_http_version()
        self._http_1_0 = version == "1.0"
        if version not in ("1.1", "1.0"):
            self._stop(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        headers, first = self._headers, first_values(self._headers)
        self._bound_head(sum(map(len, chain.from_iterable(headers))) + 4 * len(headers))
        framing = _Framing(*[all_values(headers, first, name) for name in _FRAMING])
        self._check_framing(framing)
        self._target = self._origin_form(framing)
        self._travelling = end_to_end(headers, framing.connection)
        self._length = int(framing.length[0]) if framing.length else None
        self.expects_continue = bool(framing.expect) and not self._http_1_0
        self.phase, self._fed = _BODY, 0

    def on_body(self, piece: bytes) -> None:  # noqa: D102 - named by httptools
        self._moved, self.expects_continue = True, False
        self._body_bytes += len(piece)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(413, self._too_large())
        self._pieces.append(piece)
        if self._body_bytes - len(self._large) > _LARGE_BYTES:
            # Thousands of small pieces would leave a heap behind that cannot be given back.
            self._large += b"".join(self._pieces)
            self._pieces.clear()

    def on_message_complete(self) -> None:  # noqa: D102 - named by httptools
        parser = self._parser
        head = Head(parser.get_method(), self._target, self._travelling)
        request = Request(head, self._body(), self._received, self._memory)
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        self.ready.append(Inbound(request, keep_alive, self._http_1_0))
        self.phase = _IDLE if keep_alive else _DEAD
        self._target, self._headers, self.expects_continue = b"", [], False
        self._completed = True

    def _body(self) -> bytes:
        """Return the body that has arrived, and forget it."""
        pieces, self._pieces = self._pieces, []
        if not self._large:
            return b"".join(pieces)
        large, self._large = self._large, bytearray()
        large += b"".join(pieces)
        return bytes(large)

    # -- bounds and checks

    def _fail(self) -> None:
        if self.phase is _DEAD:
            return  # bytes behind a request that ends its connection: that request stays good
        self.refuse(*(self._why or (400, "this is not a well-formed HTTP/1.1 request")))

    def _stop(self, status: int, message: str) -> None:
        self._why = status, message
        raise _Stop

    def _bound_head(self, size: int) -> None:
        limit = self._limits.head_bytes
        if size + len(self._target) > limit:
            self._stop(431, f"the headers are larger than {limit} bytes")

    def _bound(self, fed: int) -> None:
        """Bound what httptools keeps silently: an unfinished header, trailer, chunk extension."""
        if self.phase is _HEAD and not self._completed:  # else part of it was a message before
            self._fed += fed
            if self._fed > self._limits.head_bytes:
                limit = self._limits.head_bytes
                self.refuse(431, f"the request line and headers are larger than {limit} bytes")
        elif self.phase is _BODY:
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
        if target[:1] != b"/" or target.find(b"#") >= 0:
            self._stop(400, "the request target must be a path with an optional query")
        return target

    def _too_large(self) -> str:
        return f"the body is larger than {self._limits.body_bytes} bytes"


class _Stop(Exception):
    """Ends parsing from inside a callback."""


class _Framing(NamedTuple):
    """The headers that decide how a message is read, all their values in order."""

    host: tuple[bytes, ...]
    length: tuple[bytes, ...]
    coding: tuple[bytes, ...]
    connection: tuple[bytes, ...]
    expect: tuple[bytes, ...]


_FRAMING = (b"host", b"content-length", b"transfer-encoding", b"connection", b"expect")
