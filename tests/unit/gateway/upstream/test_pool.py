"""Backpressure, and which connections are kept for the next request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from tests.unit.gateway.upstream.conftest import (
        Answering,
        Fetch,
        Pieces,
        Post,
        Provider,
        Scripted,
    )

DEADLINE_S = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_throttled_answer_waits_and_its_connection_is_pooled_unpaused(
    provider: Answering, post: Post, fetch: Fetch
) -> None:
    async def test() -> None:
        async with provider(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", OK) as (made, origin):
            answer = await post(origin)
            answer.read_side.pause_reading()
            assert await answer.read(100) == (b"hello", True)
            answer.release()
            assert await fetch(origin) == b"hello"
            assert made.connections == 1

    uvloop.run(test())


def test_read_side_of_a_released_answer_does_not_touch_the_next_user(
    provider: Answering, post: Post, fetch: Fetch
) -> None:
    async def test() -> None:
        async with provider(OK, OK) as (made, origin):
            first = await post(origin)
            await first.read(100)
            first.release()
            first.release()
            assert origin.idle == 1
            first.read_side.pause_reading()  # a slow client notices late
            assert await fetch(origin) == b"hello"
            assert made.connections == 1

    uvloop.run(test())


def test_throttle_stops_the_provider_and_its_time_is_not_counted(
    provider: Answering, post: Post, sink: Pieces
) -> None:
    async def test() -> None:
        body = b"x" * 30_000_000
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with provider(raw) as (_, origin):
            answer = await post(origin)
            answer.read_side.pause_reading()
            pump = asyncio.create_task(answer.pump(sink, idle_timeout_s=1.5))
            await asyncio.wait([pump], timeout=2)
            assert not pump.done()
            assert len(sink.data) < 1_000_000
            answer.read_side.resume_reading()
            await pump
            assert len(sink.data) == len(body)
            answer.release()

    uvloop.run(test())


def test_unfinished_answer_is_cut_when_released(scripted: Scripted, post: Post) -> None:
    async def test() -> None:
        gone = asyncio.Event()

        async def script(
            made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.readuntil(b"{}")
            writer.write(CHUNKED + b"5\r\nhello\r\n")
            try:
                await reader.read()
            finally:
                gone.set()

        async with scripted(script) as (_, origin):
            answer = await post(origin)
            answer.release()
            async with asyncio.timeout(DEADLINE_S):
                await gone.wait()
            assert origin.idle == 0

    uvloop.run(test())


def test_early_answer_leaves_the_connection_out_of_the_pool(scripted: Scripted, post: Post) -> None:
    async def script(
        made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async def test() -> None:
        async with scripted(script) as (_, origin):
            answer = await post(origin, b"x" * 30_000_000)
            assert answer.status == 413
            assert await answer.read(10) == (b"", True)
            answer.release()
            assert origin.idle == 0

    uvloop.run(test())


def test_sweep_closes_the_oldest_and_the_surplus(provider: Answering, post: Post) -> None:
    async def test() -> None:
        async with provider(OK, OK, OK) as (_, origin):
            answers = [await post(origin) for _ in range(3)]
            for answer in answers:
                await answer.read(100)
                answer.release()
            assert origin.idle == 3
            now = asyncio.get_running_loop().time()
            origin.sweep(now)
            assert origin.idle == 3
            origin.sweep(now + 61)
            assert origin.idle == 0

    uvloop.run(test())
