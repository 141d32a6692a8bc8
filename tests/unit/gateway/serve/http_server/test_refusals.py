"""Requests that are refused: how, in whose format, and what becomes of the connection."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.serve.http_server import Limits
from gateway.serve.request_parser import Refusal

if TYPE_CHECKING:
    from tests.unit.gateway.serve.http_server.conftest import Clients, Serving, Until

HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def test_refusal_behind_a_request_comes_after_its_answer(serving: Serving) -> None:
    async def test() -> None:
        async with serving() as (server, clients):
            answers = await clients.once(GET + b"GET / HTTP/1.1\r\n\r\n")
            assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answers.count(b"HTTP/1.1 400 Bad Request\r\n") == 1
            assert (server.requests, server.refusals) == (1, 1)

    uvloop.run(test())


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (b"nonsense\r\n\r\n", 400, "invalid_request_error"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n", 413, "request_too_large"),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n", 414, "invalid_request_error"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 3000, 431, "invalid_request_error"),
        (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501, "invalid_request_error"),
    ],
)
def test_refusal_is_anthropic_json_and_ends_the_connection(
    serving: Serving, data: bytes, status: int, kind: str
) -> None:
    async def test() -> None:
        limits = Limits(head_bytes=1000, target_bytes=200, body_bytes=10)
        async with serving(limits=limits) as (_, clients):
            client = await clients.connect()
            found, headers, body = await client.ask(data)
            document = json.loads(body)
            assert (found, document["type"], document["error"]["type"]) == (status, "error", kind)
            assert headers["connection"] == "close"
            assert headers["x-gateway-request-id"] == document["request_id"]
            assert await client.rest() == b""

    uvloop.run(test())


def test_client_reads_413_though_it_has_not_sent_its_body(serving: Serving) -> None:
    async def test() -> None:
        async with serving(limits=Limits(body_bytes=1000)) as (_, clients):
            client = await clients.connect()
            client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\n\r\n")
            client.writer.write(b"x" * 5_000_000)
            status, _, _ = await client.answer()
            assert status == 413

    uvloop.run(test())


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Length: 11\r\n\r\n", 413),
        (b"X: " + b"a" * 3000, 431),
        (b"Expect: tea\r\n\r\n", 417),
    ],
)
@pytest.mark.parametrize(
    ("path", "member"),
    [
        (b"/v1/chat/completions?a=b", "code"),
        (b"/v1/v1/chat/completions", "code"),
        (b"/v1/messages", None),
    ],
)
def test_refusal_is_in_the_callers_format(
    serving: Serving, path: bytes, member: str | None, rest: bytes, status: int
) -> None:
    async def test() -> None:
        limits = Limits(head_bytes=1000, body_bytes=10)
        async with serving(limits=limits) as (_, clients):
            answer = await clients.once(b"POST " + path + b" HTTP/1.1\r\n" + HOST + rest)
            head, _, body = answer.partition(b"\r\n\r\n")
            document = json.loads(body)
            assert int(head.split()[1]) == status
            assert document.get("type") == (None if member else "error")
            assert (member or "type") in document["error"]

    uvloop.run(test())


class Clerk:
    """Notes what was refused, and lets the answer wait until it is told."""

    def __init__(self) -> None:
        self.noted: list[tuple[Refusal, str]] = []
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def __call__(self, refusal: Refusal, request_id: str) -> asyncio.Future[bool]:
        self.noted.append((refusal, request_id))
        return self.done


LARGE = b"POST /v1/messages?a=b HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n"


def test_refusal_is_noted_once_by_the_name_it_is_answered_with(
    serving: Serving, until: Until
) -> None:
    async def test() -> None:
        clerk = Clerk()
        async with serving(None, Limits(body_bytes=10), clerk) as (server, clients):
            client = await clients.connect()
            client.writer.write(LARGE)
            await until(lambda: bool(clerk.noted))
            client.writer.write(GET * 1000)  # what comes behind it is not looked at
            async with asyncio.timeout(5):
                clerk.done.set_result(True)
                status, headers, _ = await client.answer()
            ((refusal, name),) = clerk.noted
            assert (status, headers["x-gateway-request-id"]) == (413, name)
            assert (refusal.status, refusal.path) == (413, b"/v1/messages")
            assert await client.rest() == b""
            assert (server.requests, server.refusals) == (0, 1)

    uvloop.run(test())


@pytest.mark.parametrize("leaves", [False, True])
def test_connection_whose_refusal_is_being_noted_may_be_cut(
    serving: Serving, until: Until, leaves: bool
) -> None:
    async def test() -> None:
        clerk = Clerk()
        async with serving(None, Limits(body_bytes=10), clerk) as (server, clients):
            client = await clients.connect()
            client.writer.write(LARGE)
            await until(lambda: bool(clerk.noted))
            if leaves:
                await client.close()
            else:
                server.abort()
            await until(lambda: server.open_connections == 0)
            clerk.done.set_result(False)
            await the_server_goes_on(clients)

    uvloop.run(test())


async def the_server_goes_on(clients: Clients) -> None:
    client = await clients.connect()
    assert (await client.ask(GET))[0] == 200


def test_drain_waits_for_the_answer_of_a_refusal(serving: Serving, until: Until) -> None:
    async def test() -> None:
        clerk = Clerk()
        async with serving(None, Limits(body_bytes=10), clerk) as (server, clients):
            client = await clients.connect()
            client.writer.write(LARGE)
            await until(lambda: bool(clerk.noted))
            draining = asyncio.create_task(server.drain(0, 5))
            await asyncio.sleep(0)
            clerk.done.set_result(True)
            assert (await client.answer())[0] == 413
            await client.close()
            assert await draining

    uvloop.run(test())
