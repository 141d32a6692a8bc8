"""Drain: what is begun is finished, what is idle goes, what is late is cut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvloop

from gateway.serve.http_server import HttpServer
from gateway.wire.http import Handler, Request, Responder

if TYPE_CHECKING:
    from tests.unit.gateway.serve.http_server.conftest import Serving, Until

HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def drain_of(server: HttpServer, linger_s: float, timeout_s: float = 60) -> asyncio.Task[bool]:
    return asyncio.create_task(server.drain(linger_s, timeout_s))


def test_drain_answers_a_late_request_of_an_idle_connection_with_close(
    serving: Serving, until: Until
) -> None:
    async def test() -> None:
        async with serving() as (server, clients):
            client = await clients.connect()
            await client.ask(GET)
            await until(lambda: server.open_connections == 1)
            drain = drain_of(server, linger_s=60)
            await asyncio.sleep(0)  # let it begin
            _, headers, _ = await client.ask(GET)
            assert headers["connection"] == "close"
            assert await client.rest() == b""
            assert await drain is True

    uvloop.run(test())


def test_connections_from_before_and_after_the_beginning_get_a_last_answer(
    serving: Serving, until: Until
) -> None:
    async def test() -> None:
        async with serving() as (server, clients):
            before = await clients.connect()
            _, headers, _ = await before.ask(GET)
            assert "connection" not in headers
            server.begin_draining()
            after = await clients.connect()
            for client in (before, after):
                _, headers, _ = await client.ask(GET)
                assert headers["connection"] == "close"
                assert await client.rest() == b""
            await until(lambda: server.open_connections == 0)

    uvloop.run(test())


def test_drain_closes_an_idle_connection_when_its_linger_is_over(
    serving: Serving, until: Until
) -> None:
    async def test() -> None:
        async with serving() as (server, clients):
            silent = await clients.connect()
            await until(lambda: server.open_connections == 1)
            drain = drain_of(server, linger_s=0.1)
            assert await silent.rest() == b""
            assert await drain is True

    uvloop.run(test())


def test_drain_waits_for_an_upload_longer_than_the_linger(serving: Serving, until: Until) -> None:
    async def test() -> None:
        async with serving() as (server, clients):
            client, idle = await clients.connect(), await clients.connect()
            client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nab")
            await until(lambda: server.open_connections == 2)
            await client.writer.drain()
            drain = drain_of(server, linger_s=0.1)
            assert await idle.rest() == b""  # the linger is over
            status, headers, _ = await client.ask(b"cd")
            assert (status, headers["connection"]) == (200, "close")
            assert await drain is True

    uvloop.run(test())


def test_drain_answers_the_request_after_a_stream_that_began_before(
    serving: Serving, echo: Handler, until: Until
) -> None:
    async def test() -> None:
        go_on = asyncio.Event()

        async def handler(request: Request, responder: Responder) -> None:
            if request.target != b"/stream":
                await echo(request, responder)
                return
            responder.start(200, (), b"first")
            await go_on.wait()
            responder.write(b"last")
            responder.end()

        async with serving(handler) as (server, clients):
            client, idle = await clients.connect(), await clients.connect()
            client.writer.write(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
            await client.reader.readuntil(b"first\r\n")
            await until(lambda: server.open_connections == 2)
            drain = drain_of(server, linger_s=2)  # and again after the stream, for a slow client
            assert await idle.rest() == b""  # the linger, counted from the drain, is over
            go_on.set()
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"4\r\nlast\r\n0\r\n\r\n"
            status, headers, _ = await client.ask(GET)
            assert (status, headers["connection"]) == (200, "close")
            assert await drain is True

    uvloop.run(test())


def test_drain_cuts_and_says_so_when_its_time_is_over(serving: Serving) -> None:
    async def test() -> None:
        entered, bookkeeping = asyncio.Event(), []

        async def forever(_: Request, responder: Responder) -> None:
            responder.start(200, (), b"first")
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                bookkeeping.append("done")

        async with serving(forever) as (server, clients):
            client = await clients.connect()
            client.writer.write(GET)
            await entered.wait()
            assert await server.drain(0.05, 0.1) is False
            assert bookkeeping == ["done"]
            assert server.open_connections == 0

    uvloop.run(test())


def test_idle_server_drains_at_once(serving: Serving) -> None:
    async def test() -> None:
        async with serving() as (server, _):
            assert await asyncio.wait_for(server.drain(60, 60), 30) is True

    uvloop.run(test())
