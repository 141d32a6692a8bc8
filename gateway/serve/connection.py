"""One client connection: requests answered in order, slow and departed clients noticed."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import uuid
from collections import deque
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Protocol, cast

from gateway.wire.http import Handler, ReadSide

from .request_parser import Inbound, Limits, Phase, Refusal, RequestParser
from .responder import ConnectionResponder

log = logging.getLogger(__name__)

HIGH_WATER_BYTES = 128 << 10
_UNREAD_BYTES = 64 << 10  # received while a request is being answered; above it TCP holds the rest
_SLICE_BYTES = 64 << 10  # bounds how many pipelined requests are parsed ahead
_LINGER_S = 2.0  # how long a refused client gets to read why, before the connection is cut

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_ERROR_KINDS = {408: "timeout_error", 413: "request_too_large", 500: "api_error"}


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
        self._parser = RequestParser(owner.limits)
        self._task: asyncio.Task[None] | None = None
        self._responder: ConnectionResponder | None = None
        self._unread: deque[bytes | memoryview] = deque()
        self._unread_bytes = 0
        self._reading = self._writable = True
        self._source: ReadSide | None = None
        self._served = False
        self._waiting_since = self._loop.time()
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
        busy = self._task is not None or self._unread or self._parser.phase is not Phase.IDLE
        return None if busy else self._waiting_since

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
        elif self._task is None:
            self._check_waiting(now - self._waiting_since)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        # uvloop's transports have this interface without being instances of it.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        self._owner.joined(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        if self._leaving_since is not None:
            return
        if self._task is None and len(data) <= _SLICE_BYTES:
            self._feed(data)
        else:
            self._keep(data)
        self._advance()

    def eof_received(self) -> None:  # noqa: D102 - asyncio's; a client that half-closes has left
        return None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        self.lost = True
        self._unread.clear()
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

    def _keep(self, data: bytes) -> None:
        if len(data) <= _SLICE_BYTES:
            self._unread.append(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), _SLICE_BYTES):
                self._unread.append(view[start : start + _SLICE_BYTES])
        self._unread_bytes += len(data)
        if self._task is not None and self._reading and self._unread_bytes > _UNREAD_BYTES:
            self._reading = False
            self.transport.pause_reading()

    def _feed(self, data: bytes | memoryview) -> None:
        now, before = self._loop.time(), self._parser.phase
        self._parser.feed(data, now)
        phase = self._parser.phase
        if phase is not before or phase is Phase.BODY:
            self._waiting_since = now  # a head's time is counted from its first byte only
        if self._parser.expects_continue and phase is Phase.BODY and self._task is None:
            self._invite_body()

    def _invite_body(self) -> None:
        if not self._parser.ready and not self._unread:
            self._parser.expects_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _advance(self) -> None:
        """Answer what is complete, in order, and read on in between."""
        while self._task is None and self._leaving_since is None and not self.lost:
            if self._parser.ready:
                self._answer(self._parser.ready.popleft())
            elif self._unread:
                data = self._unread.popleft()
                self._unread_bytes -= len(data)
                self._feed(data)
            else:
                break
        if not self._reading and self._task is None and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    # -- answering

    def _answer(self, inbound: Inbound | Refusal) -> None:
        if isinstance(inbound, Refusal):
            self._owner.count(Ended.REFUSAL)
            self._reply_error(inbound.status, inbound.message)
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
            self._fail(responder)
        finally:
            self._finish(responder)

    def _fail(self, responder: ConnectionResponder) -> None:
        if responder.started:
            if not responder.ended:
                responder.abort()
        else:
            responder.keep_alive = False
            _reply_json(responder, 500, "the gateway failed on this request")

    def _finish(self, responder: ConnectionResponder) -> None:
        self._task = self._responder = None
        self._served = True
        self._owner.count(Ended.REQUEST)
        if self.lost:
            return
        self.throttle(None)
        if not responder.ended:  # the handler returned without a complete answer
            self._fail(responder)
        if not responder.keep_alive:
            partial = self._parser.phase in (Phase.HEAD, Phase.BODY)
            self._leave(unread=partial or bool(self._unread))
            return
        self._waiting_since = self._loop.time()
        self._advance()
        if self._parser.expects_continue and self._task is None:
            self._invite_body()
        if self.idle_since is not None:
            self._owner.became_idle()

    def _reply_error(self, status: int, message: str) -> None:
        responder = ConnectionResponder(self, head_only=False, keep_alive=False, http_1_0=False)
        _reply_json(responder, status, message)

    def _leave(self, *, unread: bool) -> None:
        """Close; with bytes unread the client is given time to read the answer.

        A socket that is closed with unread bytes is reset, and the reset can overtake the answer.
        """
        if self.transport.is_closing():
            return
        self._unread.clear()
        self._leaving_since = self._loop.time()
        if unread:
            self.transport.write_eof()
            self.transport.resume_reading()
        else:
            self.transport.close()

    # -- time limits

    def _check_waiting(self, waited_s: float) -> None:
        limits, phase = self._owner.limits, self._parser.phase
        if phase is Phase.HEAD and waited_s > limits.head_timeout_s:
            self._time_out("the request's head did not arrive in time")
        elif phase is Phase.BODY and waited_s > limits.body_idle_timeout_s:
            self._time_out("the request's body stopped arriving")
        elif phase is Phase.IDLE:
            allowed = limits.keep_alive_s if self._served else limits.head_timeout_s
            if waited_s > allowed:
                self.transport.close()

    def _time_out(self, message: str) -> None:
        self._parser.refuse(408, message)
        self._advance()

    def _stalled(self, now: float) -> bool:
        size = self.transport.get_write_buffer_size()
        if size == 0 or size != self._buffered:
            self._buffered, self._buffered_since = size, now
            return False
        return now - self._buffered_since > self._owner.limits.write_stall_s


def _reply_json(responder: ConnectionResponder, status: int, message: str) -> None:
    request_id = f"gw_{uuid.uuid4().hex}"
    error = {"type": _ERROR_KINDS.get(status, "invalid_request_error"), "message": message}
    body = json.dumps({"type": "error", "error": error, "request_id": request_id}).encode()
    headers = ((b"x-gateway-request-id", request_id.encode()),)
    responder.reply(status, body, headers=headers)
