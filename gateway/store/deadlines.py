"""Give up on futures that are not done in time, all of them by one timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

COMMIT_WAIT_S = 0.25
"""Longest time an answer waits for its record."""


class Deadlines:
    """Those who wait, the longest first: each waits equally long, so the first is due first."""

    __slots__ = ("_late", "_loop", "_timer", "_waiting")

    def __init__(self, late: Callable[[], None]) -> None:
        """Begin with nobody.

        Args:
            late: Called for each future that was given up.
        """
        self._loop = asyncio.get_running_loop()
        self._late = late
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, future: asyncio.Future[bool]) -> asyncio.Future[bool]:
        """Return a future that says False, too, when it is not done in time: the same one.

        Whoever stops waiting cancels it; what it stands for is done all the same.
        """
        self._waiting.append((self._loop.time() + COMMIT_WAIT_S, future))
        if self._timer is None:
            self._timer = self._loop.call_later(COMMIT_WAIT_S, self._sweep)
        return future

    def close(self) -> None:
        """Give nobody up any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """Drop who is done and give up who is due; the timer is for the first who is neither."""
        waiting, now = self._waiting, self._loop.time()
        self._timer = None
        while waiting:
            due, future = waiting.popleft()
            if future.done():
                continue
            if due > now:
                waiting.appendleft((due, future))
                self._timer = self._loop.call_later(due - now, self._sweep)
                return
            future.set_result(False)
            self._late()
