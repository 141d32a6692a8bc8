"""Clients against upstreams on loopback: a good one, and ones that each do one thing wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from benchmarks.gateway.bodies import (
    Format,
    Pace,
    paced_request,
    plain_request,
    stream_delta,
    stream_head,
    stream_tail,
)
from benchmarks.gateway.clients import ask, ask_many, first_byte_ms, request_bytes
from benchmarks.gateway.deltas import Faults
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.paced_server import serve
from benchmarks.gateway.programs import Address
from benchmarks.gateway.streams import StreamLoad, StreamReport, take_streams

Scripted = Callable[..., AbstractAsyncContextManager[Address]]

PACE = Pace(deltas=3, every_ms=1)
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"\r\n0\r\n\r\n"  # of the last chunk, and of the body
WIRE = Format.MESSAGES
FIRST, LAST = stream_head(WIRE), stream_tail(WIRE, PACE.deltas) + END
ZERO, ONE, TWO = (stream_delta(WIRE, number, 1) for number in range(3))
WHOLE = b"".join((HEAD, FIRST, ZERO, ONE, TWO, LAST))


async def take(address: Address, streams: int = 1, wire: Format = WIRE) -> StreamReport:
    request = request_bytes(address, paced_request(PACE), wire)
    return await take_streams(address, StreamLoad(request, PACE, streams, 0, wire))


@pytest.mark.parametrize("wire", Format)
def test_streams_of_the_paced_upstream_are_whole(wire: Format) -> None:
    async def main() -> None:
        async with await serve(0) as server:
            address = Address(server.sockets[0].getsockname()[1])
            report = await take(address, 20, wire)
        assert (report.streams, report.broken, report.faults) == (20, 0, Faults())
        assert 0 < report.delay_p50_ms <= report.delay_p99_ms
        assert report.shown == ""

    asyncio.run(main())


@pytest.mark.parametrize(
    ("deltas", "faults"),
    [
        ((ZERO, ONE, TWO), Faults()),
        ((ZERO, TWO), Faults(lost=1)),
        ((ZERO, ONE, ONE, TWO), Faults(doubled=1)),
        ((ONE, ZERO, TWO), Faults(reordered=1)),
    ],
)
def test_faults_of_an_upstream_are_reported(
    scripted: Scripted, deltas: tuple[bytes, ...], faults: Faults
) -> None:
    async def main() -> None:
        async with scripted(b"".join((HEAD, FIRST, *deltas, LAST))) as address:
            report = await take(address, 2)
        assert report.faults == faults + faults
        assert report.broken == 0
        assert report.glued == 2 * (len(deltas) - 1)  # all came in one piece

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (WHOLE[: -len(LAST)], "HTTP/1.1 200 OK"),
        (WHOLE.removesuffix(b"0\r\n\r\n"), "HTTP/1.1 200 OK"),
        (WHOLE.replace(b"200 OK", b"529 Overloaded"), "HTTP/1.1 529 Overloaded"),
        (b"", "no answer"),
    ],
)
def test_stream_that_is_not_whole_is_broken(scripted: Scripted, answer: bytes, shown: str) -> None:
    async def main() -> None:
        async with scripted(answer) as address:
            with pytest.raises(WrongAnswer, match=f"none of 1 streams was whole: {shown}"):
                await take(address)

    asyncio.run(main())


def test_upstream_that_is_not_there_breaks_every_stream() -> None:
    async def main() -> None:
        async with await serve(0) as server:
            address = Address(server.sockets[0].getsockname()[1])
        with pytest.raises(WrongAnswer, match="no answer"):
            await take(address)

    asyncio.run(main())


def test_plain_requests_are_answered_on_kept_connections() -> None:
    async def main() -> None:
        async with await serve(0) as server:
            address = Address(server.sockets[0].getsockname()[1])
            request = request_bytes(address, plain_request(1))
            await ask_many(address, request, requests=25, connections=4)
            answer = await ask(address, request)
        assert b'"output_tokens":120' in answer.body

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nno", "500 Oh"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "200 OK"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nn", "closed within an answer"),
        (b"", "closed within an answer"),
    ],
)
def test_plain_answer_that_is_not_good_raises(scripted: Scripted, answer: bytes, said: str) -> None:
    async def main() -> None:
        async with scripted(answer) as address:
            with pytest.raises(WrongAnswer, match=said):
                await ask(address, request_bytes(address, plain_request(1)))

    asyncio.run(main())


def test_first_bytes_of_streams_on_one_connection_are_timed() -> None:
    async def main() -> None:
        async with await serve(0) as server:
            address = Address(server.sockets[0].getsockname()[1])
            request = request_bytes(address, paced_request(Pace(1, 0)))
            times = await asyncio.to_thread(first_byte_ms, address, request, 5)
        assert len(times) == 5
        assert min(times) > 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "said"),
    [(WHOLE.replace(b"200 OK", b"500 Oh"), "500 Oh"), (WHOLE[:-5], "the stream was cut")],
)
def test_first_byte_of_a_bad_stream_raises(scripted: Scripted, answer: bytes, said: str) -> None:
    async def main() -> None:
        async with scripted(answer) as address:
            request = request_bytes(address, paced_request(PACE))
            with pytest.raises(WrongAnswer, match=said):
                await asyncio.to_thread(first_byte_ms, address, request, 1)

    asyncio.run(main())


@pytest.mark.parametrize("size_kb", [1, 2, 60])
def test_requests_have_the_size_that_is_asked_for(size_kb: int) -> None:
    for body in (plain_request(size_kb), paced_request(PACE, size_kb)):
        assert len(body) == pytest.approx(size_kb * 1024, rel=0.05)


def test_pace_is_read_from_the_prompt_alone() -> None:
    assert Pace.read(paced_request(Pace(deltas=7, every_ms=40), 60)) == Pace(7, 40)
    assert Pace.read(plain_request(60)) is None
