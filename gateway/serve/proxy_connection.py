"""One connection of the legacy proxy: a tunnel or a request, passed on until both sides end."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from http import HTTPStatus

from gateway.errors import RequestError

from .proxy_request import ProxyRequest, parse

log = logging.getLogger(__name__)

_CHUNK_BYTES = 65536
_UNREAD_S = 2.0  # how long what a client still sends is read before its connection is closed
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What one proxy bears.

    Attributes:
        connections: More are answered 503.
        head_bytes: Largest request head.
        head_s: Longest time until the head is complete, seconds.
        connect_s: Longest time until the target is connected, seconds.
        idle_s: Longest time without a byte in either direction, seconds.
        quiet_s: The same for a tunnel while the proxy stops, once its target has spoken last: what
            is silent that long has no answer under way. It is longer than models pause in one.
        drain_s: Longest time a stopping proxy waits for the rest, seconds.
    """

    connections: int = 256
    head_bytes: int = 32 * 1024
    head_s: float = 30
    connect_s: float = 10
    idle_s: float = 600
    quiet_s: float = 30
    drain_s: float = 600


class _Phase(Enum):
    """What a connection waits for, with the status and words that end too long a wait."""

    HEAD = (408, "the request did not come in time")
    CONNECT = (504, "the target did not answer in time")
    RELAY = None  # an answer may have begun: it is cut


class ProxyConnection:
    """One client's connection, from its head to its end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: ProxyLimits
    ) -> None:
        self._client, self._limits = _Peer(reader, writer), limits
        self._quiet_s: float | None = None  # while the proxy does not stop
        self._awaited = False  # whether the client waits for an answer, or the rest of one
        self._phase = _Phase.HEAD
        self._clock: asyncio.Timeout | None = None

    def hasten(self, quiet_s: float) -> None:
        """End as soon as nothing has moved for so long, seconds, unless an answer is awaited."""
        self._quiet_s = quiet_s
        if self._awaited or self._clock is None or (due := self._clock.when()) is None:
            return
        self._wait_at_most(min(quiet_s, due - asyncio.get_running_loop().time()))

    async def serve(self, *, crowded: bool) -> None:
        """Serve the one request of this connection; raises nothing but cancellation."""
        try:
            try:
                async with asyncio.timeout(self._limits.head_s) as self._clock:
                    await (self._refuse(503, "too many connections") if crowded else self._answer())
            except TimeoutError:
                if self._phase.value is not None:
                    await self._refuse(*self._phase.value)
        except OSError as error:
            log.info("Proxy connection broke off: %s", error)
        finally:
            self._clock = None
            self._client.cut()  # nothing, when it has ended as it should

    async def _answer(self) -> None:
        request = await self._request()
        upstream = None if request is None else await self._connect(request)
        if request is None or upstream is None:
            return
        self._phase = _Phase.RELAY
        self._heard(awaited=not request.is_tunnel)
        try:
            await self._relay(upstream, request)
            await self._client.finish()
            await upstream.finish()
        finally:
            upstream.cut()  # nothing, when it has ended as it should

    async def _request(self) -> ProxyRequest | None:
        """Read the head; None when it was refused, or the client left."""
        try:
            return parse(await self._client.reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            if error.partial:
                await self._refuse(400, "the head broke off")
            else:
                await self._client.finish()
        except asyncio.LimitOverrunError:
            await self._refuse(431, f"the head is larger than {self._limits.head_bytes} bytes")
        except RequestError as error:
            await self._refuse(error.status, str(error))
        return None

    async def _connect(self, request: ProxyRequest) -> _Peer | None:
        """Reach the target; None when it refused, and the client was told."""
        where = f"{request.host}:{request.port}"
        log.info("Proxy request: %s %s", request.method, where)
        self._phase = _Phase.CONNECT
        self._wait_at_most(self._limits.connect_s)
        try:
            return _Peer(*await asyncio.open_connection(request.host, request.port))
        except TimeoutError:
            raise
        except OSError as error:
            await self._refuse(502, f"{where} cannot be reached: {error.strerror or error}")
            return None

    async def _relay(self, upstream: _Peer, request: ProxyRequest) -> None:
        """Pass bytes both ways until both sides have ended. Raises OSError when one broke off."""
        client, tunnel = self._client, request.is_tunnel
        if tunnel:
            client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.writer.write(request.head)
        asked, answered = (
            partial(self._heard, awaited=True),
            partial(self._heard, awaited=not tunnel),
        )
        there = _copy(client.reader, upstream.writer, asked, request.body_bytes)
        back = _copy(upstream.reader, client.writer, answered, None)
        broken: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(there)
                group.create_task(back)
        except* OSError as errors:
            broken = errors.exceptions[0]
        if broken is not None:
            raise broken

    async def _refuse(self, status: int, words: str) -> None:
        log.info("Proxy refusal: status=%d reason=%s", status, words)
        body = f"{words}\n".encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: {len(body)}\r\n"
            "content-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n"
        )
        self._client.writer.write(head.encode() + body)
        await self._client.finish()

    def _heard(self, *, awaited: bool) -> None:
        """Wait anew: something moved.

        Args:
            awaited: Whether an answer, or the rest of one, is under way for all that is known. A
                request's connection ends with its answer. What passes through a tunnel cannot be
                read: an answer is awaited there when the client has spoken last.
        """
        self._awaited = awaited
        patience_s = self._limits.idle_s
        self._wait_at_most(patience_s if awaited or self._quiet_s is None else self._quiet_s)

    def _wait_at_most(self, seconds: float) -> None:
        """Move the end of the wait; a clock that has run out stays so."""
        if self._clock is not None and not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time() + seconds)


@dataclass(frozen=True, slots=True)
class _Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def finish(self) -> None:
        """Send what is left and close; closing with unread bytes could destroy what was sent."""
        self.writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(_UNREAD_S):
                while await self.reader.read(_CHUNK_BYTES):
                    pass
        self.writer.close()
        await self.writer.wait_closed()

    def cut(self) -> None:
        """Close so that what was sent so far looks broken off. Idempotent."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


async def _copy(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    touch: Callable[[], None],
    limit: int | None,
) -> None:
    """Pass bytes on as fast as the sink takes them, then the end; after `limit` bytes no end."""
    left = limit
    while left is None or left > 0:
        data = await source.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
        if not data:
            sink.write_eof()
            return
        touch()
        sink.write(data)
        await sink.drain()
        touch()
        left = None if left is None else left - len(data)
