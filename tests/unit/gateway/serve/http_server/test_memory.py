"""The memory that bodies may take: who waits for it, who is refused, when it is free again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.serve.http_server import Limits
from gateway.wire.http import Request, Responder

if TYPE_CHECKING:
    from tests.unit.gateway.serve.http_server.conftest import Serving, Until

HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = 300_000
TIGHT = Limits(buffered_bytes=500_000, memory_wait_s=60)


class Held:
    """A handler that keeps requests until it is told to answer them."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.entered = 0

    async def __call__(self, request: Request, responder: Responder) -> None:
        self.entered += 1
        await self.go_on.wait()
        responder.reply(200, b"%d" % len(request.body))


def upload(size: int, *, chunked: bool = False) -> bytes:
    """Return a request's head; the body is `size` bytes."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    return b"POST / HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
def test_upload_waits_until_there_is_memory_for_it(
    serving: Serving, until: Until, *, chunked: bool
) -> None:
    async def test() -> None:
        held, body = Held(), b"x" * BODY
        wire = b"%x\r\n%b\r\n0\r\n\r\n" % (BODY, body) if chunked else body
        async with serving(held, TIGHT) as (server, clients):
            opened = [await clients.connect() for _ in range(3)]
            for client in opened:
                client.writer.write(upload(BODY, chunked=chunked) + wire)
            await until(lambda: held.entered == 1 and server.memory.waiting == 2)
            assert server.memory.used <= TIGHT.buffered_bytes + (BODY if chunked else 0)
            held.go_on.set()
            for client in opened:
                status, _, answer = await client.answer()
                assert (status, int(answer)) == (200, BODY)
            assert (server.memory.used, server.memory.waiting, held.entered) == (0, 0, 3)

    uvloop.run(test())


def test_upload_without_memory_is_503_after_a_while(
    serving: Serving, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        held, limits = Held(), Limits(buffered_bytes=500_000, memory_wait_s=0.1)
        async with serving(held, limits) as (server, clients):
            first, second = await clients.connect(), await clients.connect()
            first.writer.write(upload(BODY) + b"x" * BODY)
            await until(lambda: held.entered == 1)
            second.writer.write(upload(BODY) + b"x" * BODY)
            status, headers, body = await second.answer()
            assert (status, json.loads(body)["error"]["type"]) == (503, "overloaded_error")
            assert 1 <= int(headers["retry-after"]) <= 60
            assert (server.memory.waiting, held.entered, server.refusals) == (0, 1, 1)
            held.go_on.set()
            assert (await first.answer())[0] == 200
            assert server.memory.used == 0

    uvloop.run(test())
    assert "no memory for a body used=300000" in caplog.text


def test_half_received_bodies_do_not_starve_each_other(serving: Serving) -> None:
    async def test() -> None:
        async with serving(limits=TIGHT) as (server, clients):
            opened = [await clients.connect() for _ in range(4)]
            for client in opened:  # all begin, and together they fill the memory
                client.writer.write(upload(BODY, chunked=True) + b"%x\r\n" % BODY)
            for _ in range(0, BODY, 10_000):
                for client in opened:
                    client.writer.write(b"x" * 10_000)
                await asyncio.sleep(0)
            for client in opened:
                client.writer.write(b"\r\n0\r\n\r\n")
            answers = await asyncio.gather(*(client.answer() for client in opened))
            assert [status for status, _, _ in answers] == [200] * 4
            assert server.memory.used == 0

    uvloop.run(test())


def test_body_is_not_invited_before_there_is_memory_for_it(serving: Serving, until: Until) -> None:
    async def test() -> None:
        held = Held()
        async with serving(held, TIGHT) as (server, clients):
            first, second = await clients.connect(), await clients.connect()
            first.writer.write(upload(BODY) + b"x" * BODY)
            await until(lambda: held.entered == 1)
            expecting = upload(BODY).replace(HOST, HOST + b"Expect: 100-continue\r\n")
            second.writer.write(expecting)
            await until(lambda: server.memory.waiting == 1)
            held.go_on.set()
            assert [(await second.answer())[0], (await first.answer())[0]] == [100, 200]
            assert (await second.ask(b"x" * BODY))[0] == 200

    uvloop.run(test())


def test_memory_of_a_client_that_leaves_is_free_again(serving: Serving, until: Until) -> None:
    async def test() -> None:
        held = Held()
        async with serving(held, TIGHT) as (server, clients):
            begun, answered = await clients.connect(), await clients.connect()
            answered.writer.write(upload(BODY) + b"x" * BODY)
            await until(lambda: held.entered == 1)
            begun.writer.write(upload(100_000) + b"x")
            await until(lambda: server.memory.used == BODY + 100_000)
            await begun.close()
            await until(lambda: server.memory.used == BODY)
            await answered.close()
            await until(lambda: server.memory.used == 0)

    uvloop.run(test())


def test_answer_that_is_not_read_is_counted_and_holds_up_the_next_request(
    serving: Serving, until: Until
) -> None:
    size = 8_000_000

    async def flood(request: Request, responder: Responder) -> None:
        assert request.memory.try_more(size)
        responder.reply(200, b"x" * size)

    async def test() -> None:
        async with serving(flood, Limits(buffered_bytes=size + 1)) as (server, clients):
            client = await clients.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
            client.writer.write(GET + GET)
            await until(lambda: server.requests == 1)
            assert 0 < server.memory.used < size
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            for _ in range(2):
                status, _, body = await client.answer()
                assert (status, len(body)) == (200, size)
            assert (server.requests, server.memory.used) == (2, 0)

    uvloop.run(test())
