"""Frame one answer on a client connection: head, chunks, end. Writes to a transport, else pure."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

from gateway.wire.hops import HOP_BY_HOP
from gateway.wire.http import Header, ReadSide

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}

_CR, _LF = b"\r\n"  # as numbers, which are looked for without an exception on the way

_UNSIZED = HOP_BY_HOP | {b"content-length"}  # what an answer without a body does not say
_JOIN_BYTES = 8 << 10  # up to here a copy is cheaper than telling the event loop of two pieces


class Channel(Protocol):
    """The connection an answer goes out on."""

    @property
    def transport(self) -> asyncio.Transport:
        """Where bytes go."""

    @property
    def lost(self) -> bool:
        """Whether the client has left."""

    @property
    def must_close(self) -> bool:
        """Whether the connection may not outlive this answer (the worker is draining)."""

    def throttle(self, source: ReadSide | None) -> None:
        """Pause this source while the transport's buffer is full."""

    def cut(self) -> None:
        """End the connection at once."""


class ConnectionResponder:
    """The `Responder` of one request on one connection."""

    __slots__ = (
        "_bare",
        "_channel",
        "_chunked",
        "_head_only",
        "_http_1_0",
        "_left",
        "ended",
        "keep_alive",
        "started",
    )

    def __init__(
        self, channel: Channel, *, head_only: bool, keep_alive: bool, http_1_0: bool
    ) -> None:
        self.started = False
        self.ended = False
        self.keep_alive = keep_alive
        self._channel = channel
        self._head_only = head_only
        self._http_1_0 = http_1_0
        self._bare = self._chunked = False
        self._left: int | None = None  # bytes that Content-Length still promises

    @property
    def ends_by_closing(self) -> bool:
        """Whether the body under way has no other end than that of the connection."""
        framed = self._bare or self._chunked or self._left is not None
        return self.started and not self.ended and not framed

    def reply(
        self,
        status: int,
        body: bytes,
        content_type: bytes = b"application/json",
        headers: tuple[Header, ...] = (),
    ) -> None:
        """Answer in one piece, with Content-Length."""
        framing = (
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
        )
        self.start(status, framing + headers, body)
        self.end()

    def start(self, status: int, headers: tuple[Header, ...], first: bytes = b"") -> None:
        """Write the head, and a first piece of body in the same segment.

        Raises ValueError for a second head or a header with a line break in it.
        """
        if self.started:
            raise ValueError("the answer has been started already")
        bodiless = status < 200 or status in (204, 304)
        self._bare = bodiless or self._head_only
        given = dict(headers)
        dropped = _UNSIZED if bodiless else HOP_BY_HOP
        if not dropped.isdisjoint(given):
            headers = tuple([header for header in headers if header[0] not in dropped])
        length = None if bodiless else given.get(b"content-length")
        self._left = None if length is None else int(length)
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d Status" % status]
        lines += map(b": ".join, headers)
        said = b"".join(lines)
        if _LF in said or _CR in said:
            raise ValueError("a header holds a line break")
        if length is None or self._http_1_0 or not self.keep_alive or self._channel.must_close:
            lines += self._connection_lines(bodiless)
        self.started = True
        first = self._framed(first)
        joined = len(first) <= _JOIN_BYTES
        lines += (b"", first if joined else b"")  # the blank line, and what is behind it
        if not self._channel.lost:
            transport = self._channel.transport
            transport.write(b"\r\n".join(lines))
            if not joined:
                transport.write(first)

    def write(self, data: bytes) -> None:
        """Send a piece of body; empty pieces and pieces after the end are ignored."""
        if data and not self.ended and not self._channel.lost:
            framed = self._framed(data)
            if framed:
                self._channel.transport.write(framed)

    def end(self) -> None:
        """Finish the body cleanly; cuts the connection when Content-Length promised more."""
        if self.ended or not self.started:
            return
        self.ended = True
        if self._left and not self._bare:
            self.abort()
        elif self._chunked and not self._bare and not self._channel.lost:
            self._channel.transport.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection, so that an unfinished answer is visibly unfinished."""
        self._channel.cut()
        self.started = self.ended = True
        self.keep_alive = False

    def throttle(self, source: ReadSide | None) -> None:
        """Pause and resume this source with the client's reading; None unlinks it."""
        self._channel.throttle(source)

    def _connection_lines(self, bodiless: bool) -> list[bytes]:
        if self._channel.must_close:
            self.keep_alive = False
        lines = []
        if self._left is None and not bodiless and not self._head_only:
            if self._http_1_0:
                self.keep_alive = False  # the end of the connection is the end of the body
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked")
        if not self.keep_alive:
            lines.append(b"connection: close")
        elif self._http_1_0:
            lines.append(b"connection: keep-alive")
        return lines

    def _framed(self, data: bytes) -> bytes:
        if self._bare or not data:
            return b""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None:
            data = data[: self._left]  # more than promised would be read as the next answer
            self._left -= len(data)
        return data
