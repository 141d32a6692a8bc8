"""Frame one answer on a client connection: head, chunks, end. Writes to a transport, else pure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

import msgspec

from gateway.wire.hops import HOP_BY_HOP
from gateway.wire.http import Header, ReadSide

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}

_CR, _LF = b"\r\n"  # as numbers, which are looked for without an exception on the way

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


class ConnectionResponder(msgspec.Struct, eq=False):
    """The `Responder` of one request on one connection."""

    channel: Channel
    head_only: bool
    keep_alive: bool
    http_1_0: bool
    started: bool = False
    ended: bool = False
    _bare: bool = False
    _chunked: bool = False
    _left: int | None = None  # bytes that Content-Length still promises

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

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        """Write the head, and a first piece of body in the same segment.

        Raises ValueError for a second head or a header with a line break in it; `lines` are not
        looked at.
        """
        if self.started:
            raise ValueError("the answer has been started already")
        # As pairs they cannot differ in number.
        names, values = zip(*headers) if headers else ((), ())  # noqa: B905  # costs a fifth more
        form = _form(status, names)
        _refuse_breaks(values)
        if form.bodiless or self.head_only:
            self._bare = True
        if form.length_at is not None:
            self._left = int(values[form.length_at])
        channel = self.channel
        if self._left is None or self.http_1_0 or not self.keep_alive or channel.must_close:
            lines += self._connection_lines(form.bodiless)
        self.started = True
        first = self._framed(first)
        if channel.lost:
            return
        if len(first) <= _JOIN_BYTES:
            channel.transport.write(form.head % (*values, lines, first))
        else:
            channel.transport.write(form.head % (*values, lines, b""))
            channel.transport.write(first)

    def write(self, data: bytes) -> None:
        """Send a piece of body; empty pieces and pieces after the end are ignored."""
        if data and not self.ended and not self.channel.lost:
            framed = self._framed(data)
            if framed:
                self.channel.transport.write(framed)

    def end(self) -> None:
        """Finish the body cleanly; cuts the connection when Content-Length promised more."""
        if self.ended or not self.started:
            return
        self.ended = True
        if self._left and not self._bare:
            self.abort()
        elif self._chunked and not self._bare and not self.channel.lost:
            self.channel.transport.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection, so that an unfinished answer is visibly unfinished."""
        self.channel.cut()
        self.started = self.ended = True
        self.keep_alive = False

    def throttle(self, source: ReadSide | None) -> None:
        """Pause and resume this source with the client's reading; None unlinks it."""
        self.channel.throttle(source)

    def _connection_lines(self, bodiless: bool) -> bytes:
        if self.channel.must_close:
            self.keep_alive = False
        coding = b""
        if self._left is None and not bodiless and not self.head_only:
            if self.http_1_0:
                self.keep_alive = False  # the end of the connection is the end of the body
            else:
                self._chunked = True
                coding = b"transfer-encoding: chunked\r\n"
        if not self.keep_alive:
            return coding + b"connection: close\r\n"
        return coding + b"connection: keep-alive\r\n" if self.http_1_0 else coding

    def _framed(self, data: bytes) -> bytes:
        if self._bare or not data:
            return b""
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None:
            missing = self._left - len(data)
            if missing < 0:  # more than promised would be read as the next answer
                data, missing = data[:missing], 0
            self._left = missing
        return data


class _Form(msgspec.Struct, frozen=True):
    """What follows from the status of an answer and the names of its headers.

    Attributes:
        head: To be filled in by `%`: the headers' values, lines on the connection, and what of the
            body goes with them.
        length_at: Which header is the Content-Length, of several the last, which alone is sent;
            None when there is none, or no body.
    """

    head: bytes
    length_at: int | None
    bodiless: bool


@lru_cache(128)  # answers of a few forms come again and again
def _form(status: int, names: tuple[bytes, ...]) -> _Form:
    """Raises ValueError for a name with a line break in it."""
    _refuse_breaks(names)
    bodiless = status < 200 or status in (204, 304)
    last = {name: at for at, name in enumerate(names)}
    length_at = None if bodiless else last.get(b"content-length")
    head = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status
    for at, name in enumerate(names):
        if name in HOP_BY_HOP or (name == b"content-length" and at != length_at):
            head += b"%.0b"  # nothing of the value
        else:
            head += name.replace(b"%", b"%%") + b": %b\r\n"
    return _Form(head + b"%b\r\n%b", length_at, bodiless)


def _refuse_breaks(words: Sequence[bytes]) -> None:
    said = b"".join(words)
    if _LF in said or _CR in said:
        raise ValueError("a header holds a line break")
