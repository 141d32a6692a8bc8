"""One client connection: requests answered in order, slow and departed clients noticed."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast

from gateway.wire.http import Handler, ReadSide, Request

from .head_memory import HeadMemory
from .limits import Limits
from .memory import MemoryBudget
from .receiver import Receiver
from .refusals import reply_refusal
from .request_parser import Inbound, Refusal
from .responder import ConnectionResponder

log = logging.getLogger(__name__)

HIGH_WATER_BYTES = 128 << 10
_LINGER_S = 2.0  # how long a refused client gets to read why, before the connection is cut

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


OnRefusal = Callable[[Refusal, str], asyncio.Future[bool] | None]
"""Told what the framing refuses, and by which name, before it is answered; it never raises.

Returns what the answer waits for, a moment at most; None for nothing.
"""


@dataclass(slots=True)
class Counts:
    """What the connections of a server have seen; they add to it.

    Attributes:
        requests: Handlers that have returned, well or badly.
        refusals: Requests that the framing refused.
        clients_left: Before their answer was complete.
        handler_errors: Handlers that raised.
    """

    requests: int = 0
    refusals: int = 0
    clients_left: int = 0
    handler_errors: int = 0


class Owner(Protocol):
    """The server, as its connections see it."""

    limits: Limits
    handler: Handler
    on_refusal: OnRefusal
    memory: MemoryBudget
    heads: HeadMemory
    counts: Counts

    def joined(self, connection: ClientConnection) -> None:
        """Note a new connection, and tell it whether its first answer is its last."""

    def left(self, connection: ClientConnection) -> None:
        """Note that it is gone."""

    def became_idle(self) -> None:
        """Note, during a drain, that a connection waits for its next request."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a connection's task. Any: what a coroutine yields is its loop's affair."""


class ClientConnection(asyncio.Protocol):
    """Reads requests, runs one handler at a time, and frames its answers.

    From its first request on a connection has one task, which answers a request and waits for the
    next one; while there is a responder it is at work.

    Attributes:
        lost: Whether the client has left.
        must_close: Whether the next answer that begins is the last; the server says so.
    """

    __slots__ = (
        "_buffered",
        "_buffered_since",
        "_hold",
        "_leaving_since",
        "_loop",
        "_owner",
        "_reading",
        "_receiver",
        "_responder",
        "_source",
        "_task",
        "_turn",
        "_writable",
        "lost",
        "must_close",
        "transport",
    )

    def __init__(self, owner: Owner) -> None:
        self.transport: asyncio.Transport  # set by connection_made, before anything else happens
        self.lost = self.must_close = False
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._hold = owner.memory.hold(lambda: self._loop.call_soon(self._advance))
        self._receiver = Receiver(owner.limits, self._hold, self._loop.time(), owner.heads)
        self._task: asyncio.Task[None] | None = None
        self._turn: asyncio.Future[tuple[Request, ConnectionResponder]]  # the task's next one
        self._responder: ConnectionResponder | None = None
        self._reading = self._writable = True
        self._source: ReadSide | None = None
        self._leaving_since: float | None = None
        self._buffered, self._buffered_since = 0, 0.0

    # -- what the server asks

    @property
    def idle_since(self) -> float | None:
        """Event-loop time since when nothing is received or answered; None while something is."""
        idle = self._responder is None and self._receiver.idle
        return self._receiver.moved_at if idle else None

    @property
    def owes_an_answer(self) -> bool:
        """Whether a request is being received or answered, or an answer is not all sent."""
        if self.transport.get_write_buffer_size():
            return True
        return self.idle_since is None and self._leaving_since is None

    def check(self, now: float) -> None:
        """Enforce the time limits; called about once a second."""
        if self._stalled(now):
            self.cut()
        elif self._leaving_since is not None:
            if now - self._leaving_since > _LINGER_S:
                self.transport.close()
        elif self._responder is None and self._writable:
            self._check_waiting(now)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        # uvloop's transports have this interface without being instances of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        self._owner.joined(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        if self._leaving_since is None:
            self._receiver.unread += data
            self._advance()

    def eof_received(self) -> None:  # noqa: D102 - asyncio's; a client that half-closes has left
        return None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        self.lost = True
        self._receiver.clear()
        responder = self._responder
        if responder is not None and not responder.ended:
            self._owner.counts.clients_left += 1
        if self._task is None:
            self._hold.release()  # else the request is in memory until its task has ended
        elif responder is None or not responder.ended:
            self._task.cancel()
        self.throttle(None)
        self._owner.left(self)

    def pause_writing(self) -> None:  # noqa: D102 - asyncio's
        self._writable = False
        if self._source is not None:
            self._source.pause_reading()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio's
        self._writable = True
        if self._source is not None:
            self._source.resume_reading()
        if self._responder is None:
            self._release()
            self._receiver.answered(self._loop.time())
            self._advance()

    # -- what a responder asks

    def throttle(self, source: ReadSide | None) -> None:
        """Pause this source while the client reads too slowly; None unlinks the one before."""
        if self._source is not None and not self._writable:
            self._source.resume_reading()
        self._source = source
        if source is not None and not self._writable and not self.lost:
            source.pause_reading()

    def cut(self) -> None:
        """End the connection at once, so that an unfinished answer is visibly unfinished."""
        if self.lost:
            return
        if self._responder is not None and self._responder.ends_by_closing:
            # Only a reset tells this end from the clean one.
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    # -- receiving

    def _advance(self) -> None:
        """Answer the next request when it is complete and its turn; else read on."""
        receiver = self._receiver
        if (
            self._responder is None
            and self._writable  # not while answers are left unread
            and not self.lost
            and self._leaving_since is None
        ):
            found = receiver.next(self._loop.time())
            if isinstance(found, Inbound):
                self._answer(found)
            elif found is not None:
                self._refuse(found)
            elif receiver.invites():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if receiver.unread or receiver.waits_since is not None or not self._reading:
            self._set_reading()

    def _set_reading(self) -> None:
        """Read no further ahead than there is room; a refused client is read to its end."""
        receiver = self._receiver
        if self.lost or self._leaving_since is not None or self.transport.is_closing():
            return
        answering = self._responder is not None or not self._writable
        waits = receiver.waits_since is not None
        if self._reading and (waits or (answering and receiver.full)):
            self._reading = False
            self.transport.pause_reading()
        elif not self._reading and not answering and not waits:
            self._reading = True
            self.transport.resume_reading()

    # -- answering

    def _answer(self, inbound: Inbound) -> None:
        self._hold.take(len(inbound.body))
        responder = self._responder = ConnectionResponder(
            self,
            head_only=inbound.head.method == b"HEAD",
            keep_alive=inbound.keep_alive,
            http_1_0=inbound.http_1_0,
        )
        if self._task is None:
            self._task = self._owner.spawn(self._serve(inbound, responder))
            self._task.add_done_callback(self._served_last)
        else:
            self._turn.set_result((inbound, responder))

    def _refuse(self, refusal: Refusal) -> None:
        self._owner.counts.refusals += 1
        if refusal.status == 503:
            memory = self._owner.memory
            log.warning("no memory for a body used=%d waiting=%d", memory.used, memory.waiting)
        request_id = _new_name()
        waits_for = self._owner.on_refusal(refusal, request_id)
        if waits_for is None:
            self._tell(refusal, request_id)
        else:  # the parser is dead by now, so that nothing else happens here meanwhile
            waits_for.add_done_callback(lambda _: self._tell(refusal, request_id))

    def _tell(self, refusal: Refusal, request_id: str) -> None:
        closing = ConnectionResponder(self, head_only=False, keep_alive=False, http_1_0=False)
        reply_refusal(closing, refusal, request_id)
        self._leave(unread=True)

    async def _serve(self, request: Request, responder: ConnectionResponder) -> None:
        """Answer one request after another; ends when the connection is lost."""
        handler = self._owner.handler
        while True:
            try:
                await handler(request, responder)
            except asyncio.CancelledError:
                responder.abort()  # only the client's leaving, or the end of a drain, cancels
                raise
            except Exception:  # the edge: a request's fault must not take the worker down
                self._owner.counts.handler_errors += 1
                log.exception("request failed method=%s", request.method.decode("latin-1"))
                self._fail(request, responder)
            finally:
                self._finish(request, responder)
            if self.lost:
                return
            del request, responder  # a body is large, and the wait may be long
            if self._responder is not None:  # for the next request, which is here already
                await asyncio.sleep(0)  # it is another connection's turn first
            request, responder = await self._turn

    def _served_last(self, _: asyncio.Task[None]) -> None:
        self._hold.release()  # of a request, too, whose turn never came

    def _fail(self, request: Request, responder: ConnectionResponder) -> None:
        if responder.started:
            if not responder.ended:
                responder.abort()
        else:
            responder.keep_alive = False
            text = "the gateway failed on this request"
            reply_refusal(responder, Refusal(500, text, request.target), _new_name())

    def _finish(self, request: Request, responder: ConnectionResponder) -> None:
        self._responder = None
        self._turn = self._loop.create_future()
        self._owner.counts.requests += 1
        if self._writable:
            self._hold.release()
        else:
            self._release()
        if self.lost:
            return
        if self._source is not None:
            self.throttle(None)
        if not responder.ended:  # the handler returned without a complete answer
            self._fail(request, responder)
        if not responder.keep_alive:
            self._leave(unread=self._receiver.partial)
            return
        if self._receiver.answered(self._loop.time()) or not self._reading:
            self._advance()
        if self.must_close and self.idle_since is not None:
            self._owner.became_idle()

    def _leave(self, *, unread: bool) -> None:
        """Close; with bytes unread the client is given time to read the answer.

        A socket that is closed with unread bytes is reset, and the reset can overtake the answer.
        """
        if self.transport.is_closing():
            return
        self._receiver.clear()
        self._release()
        self._leaving_since = self._loop.time()
        if unread:
            self.transport.write_eof()
            self.transport.resume_reading()
        else:
            self.transport.close()

    def _release(self) -> None:
        """Give memory back, but for what the client has not taken yet of a long answer."""
        unsent = not (self._writable or self.lost)
        self._hold.release(self.transport.get_write_buffer_size() if unsent else 0)

    # -- time limits

    def _check_waiting(self, now: float) -> None:
        self._receiver.check(now)
        self._advance()  # what took too long is refused
        if self.idle_since is None:
            return
        limits = self._owner.limits
        allowed_s = limits.head_timeout_s if self._task is None else limits.keep_alive_s
        if now - self.idle_since > allowed_s:
            self.transport.close()

    def _stalled(self, now: float) -> bool:
        size = self.transport.get_write_buffer_size()
        if size == 0 or size != self._buffered:
            self._buffered, self._buffered_since = size, now
            return False
        return now - self._buffered_since > self._owner.limits.write_stall_s


def _new_name() -> str:
    """Return a name for a request that no handler has named."""
    return f"gw_{uuid.uuid4().hex}"
