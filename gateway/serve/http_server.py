"""The HTTP server of one worker: its connections, their time limits, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.wire.http import Handler

from .connection import ClientConnection, Counts, OnRefusal
from .head_memory import HeadMemory
from .limits import Limits
from .memory import MemoryBudget

__all__ = ["HttpServer", "Limits"]

_CANCEL_S = 5.0  # how long cancelled handlers get for their bookkeeping


class HttpServer:
    """All client connections of a process.

    `protocol` is the factory for `loop.create_server`; whoever created the listener closes it
    before `drain`.
    """

    def __init__(
        self, handler: Handler, limits: Limits, on_refusal: OnRefusal = lambda *_: None
    ) -> None:
        self.handler, self.on_refusal = handler, on_refusal
        self.limits = limits
        self.memory = MemoryBudget(limits.buffered_bytes)
        self.heads = HeadMemory()
        self.counts = Counts()
        self.draining = False
        self.accepted = 0
        self._connections: set[ClientConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def requests(self) -> int:
        """How many requests handlers have finished with, well or badly."""
        return self.counts.requests

    @property
    def refusals(self) -> int:
        """How many requests the framing refused."""
        return self.counts.refusals

    @property
    def clients_left(self) -> int:
        """How many clients left before their answer was complete."""
        return self.counts.clients_left

    @property
    def handler_errors(self) -> int:
        """How many handlers raised."""
        return self.counts.handler_errors

    def protocol(self) -> ClientConnection:
        """Return the protocol of a new connection."""
        return ClientConnection(self)

    def begin_draining(self) -> None:
        """From now on let each answer be the last of its connection."""
        self.draining = True
        for connection in self._connections:
            connection.must_close = True

    async def drain(self, linger_s: float, timeout_s: float) -> bool:
        """Answer what comes, each with `connection: close`, until no client is left.

        A connection is closed `linger_s` after it was last busy, counted from now at the earliest:
        its next request may be on the way. Returns True when no exchange was cut at `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        self.begin_draining()
        begun = loop.time()
        while self._connections or self._tasks:
            now = loop.time()
            if now >= begun + timeout_s:
                break
            due = min(self._close_idle(now, begun, linger_s), begun + timeout_s)
            self._changed.clear()
            await self._wait_changed(due - now)
        return await self._cut_rest()

    def abort(self) -> None:
        """Cut every connection now; a drain under way ends at once."""
        for connection in list(self._connections):
            connection.cut()

    # -- what connections report

    def joined(self, connection: ClientConnection) -> None:
        """Note a new connection, and tell it whether its first answer is its last."""
        self.accepted += 1
        connection.must_close = self.draining
        self._connections.add(connection)
        if self._sweeper is None:
            loop = asyncio.get_running_loop()
            self._sweeper = loop.call_later(self.limits.sweep_s, self._sweep)

    def left(self, connection: ClientConnection) -> None:
        """Note that it is gone."""
        self._connections.discard(connection)
        self._changed.set()
        if not self._connections and self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def became_idle(self) -> None:
        """Note that a connection waits for its next request."""
        self._changed.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a request's task and keep it until it is done.

        Any: what a coroutine yields and is sent is its loop's affair.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    # -- helpers

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check(now)
        self._sweeper = None
        if self._connections:
            self._sweeper = loop.call_later(self.limits.sweep_s, self._sweep)

    def _close_idle(self, now: float, begun: float, linger_s: float) -> float:
        """Close what has been idle long enough; return when the next one is due."""
        due = float("inf")
        for connection in list(self._connections):
            idle_since = connection.idle_since
            if idle_since is None:
                continue
            end = max(idle_since, begun) + linger_s
            if end <= now:
                connection.transport.close()
            else:
                due = min(due, end)
        return due

    async def _wait_changed(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass  # the next idle connection, or the whole drain, is due

    async def _cut_rest(self) -> bool:
        whole = not any(connection.owes_an_answer for connection in self._connections)
        self.abort()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=_CANCEL_S)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        return whole
