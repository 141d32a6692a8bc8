"""Turn the bytes of one client connection into requests and refusals, within bounds. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from itertools import chain

import httptools

from gateway.wire.http import UNBOUNDED, Head, Header, Memory, Request

from .framing import Framing, Unacceptable, without_authority
from .head_memory import HeadMemory, Key, cut
from .limits import Limits
from .request_line import RequestLine

_VERSIONS = "only HTTP/1.1 and HTTP/1.0 are spoken here"
_LARGE_BYTES = 1 << 20  # up to here pieces are kept as they came


class Phase(Enum):
    """What of a message the parser is in."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    DEAD = "dead"  # nothing more is read from this connection


# Python 3.11 looks up an enum's member by way of its metaclass, and these are needed per header.
_IDLE, _HEAD, _BODY, _DEAD = Phase


class Inbound(Request, frozen=True):
    """A complete request, and what its framing asks of the answer's."""

    keep_alive: bool = True
    http_1_0: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is answered by the framing itself; the connection ends with it.

    Attributes:
        target: As far as it was received, in whichever form; empty when none was.
        retry_after_s: When to try again; None when that would be of no use.
        received: Event-loop time (seconds) at which its first byte arrived, if it has a target.
    """

    status: int
    message: str
    target: bytes = b""
    retry_after_s: int | None = None
    received: float = 0.0

    @property
    def path(self) -> bytes:
        """The target without host and query, as far as it was received."""
        return without_authority(self.target)[1].partition(b"?")[0]


class RequestParser:
    """One connection's requests, in order.

    `ready` holds what `feed` completed. After a refusal, or a request that ends its connection,
    the phase is DEAD and further bytes are ignored. Trailers and hop-by-hop headers never reach
    a request.

    A request whose head is remembered is counted off by its length, and httptools never sees it;
    httptools reads every other one, from its first byte to its last.
    """

    __slots__ = (
        "_body_bytes",
        "_completed",
        "_counted",
        "_fed",
        "_head",
        "_headers",
        "_heads",
        "_http_1_0",
        "_is_plain",
        "_large",
        "_length",
        "_limits",
        "_line",
        "_memory",
        "_moved",
        "_now",
        "_parser",
        "_pieces",
        "_received",
        "_target",
        "_trailer_bytes",
        "_why",
        "expects_continue",
        "phase",
        "ready",
    )

    def __init__(
        self, limits: Limits, memory: Memory = UNBOUNDED, heads: HeadMemory | None = None
    ) -> None:
        self.ready: deque[Inbound | Refusal] = deque()
        self.phase = _IDLE
        self.expects_continue = False
        self._limits, self._memory = limits, memory
        self._heads = HeadMemory() if heads is None else heads
        self._parser, self._line = httptools.HttpRequestParser(self), RequestLine()
        self._why: Unacceptable | None = None
        self._now = self._received = 0.0
        self._fed = self._trailer_bytes = self._body_bytes = 0
        self._completed = self._moved = self._http_1_0 = False
        self._counted = False  # whether the body under way belongs to a remembered head
        self._is_plain = False  # whether the head before it may be remembered
        self._target = b""
        self._headers: list[Header] = []
        self._head: Head  # of the body under way
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

    def feed(self, data: bytes, now: float) -> None:
        """Parse the next bytes, received at event-loop time `now` (seconds)."""
        self._now = now
        if self._counted:
            data = self._count_off(data)
        if self.phase is _IDLE:
            data = self._take_remembered(data)
        if data and self.phase is not _DEAD:
            self._parse(data)

    def refuse(self, status: int, message: str, retry_after_s: int | None = None) -> None:
        """Give up on the message being received, e.g. because it is too slow."""
        self.phase = _DEAD
        self._pieces, self._large = [], bytearray()
        self._counted = False
        self._headers.clear()
        self.ready.append(Refusal(status, message, self._target, retry_after_s, self._received))

    # -- remembered heads

    def _take_remembered(self, data: bytes) -> bytes:
        """Take the requests whose heads are remembered; return what httptools is to read."""
        while data and (found := cut(data)) is not None:
            key, length, rest = found
            head = self._heads.known.get(key)
            if head is None:
                return self._learn(data, key, rest)
            if length > self._limits.body_bytes:
                break
            if length > len(rest):
                self._begin_counted(head, length, rest)
                return b""
            self.ready.append(Inbound(head, rest[:length], self._now, self._memory))
            data = rest[length:]
        return data

    def _begin_counted(self, head: Head, length: int, piece: bytes) -> None:
        self.phase, self._received, self._counted = _BODY, self._now, True
        self._head, self._target, self._http_1_0 = head, head.target, False
        self._length, self._body_bytes = length, 0
        self._count_off(piece)

    def _count_off(self, data: bytes) -> bytes:
        """Take the body under way as far as it has arrived; return what is behind it."""
        left = (self._length or 0) - self._body_bytes
        self.on_body(data[:left])
        if len(data) < left:
            return b""
        self._counted = False
        self._complete(keep_alive=True)
        return data[left:]

    def _learn(self, data: bytes, key: Key, rest: bytes) -> bytes:
        """Let httptools read a head alone, and remember it; return what it is to read on."""
        size = len(data) - len(rest)
        if 2 * size > self._limits.head_bytes:
            return data  # with a longer length it could be too large
        self._parse(data[:size])
        if self.phase is _BODY and self._is_plain and not self._moved:
            self._heads.keep(key, self._head)
        return rest

    # -- what httptools reads

    def _parse(self, data: bytes) -> None:
        """Have data read in pieces in which no request line begins behind another request."""
        at = 0
        while at < len(data) and self.phase is not _DEAD:
            left = self.body_room - self.body_bytes
            end = at + left if left else self._line.stretch(data, at)
            piece, begins = data[at:end], self.phase is _IDLE
            self._read(piece)
            if self._line.is_foreign(piece, begins=begins) and self.phase is not _DEAD:
                self.refuse(505, _VERSIONS)
            at = end

    def _read(self, data: bytes) -> None:
        self._completed = self._moved = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.phase = _DEAD  # the rest would be in a protocol that is not spoken here
        except httptools.HttpParserError:
            self._fail()
        else:
            self._bound(len(data))

    # Its callbacks, in the order of a message.

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
        parser, headers, target = self._parser, self._headers, self._target
        version = parser.get_http_version()
        self._http_1_0 = version == "1.0"
        if version not in ("1.1", "1.0"):
            self._stop(505, _VERSIONS)
        self._bound_head(sum(map(len, chain.from_iterable(headers))) + 4 * len(headers))
        framing = Framing.of(headers)
        try:
            self._check(framing)
            self._target = framing.origin_form(target)
        except Unacceptable as why:
            self._why = why
            raise
        self._head = Head(parser.get_method(), self._target, framing.end_to_end(headers))
        last = self._http_1_0 or parser.should_upgrade() or not parser.should_keep_alive()
        self._is_plain = framing.is_plain and self._target == target and not last
        self._length = framing.body_bytes
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
        self._complete(keep_alive=parser.should_keep_alive() and not parser.should_upgrade())
        self._completed = True

    # -- complete requests

    def _complete(self, *, keep_alive: bool) -> None:
        self.ready.append(
            Inbound(
                self._head, self._body(), self._received, self._memory, keep_alive, self._http_1_0
            )
        )
        self.phase = _IDLE if keep_alive else _DEAD
        self._target, self._headers, self.expects_continue = b"", [], False

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
        why = self._why or Unacceptable(400, "this is not a well-formed HTTP/1.1 request")
        self.refuse(why.status, why.message)

    def _stop(self, status: int, message: str) -> None:
        self._why = Unacceptable(status, message)
        raise self._why

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

    def _check(self, framing: Framing) -> None:
        parser = self._parser
        framing.check(http_1_0=self._http_1_0)
        if (framing.body_bytes or 0) > self._limits.body_bytes:
            raise Unacceptable(413, self._too_large())
        if parser.should_upgrade() and (framing.length or framing.coding):
            raise Unacceptable(501, "an Upgrade with a body is not supported")
        if parser.get_method() == b"CONNECT":
            raise Unacceptable(501, "this is not a forward proxy")
        framing.check_expectation()

    def _too_large(self) -> str:
        return f"the body is larger than {self._limits.body_bytes} bytes"


class _Stop(Exception):
    """Ends parsing from inside a callback."""
