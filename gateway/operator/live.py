"""The live stream behind the dashboard: figures every few seconds, and what happens, as it does.

One task reads the ledger for all listeners of a worker, and only while there are any; so listeners
see what happens on every worker.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import apsw

from gateway.store import entries, queries
from gateway.store.ledger import Ledger
from gateway.wire.answers import to_json
from gateway.wire.http import Header, Responder

log = logging.getLogger(__name__)

TICK_S = 1.0
ANALYTICS_TICKS = 5
KEEP_ALIVE_TICKS = 30
MAX_LISTENERS = 64
TICK_READS = 10
"""So often are events read in a tick; what is left then comes with the next."""


class LiveStream:
    """Everybody who listens to one worker."""

    def __init__(self, ledger: Ledger, *, enabled: bool) -> None:
        self._ledger = ledger
        self._enabled = enabled
        self._listeners: set[_Listener] = set()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether no further listener is taken."""
        return len(self._listeners) >= MAX_LISTENERS

    async def serve(self, responder: Responder, headers: tuple[Header, ...]) -> None:
        """Send events until the client leaves or the worker drains. Raises apsw.Error."""
        last, first = await self._ledger.read(self._opening)
        own = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"))
        responder.start(200, own + headers, first)
        listener = _Listener(responder)
        responder.throttle(listener)
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tell(last))
        try:
            await self._closing.wait()
            responder.end()
        finally:
            responder.throttle(None)
            self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream, so that a draining worker need not wait for its viewers."""
        self._closing.set()

    async def stopped(self) -> None:
        """Return once nothing reads the ledger any more."""
        self.close()
        if self._task is not None:
            await self._task

    async def _tell(self, last: int) -> None:
        """Send events.

        Args:
            last: The newest record that the first listener's first figures include.
        """
        try:
            tick = 0
            while self._listeners and not self._closing.is_set():
                tick += 1
                last = await self._tick(tick, last)
                await self._pause()
        finally:
            self._task = None

    async def _tick(self, tick: int, last: int) -> int:
        try:
            for _ in range(TICK_READS):
                last, found = await self._ledger.read(partial(entries.events_after, last=last))
                for name, document in found:
                    self._send(event(name, document))
                if len(found) < entries.EVENT_ROWS:
                    break
            if tick % ANALYTICS_TICKS == 0:
                self._send(await self._ledger.read(self._analytics))
        except apsw.Error as error:
            log.warning("live stream cannot read the ledger: %s", error)
            self._send(event("error", {"message": "the ledger cannot be read"}))
        if tick % KEEP_ALIVE_TICKS == 0:
            self._send(b": keep-alive\n\n")
        return last

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._closing.wait()
        except TimeoutError:
            return

    def _opening(self, connection: apsw.Connection) -> tuple[int, bytes]:
        return entries.newest(connection), self._analytics(connection)

    def _analytics(self, connection: apsw.Connection) -> bytes:
        document = {
            "overrides": queries.overrides(connection, enabled=self._enabled),
            "summary": queries.summary(connection),
        }
        return event("analytics", document)

    def _send(self, data: bytes) -> None:
        for listener in self._listeners:
            listener.send(data)


def event(name: str, document: object) -> bytes:
    """Return a server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), to_json(document))


class _Listener:
    """One client; what it does not read in time it misses, so that it cannot fill the memory."""

    __slots__ = ("_paused", "_responder")

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._paused = False

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False

    def send(self, data: bytes) -> None:
        if not self._paused:
            self._responder.write(data)
