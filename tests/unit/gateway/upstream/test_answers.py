"""What is received: framing, surplus, broken answers; read, then pump."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.errors import UpstreamError, UpstreamFault

if TYPE_CHECKING:
    from tests.unit.gateway.upstream.conftest import (
        Answering,
        Fetch,
        Pieces,
        Post,
        Provider,
        Scripted,
        Until,
    )

DEADLINE_S = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


ANSWERS = {
    "length": (OK, b"hello"),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nSet-Cookie: evil\r\n\r\n", b"hello"),
    "1xx first": (b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + OK, b"hello"),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_answer_in_any_pieces_is_whole_and_the_connection_kept(
    scripted: Scripted, post: Post, sink: Pieces, name: str, step: int
) -> None:
    raw, expected = ANSWERS[name]

    async def script(
        made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while await reader.readuntil(b"{}"):
            for start in range(0, len(raw), step):
                writer.write(raw[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)

    async def test() -> None:
        async with scripted(script) as (made, origin):
            for _ in range(2):
                answer = await post(origin)
                sink.pieces.clear()
                await answer.pump(sink, idle_timeout_s=DEADLINE_S)
                assert sink.data == expected
                names = {name for name, _ in answer.headers}
                assert not names & {b"transfer-encoding", b"set-cookie", b"x-early"}
                answer.release()
            assert (made.connections, origin.idle) == (1, 1)

    uvloop.run(test())


def test_hop_by_hop_and_named_headers_of_an_answer_are_dropped(
    provider: Answering, post: Post
) -> None:
    raw = (
        b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nConnection: keep-alive, X-Private\r\n"
        b"X-Private: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n"
    )

    async def test() -> None:
        async with provider(raw) as (_, origin):
            answer = await post(origin)
            assert answer.status == 429
            assert answer.headers == ((b"retry-after", b"3"), (b"content-length", b"0"))
            answer.release()

    uvloop.run(test())


SURPLUS = {
    "second answer": b"HTTP/1.1 500 Evil\r\nSet-Cookie: evil\r\nContent-Length: 4\r\n\r\nevil",
    "half an answer": b"HTTP/1.1 5",
    "garbage": b"garbage",
    "one byte": b"H",
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", SURPLUS)
def test_surplus_is_no_part_of_the_answer_and_ends_the_connection(
    scripted: Scripted, post: Post, fetch: Fetch, until: Until, name: str, *, together: bool
) -> None:
    async def script(
        made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"{}")
        writer.write(OK + (SURPLUS[name] if together else b""))
        await writer.drain()
        if not together:
            await go_on.wait()
            writer.write(SURPLUS[name])
        await reader.read()

    go_on = asyncio.Event()

    async def test() -> None:
        async with scripted(script) as (made, origin):
            answer = await post(origin)
            assert await answer.read(100) == (b"hello", True)
            assert (answer.status, answer.headers) == (200, ((b"content-length", b"5"),))
            answer.release()
            go_on.set()
            await until(lambda: origin.idle == 0)
            assert await fetch(origin) == b"hello"
            assert made.connections == 2

    uvloop.run(test())


@pytest.mark.parametrize("pump", [True, False])
def test_body_without_framing_ends_with_the_connection(
    provider: Answering, post: Post, sink: Pieces, *, pump: bool
) -> None:
    async def test() -> None:
        async with provider(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True) as (_, origin):
            answer = await post(origin)
            if pump:
                await answer.pump(sink, idle_timeout_s=DEADLINE_S)
                assert sink.data == b"until the end"
            else:
                assert await answer.read(100) == (b"until the end", True)
            answer.release()
            assert origin.idle == 0

    uvloop.run(test())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 600_000,
    ],
)
def test_answer_that_breaks_the_protocol_is_an_error(
    provider: Answering, post: Post, raw: bytes
) -> None:
    async def test() -> None:
        async with provider(raw) as (_, origin):
            with pytest.raises(UpstreamError) as caught:
                await post(origin)
            assert caught.value.fault is UpstreamFault.PROTOCOL
            assert origin.idle == 0

    uvloop.run(test())


@pytest.mark.parametrize(
    ("raw", "fault", "before"),
    [
        (OK[:-2], UpstreamFault.CUT, b"hel"),
        (CHUNKED + b"5\r\nhello\r\n", UpstreamFault.CUT, b"hello"),
        (CHUNKED + b"5\r\nhello\r\nzz\r\n", UpstreamFault.PROTOCOL, b"hello"),
    ],
)
def test_broken_body_is_an_error_after_what_came(
    provider: Answering, post: Post, sink: Pieces, raw: bytes, fault: UpstreamFault, before: bytes
) -> None:
    async def test() -> None:
        async with provider(raw, close=True) as (_, origin):
            answer = await post(origin)
            with pytest.raises(UpstreamError) as caught:
                await answer.pump(sink, idle_timeout_s=DEADLINE_S)
            assert (caught.value.fault, sink.data) == (fault, before)
            answer.release()
            assert origin.idle == 0

    uvloop.run(test())


def test_read_stops_at_its_limit_and_pump_takes_the_rest(
    provider: Answering, post: Post, fetch: Fetch, sink: Pieces
) -> None:
    body = bytes(range(256)) * 4000

    async def test() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with provider(raw, OK) as (made, origin):
            answer = await post(origin)
            first, whole = await answer.read(1000)
            assert (len(first), whole) == (1000, False)
            await answer.pump(sink, idle_timeout_s=DEADLINE_S)
            assert first + sink.data == body
            answer.release()
            assert await fetch(origin) == b"hello"
            assert made.connections == 1

    uvloop.run(test())


@pytest.mark.parametrize("limit", [5, 6])
def test_read_of_exactly_the_body_is_whole(provider: Answering, post: Post, limit: int) -> None:
    async def test() -> None:
        async with provider(OK) as (_, origin):
            answer = await post(origin)
            assert await answer.read(limit) == (b"hello", True)
            answer.release()

    uvloop.run(test())
