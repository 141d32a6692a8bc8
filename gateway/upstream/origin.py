"""HTTP/1.1 client for providers: one keep-alive pool per origin; opens sockets.

The response head is awaited; the body is pushed into a sink from `data_received`, so a streamed
piece crosses the gateway without a task switch, a queue or a future.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway.errors import UpstreamError, UpstreamFault
from gateway.upstream.connection import Connection, Sink
from gateway.wire.hops import HOP_BY_HOP, end_to_end
from gateway.wire.http import Header, ReadSide, all_values

__all__ = ["Answer", "Origin", "Sink"]

_OURS = HOP_BY_HOP | {b"host", b"content-length", b"expect"}
_RESEND_WITHIN_S = 1.0


class Origin:
    """All connections to one provider.

    Args:
        base_url: Scheme, host, optional port and path prefix; no query.
        tls: Context for https; None means the system's certificate authorities.
        idle_timeout_s: How long a connection is kept for its next request.
        max_idle: How many are kept.

    Raises ValueError for a URL that is not http or https with a host.
    """

    def __init__(
        self,
        base_url: str,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout_s: float = 10,
        idle_timeout_s: float = 60,
        max_idle: int = 512,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(f"{base_url!r} is not an http or https URL without a query")
        secure = parts.scheme == "https"
        self.resent = 0
        self._name = parts.hostname
        self._port = parts.port or (443 if secure else 80)
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._prefix = parts.path.rstrip("/").encode()
        authority = parts.netloc.rpartition("@")[2].encode()
        self._host = b"host: " + authority
        self._connect_timeout_s = connect_timeout_s
        self._idle_timeout_s, self._max_idle = idle_timeout_s, max_idle
        self._idle: deque[Connection] = deque()
        self._closed = False

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    async def send(
        self,
        method: bytes,
        target: bytes,
        headers: Sequence[Header],
        body: bytes,
        *,
        head_timeout_s: float,
    ) -> Answer:
        """Send a request and return once the head of its answer is in; the caller must release it.

        Args:
            target: Path and query, appended to the base URL's path.
            headers: End-to-end headers; host and content-length are added, hop-by-hop ones dropped.
            head_timeout_s: From the end of connecting to the end of the answer's head.

        Raises UpstreamError; ValueError for HEAD (its answers cannot be framed) and for a header
        or target with a line break in it.
        """
        head = self._head(method, target, headers, len(body))
        connection = self._pooled() or await self._connect()
        pooled = connection.used
        begun = asyncio.get_running_loop().time()
        try:
            await connection.request(head, body, head_timeout_s)
            return Answer(connection, resent=False)
        except UpstreamError:
            # A provider may close an idle connection just as the request goes out. After a second,
            # or any byte of an answer, it may have been working on the request: to send it again
            # could bill twice.
            waited_s = asyncio.get_running_loop().time() - begun
            if not (pooled and connection.died_silently and waited_s < _RESEND_WITHIN_S):
                raise
        self.resent += 1
        connection = await self._connect()
        await connection.request(head, body, head_timeout_s - waited_s)
        return Answer(connection, resent=True)

    def sweep(self, now: float) -> None:
        """Close the oldest idle connections; call about once a second with event-loop time."""
        while self._idle and (
            len(self._idle) > self._max_idle
            or now - self._idle[0].idle_since > self._idle_timeout_s
        ):
            self._idle.popleft().transport.close()

    def close(self) -> None:
        """Close idle connections, and each of the others when it is released."""
        self._closed = True
        while self._idle:
            self._idle.popleft().transport.close()

    # -- what connections report

    def returned(self, connection: Connection) -> None:
        """Take back a connection that is fit for another request."""
        if self._closed:
            connection.transport.close()
        else:
            self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """Forget a connection that was lost."""
        if connection in self._idle:
            self._idle.remove(connection)

    # -- helpers

    def _pooled(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await loop.create_connection(
                    lambda: Connection(self),
                    self._name,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._name if self._tls else None,
                )
        except TimeoutError as error:
            message = f"{self._name}:{self._port}: no connection in {self._connect_timeout_s:g} s"
            raise UpstreamError(UpstreamFault.CONNECT, message) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name IDNA cannot encode
            message = f"{self._name}:{self._port}: {error}"
            raise UpstreamError(UpstreamFault.CONNECT, message) from error
        return connection

    def _head(
        self, method: bytes, target: bytes, headers: Sequence[Header], body_bytes: int
    ) -> bytes:
        if method == b"HEAD":
            raise ValueError("HEAD is never sent upstream")
        lines = [b"%b %b%b HTTP/1.1" % (method, self._prefix, target), self._host]
        if not _OURS.isdisjoint(dict(headers)):
            headers = [header for header in headers if header[0] not in _OURS]
        lines += map(b": ".join, headers)
        if body_bytes or method not in (b"GET", b"DELETE", b"OPTIONS"):
            lines.append(b"content-length: %d" % body_bytes)
        head = b"\r\n".join(lines) + b"\r\n\r\n"
        breaks = len(lines) + 1
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
            raise ValueError("the target or a header holds a line break")
        return head


class Answer:
    """A response whose head is in and whose body is still to be taken.

    Attributes:
        status: 200 or above.
        headers: Names in lower case; hop-by-hop headers are dropped, trailers never included.
        resent: Whether the request was sent twice because a pooled connection had just died.
    """

    __slots__ = ("_connection", "_first", "headers", "resent", "status")

    def __init__(self, connection: Connection, *, resent: bool) -> None:
        headers, self._first = connection.headers, connection.first
        named = all_values(headers, self._first, b"connection")
        self.status, self.resent = connection.status, resent
        self.headers = end_to_end(headers, named)
        self._connection: Connection | None = connection

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header (name in lower case), or None."""
        return self._first.get(name)

    @property
    def read_side(self) -> ReadSide:
        """What `Responder.throttle` pauses; has no effect after `release`."""
        return self

    def pause_reading(self) -> None:
        """Deliver nothing until `resume_reading`."""
        if self._connection is not None:
            self._connection.set_throttled(throttled=True)

    def resume_reading(self) -> None:
        """Deliver again."""
        if self._connection is not None:
            self._connection.set_throttled(throttled=False)

    async def read(self, limit: int, *, idle_timeout_s: float = 300) -> tuple[bytes, bool]:
        """Buffer up to `limit` bytes; return them and whether they are all there is.

        What is beyond them can then be pumped. Raises UpstreamError as `pump` does.
        """
        buffer = _Buffer(self._held(), limit)
        if not self._held().finished:
            await self._held().deliver(buffer, idle_timeout_s)
        return self._held().split(buffer.parts, limit)

    async def pump(self, sink: Sink, *, idle_timeout_s: float) -> None:
        """Push the body into the sink until the message ends.

        Args:
            idle_timeout_s: Longest pause between two pieces, while nobody throttles.

        Raises UpstreamError (CUT, TIMEOUT or PROTOCOL); whatever came before has been pushed.
        """
        await self._held().deliver(sink, idle_timeout_s)

    def release(self) -> None:
        """Give the connection back when the message ended cleanly, else cut it. Idempotent.

        Cutting is what makes a provider stop working on an answer nobody wants.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _held(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the answer has been released")
        return self._connection


class _Buffer:
    """A sink that stops its connection when it holds `limit` bytes."""

    def __init__(self, connection: Connection, limit: int) -> None:
        self.parts: list[bytes] = []
        self._connection, self._left = connection, limit

    def body(self, data: bytes) -> None:
        """Take a piece, and ask for no more when there is one byte too many."""
        self.parts.append(data)
        self._left -= len(data)
        if self._left < 0:
            self._connection.hand_back()
