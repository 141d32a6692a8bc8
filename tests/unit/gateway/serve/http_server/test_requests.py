"""Requests as they come: in pieces, pipelined, with an invitation, on one connection."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from gateway.wire.http import Handler, Request, Responder

if TYPE_CHECKING:
    from tests.unit.gateway.serve.http_server.conftest import Serving

HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("step", [1, 5, 10_000])
def test_request_in_any_pieces_is_answered(serving: Serving, step: int) -> None:
    async def test() -> None:
        data = b"POST /m HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nabcdef"
        async with serving() as (server, clients):
            client = await clients.connect()
            for start in range(0, len(data), step):
                client.writer.write(data[start : start + step])
                await client.writer.drain()
            status, headers, body = await client.answer()
            assert (status, json.loads(body)) == (200, ["POST", "/m", 6])
            assert "connection" not in headers
            assert (server.requests, server.open_connections) == (1, 1)

    uvloop.run(test())


def test_pipelined_requests_are_answered_in_order(serving: Serving, echo: Handler) -> None:
    async def test() -> None:
        async def slow_first(request: Request, responder: Responder) -> None:
            if request.target == b"/0":
                await asyncio.sleep(0.02)  # the later ones are ready before it is answered
            await echo(request, responder)

        count = 5000  # more than one slice of them, and more than is kept unread
        data = b"".join(b"GET /%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(count))
        async with serving(slow_first) as (server, clients):
            client = await clients.connect()
            client.writer.write(data)
            for number in range(count):
                _, _, body = await client.answer()
                assert json.loads(body)[1] == f"/{number}"
            assert server.accepted == 1

    uvloop.run(test())


def test_one_connection_serves_many_requests_without_state_of_the_one_before(
    serving: Serving, echo: Handler
) -> None:
    async def test() -> None:
        seen: list[Any] = []

        async def record(request: Request, responder: Responder) -> None:
            seen.append((request.method, request.target, request.header(b"x-once"), request.body))
            await echo(request, responder)

        async with serving(record) as (server, clients):
            client = await clients.connect()
            await client.ask(
                b"POST /1 HTTP/1.1\r\n" + HOST + b"X-Once: y\r\nContent-Length: 2\r\n\r\nab"
            )
            await client.ask(b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
            assert seen == [(b"POST", b"/1", b"y", b"ab"), (b"GET", b"/2", None, b"")]
            assert server.accepted == 1

    uvloop.run(test())


def test_expect_100_continue_is_invited_once(serving: Serving) -> None:
    async def test() -> None:
        async with serving() as (_, clients):
            client = await clients.connect()
            head = (
                b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            )
            status, _, _ = await client.ask(head)
            assert status == 100
            status, _, body = await client.ask(b"abc")
            assert (status, json.loads(body)[2]) == (200, 3)

    uvloop.run(test())


def test_expect_behind_a_running_request_is_invited_after_its_answer(serving: Serving) -> None:
    async def test() -> None:
        async with serving() as (_, clients):
            client = await clients.connect()
            head = (
                b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            )
            statuses = [(await client.ask(GET + head))[0], (await client.answer())[0]]
            assert statuses == [200, 100]
            assert (await client.ask(b"abc"))[0] == 200

    uvloop.run(test())


def test_http_1_0_keep_alive_with_length_is_kept(serving: Serving) -> None:
    async def test() -> None:
        async with serving() as (_, clients):
            client = await clients.connect()
            for _ in range(2):
                _, headers, _ = await client.ask(
                    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                )
                assert headers["connection"] == "keep-alive"

    uvloop.run(test())


def test_head_is_remembered_across_connections(serving: Serving, echo: Handler) -> None:
    async def test() -> None:
        heads = []

        async def record(request: Request, responder: Responder) -> None:
            heads.append(request.head)
            await echo(request, responder)

        async with serving(record) as (server, clients):
            for _ in range(3):
                client = await clients.connect()
                for size in (1, 22, 100_000):
                    data = b"POST /m HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size
                    _, _, body = await client.ask(data + b"x" * size)
                    assert json.loads(body) == ["POST", "/m", size]
            (known,) = server.heads.known.values()
            assert all(head is known for head in heads)

    uvloop.run(test())


def test_pipelined_requests_of_a_known_head_are_answered_in_order(
    serving: Serving, echo: Handler
) -> None:
    async def test() -> None:
        head = b"POST /m HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n"
        sizes = [1, *range(600), 70_000, 3]
        async with serving(echo) as (_, clients):
            client = await clients.connect()
            client.writer.write(b"".join(head % size + b"x" * size for size in sizes))
            for size in sizes:
                assert json.loads((await client.answer())[2])[2] == size

    uvloop.run(test())


def test_pipelined_requests_leave_the_loop_to_others_between_them(
    serving: Serving, echo: Handler
) -> None:
    async def test() -> None:
        turns: list[str] = []

        async def note(request: Request, responder: Responder) -> None:
            turns.append("request")
            asyncio.get_running_loop().call_soon(turns.append, "other")
            await echo(request, responder)

        async with serving(note) as (_, clients):
            client = await clients.connect()
            client.writer.write(GET * 20)
            for _ in range(20):
                await client.answer()
            assert turns[:40] == ["request", "other"] * 20

    uvloop.run(test())
