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
from gateway.upstream.answer import Answer
from gateway.upstream.connection import Connection, Sink
from gateway.upstream.head import PlainHeads
from gateway.wire.hops import HOP_BY_HOP
from gateway.wire.http import Header

__all__ = ["Answer", "Origin", "Sink"]

_BODILESS = (b"GET ", b"DELETE ", b"OPTIONS ")  # of these, an empty body is no body
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
        self._plain_heads = PlainHeads()
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
        """Send a request made for this once; see `head` and `ask`."""
        head = self.head(method, target, headers)
        return await self.ask(head, body, head_timeout_s=head_timeout_s)

    def head(self, method: bytes, target: bytes, headers: Sequence[Header]) -> bytes:
        """Return the head of a request, to be sent with `ask` as often as need be.

        Args:
            target: Path and query, appended to the base URL's path.
            headers: End-to-end headers; host is added, and hop-by-hop ones are dropped.

        Raises ValueError for HEAD (its answers cannot be framed) and for a header or target with a
        line break in it.
        """
        if method == b"HEAD":
            raise ValueError("HEAD is never sent upstream")
        lines = [b"%b %b%b HTTP/1.1" % (method, self._prefix, target), self._host]
        if not _OURS.isdisjoint(dict(headers)):
            headers = [header for header in headers if header[0] not in _OURS]
        lines += map(b": ".join, headers)
        head = b"\r\n".join(lines) + b"\r\n"
        breaks = len(lines)
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks:
            raise ValueError("the target or a header holds a line break")
        return head

    async def ask(self, head: bytes, body: bytes, *, head_timeout_s: float) -> Answer:
        """Send a request and return once the head of its answer is in; the caller must release it.

        Args:
            head: What `head` returned; content-length is added.
            head_timeout_s: From the end of connecting to the end of the answer's head.

        Raises UpstreamError.
        """
        head = _sized(head, len(body))
        connection = self._pooled() or await self._connect()
        try:
            found = await connection.request(head, body, head_timeout_s)
        except BaseException as error:
            connection.release()
            if not isinstance(error, UpstreamError) or not _may_resend(connection):
                raise
        else:
            return Answer(found.status, found.headers, found.first, connection)
        left_s = head_timeout_s - connection.waited_s()
        self.resent += 1
        connection = await self._connect()
        try:
            found = await connection.request(head, body, left_s)
        except BaseException:
            connection.release()
            raise
        return Answer(found.status, found.headers, found.first, connection, resent=True)

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
                    lambda: Connection(self, self._plain_heads),
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


def _sized(head: bytes, body_bytes: int) -> bytes:
    """Return the head with its length and its end."""
    if body_bytes or not head.startswith(_BODILESS):
        return b"%bcontent-length: %d\r\n\r\n" % (head, body_bytes)
    return head + b"\r\n"


def _may_resend(connection: Connection) -> bool:
    """Return whether a request that failed here can be sent again.

    A provider may close an idle connection just as the request goes out. After a second, or any
    byte of an answer, it may have been working on the request: to send it again could bill twice.
    """
    return connection.used and connection.died_silently and connection.waited_s() < _RESEND_WITHIN_S
