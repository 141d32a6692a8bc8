"""One client connection: requests answered in order, slow and departed clients noticed."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Protocol, cast

from gateway.wire.http import Handler, ReadSide, Request

from .memory import MemoryBudget
from .receiver import Receiver
from .refusals import reply_refusal
from .request_parser import Inbound, Limits, Refusal
from .responder import ConnectionResponder

log = logging.getLogger(__name__)

HIGH_WATER_BYTES = 128 << 10
_LINGER_S = 2.0  # how long a refused client gets to read why, before the connection is cut

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Ended(Enum):
    """What a connection reports to its server, to be counted."""

    REQUEST = "request"  # a handler returned
    REFUSAL = "refusal"
    CLIENT_LEFT = "client_left"  # before its answer was complete
    HANDLER_ERROR = "handler_error"


class Owner(Protocol):
    """The server, as its connections see it."""

    limits: Limits
    handler: Handler
    memory: MemoryBudget
    draining: bool

    def joined(self, connection: ClientConnection) -> None:
        """Note a new connection."""

    def left(self, connection: ClientConnection) -> None:
        """Note that it is gone."""

    def became_idle(self) -> None:
        """Note that a connection waits for its next request."""

    def count(self, event: Ended) -> None:
        """Count an event."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a request's task. Any: what a coroutine yields and is sent is its loop's affair."""


class ClientConnection(asyncio.Protocol):
    """Reads requests, runs one handler at a time, and frames its answers."""

    def __init__(self, owner: Owner) -> None:
        self.transport: asyncio.Transport  # set by connection_made, before anything else happens
        self.lost = False
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._hold = owner.memory.hold(lambda: self._loop.call_soon(self._advance))
        self._receiver = Receiver(owner.limits, self._hold, self._loop.time())
        self._task: asyncio.Task[None] | None = None
        self._responder: ConnectionResponder | None = None
        self._reading = self._writable = True
        self._source: ReadSide | None = None
        self._served = False
        self._leaving_since: float | None = None
        self._buffered, self._buffered_since = 0, 0.0

    # -- what the server asks

    @property
    def must_close(self) -> bool:
        """Whether the answer being written is this connection's last."""
        return self._owner.draining

    @property
    def idle_since(self) -> float | None:
        """Event-loop time since when nothing is received or answered; None while something is."""
        idle = self._task is None and self._receiver.idle
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
        elif self._task is None and self._writable:
            self._check_waiting(now)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        # uvloop's transports have this interface without being instances of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        self._owner.joined(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        if self._leaving_since is None:
            self._receiver.keep(data)
            self._advance()

    def eof_received(self) -> None:  # noqa: D102 - asyncio's; a client that half-closes has left
        return None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        self.lost = True
        self._receiver.clear()
        if self._task is None:
            self._hold.release()  # else the request is in memory until its task has ended
        if self._task is not None and self._responder is not None and not self._responder.ended:
            self._owner.count(Ended.CLIENT_LEFT)
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
        if self._task is None:
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
        """Answer what is complete, in order, and read on in between."""
        while self._may_answer():
            found = self._receiver.next(self._loop.time())
            if found is None:
                if self._receiver.invites():
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                break
            self._answer(found)
        self._set_reading()

    def _may_answer(self) -> bool:
        """Return whether it is the next request's turn: not while answers are left unread."""
        busy = self._task is not None or not self._writable
        return not (busy or self._leaving_since is not None or self.lost)

    def _set_reading(self) -> None:
        """Read no further ahead than there is room; a refused client is read to its end."""
        receiver = self._receiver
        if self.lost or self._leaving_since is not None or self.transport.is_closing():
            return
        answering = self._task is not None or not self._writable
        waits = receiver.waits_for_memory
        if self._reading and (waits or (answering and receiver.full)):
            self._reading = False
            self.transport.pause_reading()
        elif not self._reading and not answering and not waits:
            self._reading = True
            self.transport.resume_reading()

    # -- answering

    def _answer(self, inbound: Inbound | Refusal) -> None:
        if isinstance(inbound, Refusal):
            self._owner.count(Ended.REFUSAL)
            if inbound.status == 503:
                memory = self._owner.memory
                log.warning("no memory for a body used=%d waiting=%d", memory.used, memory.waiting)
            closing = ConnectionResponder(self, head_only=False, keep_alive=False, http_1_0=False)
            reply_refusal(closing, inbound)
            self._leave(unread=True)
            return
        responder = ConnectionResponder(
            self,
            head_only=inbound.request.method == b"HEAD",
            keep_alive=inbound.keep_alive,
            http_1_0=inbound.http_1_0,
        )
        self._responder = responder
        self._task = self._owner.spawn(self._run(inbound, responder))

    async def _run(self, inbound: Inbound, responder: ConnectionResponder) -> None:
        try:
            await self._owner.handler(inbound.request, responder)
        except asyncio.CancelledError:
            responder.abort()  # only the client's leaving, or the end of a drain, cancels
            raise
        except Exception:  # the edge: a request's fault must not take the worker down
            self._owner.count(Ended.HANDLER_ERROR)
            log.exception("request failed method=%s", inbound.request.method.decode("latin-1"))
            self._fail(inbound.request, responder)
        finally:
            self._finish(inbound.request, responder)

    def _fail(self, request: Request, responder: ConnectionResponder) -> None:
        if responder.started:
            if not responder.ended:
                responder.abort()
        else:
            responder.keep_alive = False
            text = "the gateway failed on this request"
            reply_refusal(responder, Refusal(500, text, request.target))

    def _finish(self, request: Request, responder: ConnectionResponder) -> None:
        self._task = self._responder = None
        self._served = True
        self._owner.count(Ended.REQUEST)
        self._release()
        if self.lost:
            return
        self.throttle(None)
        if not responder.ended:  # the handler returned without a complete answer
            self._fail(request, responder)
        if not responder.keep_alive:
            self._leave(unread=self._receiver.partial)
            return
        self._receiver.answered(self._loop.time())
        self._advance()
        if self.idle_since is not None:
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
        allowed_s = limits.keep_alive_s if self._served else limits.head_timeout_s
        if now - self.idle_since > allowed_s:
            self.transport.close()

    def _stalled(self, now: float) -> bool:
        size = self.transport.get_write_buffer_size()
        if size == 0 or size != self._buffered:
            self._buffered, self._buffered_since = size, now
            return False
        return now - self._buffered_since > self._owner.limits.write_stall_s
