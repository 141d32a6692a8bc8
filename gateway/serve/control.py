"""The worker's end of the control channel: reports, and the directory of workers."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import asdict
from typing import cast

from gateway.wire.workers import ReloadOutcome, WorkerRecord

from .channel import Loaded, Message, Table, line_of, split_lines, table_of

_BEAT_S = 1.0
_ANSWER_S = 5.0


class SupervisorLink(asyncio.Protocol):
    """The worker's end, and its directory of workers.

    Attributes:
        orphaned: Set when the supervisor has died.
    """

    def __init__(self) -> None:
        self.orphaned = asyncio.Event()
        self._lost = asyncio.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._asked: asyncio.Future[Table] | None = None
        self._beat: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, sock: socket.socket) -> SupervisorLink:
        """Take over a connected socket and begin to beat."""
        loop = asyncio.get_running_loop()
        _, link = await loop.connect_accepted_socket(cls, sock)
        return link

    def ready(self, boot_id: str, pid: int, loaded: Loaded) -> None:
        """Report that this worker serves."""
        self._send({"type": "ready", "boot_id": boot_id, "pid": pid, **asdict(loaded)})

    def failed(self, error: str) -> None:
        """Report why this worker cannot serve."""
        self._send({"type": "failed", "error": error})

    def draining(self, within_s: float) -> None:
        """Report that this worker stops, at the latest after `within_s` seconds."""
        self._send({"type": "draining", "within_s": within_s})

    async def workers(self) -> tuple[WorkerRecord, ...]:
        """Return every live worker, this one included. Raises TimeoutError when nobody answers."""
        return (await self._table()).workers

    async def last_reload(self) -> ReloadOutcome | None:
        """Return how the last replacement ended; None when there was none."""
        return (await self._table()).last_reload

    def shut_down(self) -> None:
        """Ask the supervisor to drain all workers and to end."""
        self._send({"type": "shutdown"})

    async def close(self) -> None:
        """Send what is left and close."""
        self._closing = True
        if self._beat is not None:
            self._beat.cancel()
        if self._transport is not None and not self._lost.is_set():
            self._transport.close()
            async with asyncio.timeout(_ANSWER_S):
                await self._lost.wait()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        # uvloop's transports have this interface without being instances of it.
        self._transport = cast("asyncio.Transport", transport)
        self._beat = self._loop.call_later(_BEAT_S, self._send_beat)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        messages, self._received = split_lines(self._received + data)
        for message in messages:
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(table_of(message))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio's
        if self._beat is not None:
            self._beat.cancel()
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(TimeoutError("the supervisor is gone"))
        self._lost.set()
        if not self._closing:
            self.orphaned.set()

    # -- helpers

    async def _table(self) -> Table:
        """Ask; callers at the same time share one answer."""
        if self._lost.is_set():
            raise TimeoutError("the supervisor is gone")
        if self._asked is None or self._asked.done():
            self._asked = self._loop.create_future()
            self._send({"type": "query"})
        async with asyncio.timeout(_ANSWER_S):
            return await asyncio.shield(self._asked)

    def _send_beat(self) -> None:
        self._send({"type": "beat"})
        self._beat = self._loop.call_later(_BEAT_S, self._send_beat)

    def _send(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line_of(message))
