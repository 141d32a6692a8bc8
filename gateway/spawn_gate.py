"""Hold the end of a call that starts a sub-agent until all workers know of the call.

Only the event that completes such a call waits, and what comes after it in the same stream; every
other byte passes at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from gateway.agents.spawns import Spawn, SpawnReader
from gateway.store.deadlines import COMMIT_WAIT_S
from gateway.wire.http import Header, Responder
from gateway.wire.passing import PassingResponder

log = logging.getLogger(__name__)

MAX_HELD_BYTES = 64 * 1024
"""A provider that sends more meanwhile is not waited for."""

Expect = Callable[[tuple[Spawn, ...]], "asyncio.Future[bool]"]
"""Notes calls; its future ends once that is committed, or has failed."""


class SpawnGate(PassingResponder):
    """A responder before the real one, for one stream of server-sent events."""

    __slots__ = ("_expect", "_held", "_held_bytes", "_loop", "_reader")

    def __init__(self, responder: Responder, expect: Expect) -> None:
        super().__init__(responder)
        self._expect = expect
        self._reader = SpawnReader()
        self._loop = asyncio.get_running_loop()
        # In the order of the stream; a future stands before the bytes that wait for it.
        self._held: deque[bytes | asyncio.Future[None]] = deque()
        self._held_bytes = 0

    def start(
        self, status: int, headers: tuple[Header, ...], first: bytes = b"", lines: bytes = b""
    ) -> None:
        """Write the head and a first piece."""
        self._responder.start(status, headers, lines=lines)
        self.write(first)

    def write(self, data: bytes) -> None:
        """Send a piece, or hold it and what follows from the end of a call on."""
        started = self._reader.feed(data)
        if started is None:
            self._pass(data)
            return
        self._pass(data[: started.at])
        self._held.append(self._gate(self._expect(started.spawns)))
        self._pass(data[started.at :])

    async def settled(self) -> None:
        """Return once nothing is held any more."""
        while self._held:
            await asyncio.wait(self._gates())

    def end(self) -> None:
        """Finish the body cleanly, without waiting for anything: await `settled` before."""
        self._open(*self._gates())
        super().end()

    def abort(self) -> None:
        """Cut the connection; what is held is not sent."""
        self._held.clear()
        super().abort()

    def _pass(self, data: bytes) -> None:
        if not self._held:
            self._responder.write(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MAX_HELD_BYTES:
            self._give_up(*self._gates())

    def _gate(self, committed: asyncio.Future[bool]) -> asyncio.Future[None]:
        """Return what opens once the calls are committed, or have taken too long."""
        gate: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_later(COMMIT_WAIT_S, self._give_up, gate)

        def open_(_: asyncio.Future[bool]) -> None:
            timer.cancel()
            self._open(gate)

        committed.add_done_callback(open_)
        return gate

    def _give_up(self, *gates: asyncio.Future[None]) -> None:
        log.warning("a sub-agent is started before all workers know of it: no commit in time")
        self._open(*gates)

    def _open(self, *gates: asyncio.Future[None]) -> None:
        for gate in gates:
            if not gate.done():
                gate.set_result(None)
        while self._held:
            first = self._held[0]
            if isinstance(first, bytes):
                self._held_bytes -= len(first)
                self._responder.write(first)
            elif not first.done():
                return
            self._held.popleft()

    def _gates(self) -> tuple[asyncio.Future[None], ...]:
        return tuple(one for one in self._held if isinstance(one, asyncio.Future))
