"""One connection to a provider: writes a request, delivers the answer, keeps the time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Protocol, cast

from gateway.errors import UpstreamError, UpstreamFault
from gateway.upstream.answer_parser import AnswerParser
from gateway.upstream.head import AnswerHead, HeadReader

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
    """Sends one request at a time and delivers its answer.

    Args:
        plain: Knows the answers that begin plainly.

    Attributes:
        parser: What the provider has answered so far.
        used: Whether it has brought an answer before.
        died_silently: Whether it was lost before the first byte of an answer.
    """

    def __init__(self, pool: Pool, plain: HeadReader) -> None:
        self.transport: asyncio.Transport  # set by connection_made, before anything else happens
        self.used = self.died_silently = False
        self.idle_since = 0.0
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self.parser = AnswerParser(plain)
        self._head: asyncio.Future[AnswerHead] | None = None  # None while no answer is expected
        self._end: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._early = b""  # arrived while there was no sink
        self._failure: UpstreamError | None = None
        self._sent_whole: bool | None = None  # told when the head comes
        self._throttled = self._paused = self._lost = False
        self._moved_at = self._patience_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf  # when it is due

    # -- what the pool and an answer ask

    def waited_s(self) -> float:
        """Return for how long the head of an answer is awaited."""
        return self._loop.time() - self._moved_at

    def request(self, head: bytes, body: bytes, timeout_s: float) -> asyncio.Future[AnswerHead]:
        """Send; return what will be the answer's head. The caller must `release` in any case."""
        self.parser.reset()
        self._failure = self._sent_whole = None
        self._head = answered = self._loop.create_future()
        if len(body) <= _JOIN_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        self._be_patient(timeout_s)
        return answered

    async def deliver(self, sink: Sink, idle_timeout_s: float) -> None:
        """Push into the sink what is there and what comes, until the end or until `hand_back`."""
        early, self._early = self._early, b""
        self._sink = sink
        if early:
            sink.body(early)
        if self._failure is not None:
            raise self._failure
        if self.parser.finished or self._sink is None:
            return
        self._end = self._loop.create_future()
        self._be_patient(idle_timeout_s)
        self._set_paused()
        await self._end

    def hand_back(self) -> None:
        """Stop delivering; what comes is held until the next `deliver`."""
        self._sink = None
        self._set_paused()
        self._conclude()

    def all_there(self, limit: int) -> bytes | None:
        """Return the body when it is whole and nobody took any of it, and no longer than that."""
        body = self._early
        if not self.parser.finished or len(body) > limit:
            return None
        self._early = b""
        if self._paused:
            self._set_paused()
        return body

    def split(self, parts: Sequence[bytes], limit: int) -> tuple[bytes, bool]:
        """Return the first `limit` bytes and whether nothing follows; hold the rest."""
        data = b"".join((*parts, self._early)) if parts else self._early
        self._sink, self._early = None, data[limit:]
        if self._early or self._paused:
            self._set_paused()
        return data[:limit], self.parser.finished and not self._early

    def set_throttled(self, *, throttled: bool) -> None:
        """Stop or go on reading on behalf of a slow client."""
        self._throttled = throttled
        self._moved_at = self._loop.time()
        self._set_paused()

    def release(self) -> None:
        """Back to the pool when fit for another request, else abort."""
        self._head = self._end = self._sink = None
        parser, transport = self.parser, self.transport
        fit = parser.finished and parser.keep_alive and self._sent_whole
        if not fit or transport.is_closing():
            transport.abort()
            return
        self._early = b""
        if self._paused:
            # By a slow client, or one that left as the answer came: a paused connection in the
            # pool would hang its next user.
            self._throttled = False
            self._set_paused()
        self.used, self.idle_since = True, self._loop.time()
        self._pool.returned(self)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        # uvloop's transports have this interface without being instances of it.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        answered = self._head
        if answered is None or self.parser.finished:  # idle or over: these bytes answer nothing
            self.transport.abort()
            return
        parser = self.parser
        body = parser.feed(data)
        if self._sent_whole is None and parser.head is not None:
            # An answer before our request was all sent leaves the connection in doubt.
            self._sent_whole = not self.transport.get_write_buffer_size()
            if not answered.done():
                answered.set_result(parser.head)
        if self._sink is None:
            self._early += body
        elif body:
            self._moved_at = self._loop.time()
            self._sink.body(body)
        if parser.error is not None:
            self._give_up(parser.error)
        elif parser.finished:
            self._conclude()
        elif self._early:
            self._set_paused()  # nobody is reading yet: hold no more than this

    def eof_received(self) -> None:  # noqa: D102 - asyncio's
        if self.parser.end():
            self._conclude()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        self._lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._pool.gone(self)
        if self._head is not None and not self.parser.finished:
            self.died_silently = not self.parser.begun
            self._fail(UpstreamFault.CUT, str(exc or "the provider closed the connection"))

    # -- helpers

    def _give_up(self, error: Exception) -> None:
        if self.parser.finished:  # it is surplus: the answer stands, the connection ends
            self._conclude()
        else:
            self._fail(UpstreamFault.PROTOCOL, str(error))
        self.transport.abort()

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
        if self._failure is not None:
            return
        self._failure = UpstreamError(fault, message)
        if self._head is not None and not self._head.done():
            self._head.set_exception(self._failure)
        elif self._end is not None and not self._end.done():
            self._end.set_exception(self._failure)

    # -- the time

    def _be_patient(self, timeout_s: float) -> None:
        """Wait so long for the head or the next piece, from now on.

        The timer of an earlier wait is kept when it is due first: it finds out what is left. So
        one timer serves many requests and all pieces of a body.
        """
        self._moved_at, self._patience_s = self._loop.time(), timeout_s
        if self._moved_at + timeout_s < self._timer_at:
            self._arm(timeout_s)

    def _arm(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._loop.time() + delay_s
        self._timer = self._loop.call_later(delay_s, self._check)

    def _check(self) -> None:
        self._timer, self._timer_at = None, inf
        awaits_head = self._head is not None and not self._head.done()
        if not awaits_head and (self._end is None or self._end.done()):
            return
        now = self._loop.time()
        if self._throttled:
            self._moved_at = now  # it is the client who is slow
        left_s = self._moved_at + self._patience_s - now
        if left_s > 0:
            self._arm(left_s)
        elif awaits_head:
            self._fail(UpstreamFault.TIMEOUT, f"no answer within {self._patience_s:g} s")
        else:
            self._fail(UpstreamFault.TIMEOUT, f"no byte within {self._patience_s:g} s")
            self.transport.abort()
