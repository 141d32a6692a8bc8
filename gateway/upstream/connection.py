"""One connection to a provider: writes a request, parses and delivers the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol, cast

import httptools

from gateway.errors import UpstreamError, UpstreamFault
from gateway.wire.http import Header, all_values, first_values

_SILENT_BYTES = 256 << 10  # bound of a head, and of anything that yields no body
# The event loop writes what one turn has for a connection with one system call. Up to here a copy
# is cheaper than telling it of two pieces.
_JOIN_BYTES = 8 << 10


class Sink(Protocol):
    """Where an answer's body goes."""

    def body(self, data: bytes) -> None:
        """Take a piece; must neither block nor raise."""


class Pool(Protocol):
    """The origin, as its connections see it."""

    def returned(self, connection: Connection) -> None:
        """Take back a connection that is fit for another request."""

    def gone(self, connection: Connection) -> None:
        """Forget a connection that was lost."""


class Connection(asyncio.Protocol):
    """Sends one request at a time and delivers its answer."""

    def __init__(self, pool: Pool) -> None:
        self.transport: asyncio.Transport  # set by connection_made, before anything else happens
        self.used = False
        self.idle_since = 0.0
        self.finished = False
        self.failure: Exception | None = None
        self.died_silently = False
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[None] | None = None
        self._end: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lost = False
        self._reset()

    def _reset(self) -> None:
        self.headers: list[Header] = []
        self.first: Mapping[bytes, bytes] = {}
        self._parts: list[bytes] = []  # of the segment being parsed
        self._early: list[bytes] = []  # arrived while there was no sink
        self.status = self._silent_bytes = 0
        self._head_done = self._any_byte = self._sized = self._reusable = False
        self._throttled = self._paused = False
        self._moved_at = self._idle_timeout_s = 0.0
        self.finished, self.failure, self.died_silently = False, None, False

    # -- what the pool and an answer ask

    async def request(self, head: bytes, body: bytes, timeout_s: float) -> None:
        """Send, and return once `status` and `headers` are in. Cuts the connection on failure."""
        self._reset()
        self._head = self._loop.create_future()
        self._send(head, body)
        timer = self._loop.call_later(timeout_s, self._no_head, timeout_s)
        try:
            await self._head
        except BaseException:
            self.release()
            raise
        finally:
            timer.cancel()

    async def deliver(self, sink: Sink, idle_timeout_s: float) -> None:
        """Push into the sink what is there and what comes, until the end or until `hand_back`."""
        early, self._early = self._early, []
        self._sink = sink
        self._end = self._loop.create_future()
        if early:
            sink.body(b"".join(early))
        if self.failure is not None:
            raise self.failure
        if self.finished or self._end.done():
            return
        self._idle_timeout_s, self._moved_at = idle_timeout_s, self._loop.time()
        self._timer = self._loop.call_later(idle_timeout_s, self._check_idle)
        self._set_paused()
        try:
            await self._end
        finally:
            self._timer.cancel()

    def hand_back(self) -> None:
        """Stop delivering; what comes is held until the next `deliver`."""
        self._sink = None
        self._set_paused()
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

    def split(self, parts: list[bytes], limit: int) -> tuple[bytes, bool]:
        """Return the first `limit` bytes and whether nothing follows; hold the rest."""
        data = b"".join([*parts, *self._early])
        self._sink = None
        self._early = [data[limit:]] if len(data) > limit else []
        self._set_paused()
        return data[:limit], self.finished and not self._early

    def set_throttled(self, *, throttled: bool) -> None:
        """Stop or go on reading on behalf of a slow client."""
        self._throttled = throttled
        self._moved_at = self._loop.time()
        self._set_paused()

    def release(self) -> None:
        """Back to the pool when fit for another request, else abort."""
        self._head = self._end = self._sink = None
        if self._lost:
            return
        if self.finished and self._reusable and not self.transport.is_closing():
            # It may be paused (slow client, or one that left as the answer came): a paused
            # connection in the pool would hang its next user.
            self._throttled = False
            self._early = []
            self._set_paused()
            self.used, self.idle_since = True, self._loop.time()
            self._pool.returned(self)
        else:
            self.transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        # uvloop's transports have this interface without being instances of it.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        if self._head is None or self.finished:  # idle or over: these bytes answer nothing
            self._reusable = False
            self.transport.abort()
            return
        self._any_byte = True
        self._silent_bytes += len(data)
        error = self._parse(data)
        if self._parts:
            self._silent_bytes = 0
            self._push(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
            self._parts.clear()
        self._settle(error)

    def eof_received(self) -> None:  # noqa: D102 - asyncio's
        if self._head_done and not self.finished and not self._sized:
            self.finished, self._reusable = True, False  # RFC 9112 §6.3: the close ends the body
            self._conclude()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        self._lost = True
        self._pool.gone(self)
        if self._head is not None and not self.finished:
            self.died_silently = not self._any_byte
            self._fail(UpstreamFault.CUT, str(exc or "the provider closed the connection"))

    # -- callbacks of httptools, in the order of a message

    def on_message_begin(self) -> None:  # noqa: D102 - named by httptools
        if self.finished:
            raise _Violation("bytes after the end of the message")

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102 - named by httptools
        if not self._head_done:  # after the body it is a trailer
            self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:  # noqa: D102 - named by httptools
        status = self._parser.get_status_code()
        if status == 101:
            raise _Violation("101 Switching Protocols, though no upgrade was asked for")
        if status < 200:
            self.headers.clear()
            return
        self.first = first = first_values(self.headers)
        codings = all_values(self.headers, first, b"transfer-encoding")
        if any(value.lower() != b"chunked" for value in codings):
            raise _Violation("a transfer coding other than chunked")
        self._sized = bool(codings) or b"content-length" in first
        self.status, self._head_done = status, True
        # An answer before our request was all sent leaves the connection in doubt.
        self._reusable = not self.transport.get_write_buffer_size()
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, piece: bytes) -> None:  # noqa: D102 - named by httptools
        self._parts.append(piece)

    def on_message_complete(self) -> None:  # noqa: D102 - named by httptools
        if self._head_done:
            self.finished = True
            self._reusable = self._reusable and self._parser.should_keep_alive()

    # -- helpers

    def _send(self, head: bytes, body: bytes) -> None:
        if len(body) <= _JOIN_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def _no_head(self, waited_s: float) -> None:
        self._fail(UpstreamFault.TIMEOUT, f"no answer within {waited_s:g} s")

    def _parse(self, data: bytes) -> Exception | None:
        """Feed the parser; return what it objects to."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return _Violation("an upgrade, though none was asked for")
        except httptools.HttpParserError as error:
            cause = error.__context__
            return cause if isinstance(cause, _Violation) else error
        return None

    def _settle(self, error: Exception | None) -> None:
        if self.finished:
            if error is not None:  # surplus: the message is whole, the connection is not fit
                self._reusable = False
                self.transport.abort()
            self._conclude()
        elif error is not None or self._silent_bytes > _SILENT_BYTES:
            self._fail(UpstreamFault.PROTOCOL, str(error or "endless head, trailer or extension"))
            self.transport.abort()

    def _push(self, data: bytes) -> None:
        if self._sink is None:
            self._early.append(data)
            self._set_paused()  # nobody is reading yet: hold no more than this
        else:
            self._moved_at = self._loop.time()
            self._sink.body(data)

    def _set_paused(self) -> None:
        """Read unless a client is slow, or pieces wait for a sink."""
        paused = self._throttled or (self._sink is None and bool(self._early))
        if paused != self._paused and not self._lost:
            self._paused = paused
            if paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _conclude(self) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(None)

    def _fail(self, fault: UpstreamFault, message: str) -> None:
        if self.failure is not None:
            return
        self.failure = UpstreamError(fault, message)
        if self._head is not None and not self._head.done():
            self._head.set_exception(self.failure)
        elif self._end is not None and not self._end.done():
            self._end.set_exception(self.failure)

    def _check_idle(self) -> None:
        """Re-arm one timer for a whole body rather than one for each piece."""
        now = self._loop.time()
        if self._throttled:
            self._moved_at = now  # it is the client who is slow
        left_s = self._moved_at + self._idle_timeout_s - now
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._check_idle)
        else:
            self._fail(UpstreamFault.TIMEOUT, f"no byte within {self._idle_timeout_s:g} s")
            self.transport.abort()


class _Violation(Exception):
    """Ends parsing from inside a callback."""
