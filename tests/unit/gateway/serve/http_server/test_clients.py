"""Clients that are slow or leave: who is waited for, who is cut, what a handler notices."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.serve.http_server import Limits
from gateway.wire.http import Handler, Request, Responder

if TYPE_CHECKING:
    from tests.unit.gateway.serve.http_server.conftest import Serving, Until

HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
DEADLINE_S = 60.0


class Source:
    """A read side that records what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def test_slow_reader_pauses_and_resumes_the_source(serving: Serving, until: Until) -> None:
    async def test() -> None:
        source, finish = Source(), asyncio.Event()
        piece = b"x" * 65536

        async def flood(_: Request, responder: Responder) -> None:
            responder.throttle(source)
            responder.start(200, ())
            while not source.calls:
                responder.write(piece)
                await asyncio.sleep(0)
            await finish.wait()
            responder.end()

        async with serving(flood) as (_, clients):
            client = await clients.connect(buffer_bytes=65536)
            client.writer.write(GET)
            await until(lambda: source.calls == ["pause"])
            drained = asyncio.create_task(client.rest())
            await until(lambda: source.calls == ["pause", "resume"])
            finish.set()
            drained.cancel()

    uvloop.run(test())


def test_reader_that_takes_nothing_is_cut(serving: Serving, until: Until) -> None:
    async def flood(_: Request, responder: Responder) -> None:
        responder.reply(200, b"x" * 20_000_000)

    async def test() -> None:
        async with serving(flood, Limits(write_stall_s=0.1)) as (server, clients):
            client = await clients.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
            client.writer.write(GET)
            await until(lambda: server.open_connections == 1)
            await until(lambda: server.open_connections == 0)
            assert server.requests == 1

    uvloop.run(test())


def test_departed_client_cancels_its_handler(serving: Serving, until: Until) -> None:
    async def test() -> None:
        entered, cancelled = asyncio.Event(), asyncio.Event()

        async def wait(_: Request, responder: Responder) -> None:
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with serving(wait) as (server, clients):
            client = await clients.connect()
            client.writer.write(GET)
            await entered.wait()
            await client.close()
            async with asyncio.timeout(DEADLINE_S):
                await cancelled.wait()
            await until(lambda: server.open_connections == 0)
            assert server.clients_left == 1

    uvloop.run(test())


def test_departure_after_the_answer_leaves_bookkeeping_alone(
    serving: Serving, echo: Handler, until: Until
) -> None:
    async def test() -> None:
        go_on, done = asyncio.Event(), asyncio.Event()

        async def answer(request: Request, responder: Responder) -> None:
            await echo(request, responder)
            await go_on.wait()
            done.set()

        async with serving(answer) as (server, clients):
            client = await clients.connect()
            await client.ask(GET)
            await client.close()
            await until(lambda: server.open_connections == 0)
            go_on.set()
            async with asyncio.timeout(DEADLINE_S):
                await done.wait()
            assert server.clients_left == 0

    uvloop.run(test())


def test_connection_leaves_no_task_and_no_memory_behind(
    serving: Serving, echo: Handler, until: Until
) -> None:
    async def test() -> None:
        data = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
        async with serving(echo) as (server, clients):
            before = asyncio.all_tasks()
            silent, kept = await clients.connect(), await clients.connect()
            for _ in range(2):
                await kept.ask(data)
            await until(lambda: server.open_connections == 2)
            assert len(asyncio.all_tasks() - before) == 1, "the silent one has none"
            for client in (silent, kept):
                await client.close()
            await until(lambda: asyncio.all_tasks() == before)
            assert (server.memory.used, server.requests, server.clients_left) == (0, 2, 0)

    uvloop.run(test())


def test_request_is_forgotten_while_its_connection_waits_for_the_next(
    serving: Serving, until: Until
) -> None:
    async def test() -> None:
        data = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nforgotten"

        def kept() -> bool:
            known = (one for one in gc.get_objects() if isinstance(one, Request))
            return any(one.body == b"forgotten" for one in known)

        async def answer(_: Request, responder: Responder) -> None:
            responder.reply(200, json.dumps(kept()).encode())

        async with serving(answer) as (_, clients):
            client = await clients.connect()
            for _ in range(2):
                _, _, body = await client.ask(data)
                assert json.loads(body), "it is there while it is answered"
                await until(lambda: not kept())

    uvloop.run(test())


def test_request_whose_turn_never_came_leaves_no_memory_behind(
    serving: Serving, echo: Handler, until: Until
) -> None:
    async def test() -> None:
        data = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
        before = asyncio.all_tasks()

        async def last(request: Request, responder: Responder) -> None:
            await echo(request, responder)
            server.abort()  # heard of only after the next request's turn has been arranged

        async with serving(last) as (server, clients):
            client = await clients.connect()
            client.writer.write(data * 2)
            await until(lambda: server.accepted == 1 and server.open_connections == 0)
            # What a task holds is given back by a callback of it, a turn of the loop later.
            await until(lambda: asyncio.all_tasks() == before and server.memory.used == 0)
            assert server.requests == 1

    uvloop.run(test())


@pytest.mark.parametrize(
    ("data", "head_s", "status"),
    [
        (b"GET / HT", 1, 408),  # time enough for what is sent to arrive
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\na", DEADLINE_S, 408),
        (b"", 0.1, None),
        (b"\r\n", 0.1, None),
    ],
)
def test_slow_sender_is_refused_and_silent_one_closed(
    serving: Serving, data: bytes, head_s: float, status: int | None
) -> None:
    async def test() -> None:
        limits = Limits(head_timeout_s=head_s, body_idle_timeout_s=0.1)
        async with serving(limits=limits) as (_, clients):
            answer = await clients.once(data)
            assert (int(answer.split()[1]) if answer else None) == status

    uvloop.run(test())


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"x"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["head", "body", "chunked body"],
)
def test_sender_that_dribbles_is_refused(serving: Serving, begun: bytes, piece: bytes) -> None:
    async def test() -> None:
        limits = Limits(head_timeout_s=0.1, body_idle_timeout_s=0.3, body_bytes_per_s=1e6)
        async with serving(limits=limits) as (server, clients):
            client = await clients.connect()
            client.writer.write(begun)
            answer = asyncio.create_task(client.answer())
            while not answer.done():
                client.writer.write(piece)
                await asyncio.wait({answer}, timeout=0.02)  # the pace of the sender
            status, _, body = await answer
            assert (status, json.loads(body)["error"]["type"]) == (408, "timeout_error")
            assert server.requests == 0

    uvloop.run(test())


def test_slow_but_steady_sender_is_served(serving: Serving) -> None:
    async def test() -> None:
        limits = Limits(body_idle_timeout_s=3, body_bytes_per_s=1)
        async with serving(limits=limits) as (_, clients):
            client = await clients.connect()
            client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 12\r\n\r\n")
            for _ in range(12):
                client.writer.write(b"x")
                await asyncio.sleep(0.3)  # the pace of the sender; in all it takes longer
            assert (await client.answer())[0] == 200

    uvloop.run(test())
