"""Who waits for a future with others: each until it is done, or until its own time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import uvloop

from gateway.store import deadlines
from gateway.store.deadlines import Deadlines


class Late:
    """Counts futures that were given up."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


def on_loops(work: Callable[[Deadlines, Late], Awaitable[None]]) -> None:
    """Run a test on both event loops: their clocks have steps of another size."""

    async def main() -> None:
        late = Late()
        found = Deadlines(late)
        await work(found, late)
        found.close()

    asyncio.run(main())
    uvloop.run(main())


def futures(count: int) -> list[asyncio.Future[bool]]:
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


def test_future_that_is_not_done_in_time_says_false() -> None:
    async def work(found: Deadlines, late: Late) -> None:
        loop = asyncio.get_running_loop()
        [future] = futures(1)
        begun = loop.time()
        found.watch(future)
        assert await future is False
        assert loop.time() - begun >= deadlines.COMMIT_WAIT_S - 0.005, "not before its time"
        assert late.count == 1

    on_loops(work)


def test_future_that_is_done_is_left_alone() -> None:
    async def work(found: Deadlines, late: Late) -> None:
        done, cancelled, later = futures(3)
        done.set_result(True)
        cancelled.cancel()
        for future in (done, cancelled, later):
            found.watch(future)
        later.set_result(True)
        [last] = futures(1)
        found.watch(last)
        assert await last is False
        assert (done.result(), later.result(), cancelled.cancelled()) == (True, True, True)
        assert late.count == 1

    on_loops(work)


def test_each_waits_as_long_as_the_others() -> None:
    async def work(found: Deadlines, late: Late) -> None:
        loop = asyncio.get_running_loop()
        [first] = futures(1)
        found.watch(first)
        await first
        begun = loop.time()
        second, third = futures(2)
        found.watch(second)
        second.set_result(True)
        found.watch(third)
        assert await third is False
        assert loop.time() - begun >= deadlines.COMMIT_WAIT_S - 0.005
        assert late.count == 2

    on_loops(work)


def test_nobody_is_given_up_once_closed() -> None:
    async def work(found: Deadlines, late: Late) -> None:
        [future] = futures(1)
        found.watch(future)
        found.close()
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * deadlines.COMMIT_WAIT_S, over.set)
        await over.wait()
        assert not future.done()
        assert late.count == 0

    on_loops(work)
