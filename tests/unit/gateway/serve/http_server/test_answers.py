"""Answers: their framing, what is dropped from them, and handlers that fail."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.wire.http import Handler, Request, Responder

if TYPE_CHECKING:
    from tests.unit.gateway.serve.http_server.conftest import Serving

HOST = b"Host: a\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
GET_CLOSE = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
DEADLINE_S = 30.0


async def stream(request: Request, responder: Responder) -> None:
    responder.start(200, ((b"content-type", b"text/event-stream"),), b"one")
    responder.write(b"")
    responder.write(b"two")
    responder.end()


@pytest.mark.parametrize(
    ("status", "method"), [(200, b"HEAD"), (204, b"GET"), (304, b"GET"), (204, b"HEAD")]
)
@pytest.mark.parametrize("whole", [True, False])
def test_bodiless_answer_has_no_body(
    serving: Serving, status: int, method: bytes, *, whole: bool
) -> None:
    async def answer(_: Request, responder: Responder) -> None:
        if whole:
            responder.reply(status, b"body")
        else:
            responder.start(status, (), b"body")
            responder.write(b"more")
            responder.end()

    async def test() -> None:
        async with serving(answer) as (_, clients):
            data = method + b" / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
            head, _, body = (await clients.once(data)).partition(b"\r\n\r\n")
            assert body == b""
            assert b"transfer-encoding" not in head
            assert (b"content-length: 4" in head) is (status == 200 and whole)

    uvloop.run(test())


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (
            b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
            b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        ),
        (b"GET / HTTP/1.0\r\n\r\n", b"onetwo"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"onetwo"),
    ],
)
def test_stream_is_chunked_in_1_1_and_ended_by_closing_in_1_0(
    serving: Serving, request_head: bytes, expected: bytes
) -> None:
    async def test() -> None:
        async with serving(stream) as (_, clients):
            head, _, body = (await clients.once(request_head)).partition(b"\r\n\r\n")
            assert body == expected
            assert b"connection: close" in head

    uvloop.run(test())


def test_hop_by_hop_headers_of_an_answer_are_dropped(serving: Serving) -> None:
    async def answer(_: Request, responder: Responder) -> None:
        names = (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"x-kept")
        responder.start(200, tuple((name, b"close") for name in names), b"a")
        responder.end()

    async def test() -> None:
        async with serving(answer) as (_, clients):
            client = await clients.connect()
            _, headers, body = await client.ask(GET)
            assert headers == {"x-kept": "close", "transfer-encoding": "chunked"}
            assert body == b"a"

    uvloop.run(test())


async def _raises(_: Request, responder: Responder) -> None:
    raise RuntimeError("boom")


async def _returns(_: Request, responder: Responder) -> None:
    return


def _injects(name: bytes, value: bytes) -> Handler:
    async def inject(_: Request, responder: Responder) -> None:
        responder.reply(200, b"", headers=((name, value),))

    return inject


@pytest.mark.parametrize(
    ("handler", "errors"),
    [
        (_raises, 1),
        (_returns, 0),
        (_injects(b"x", b"a\r\nset-cookie: b"), 1),
        (_injects(b"x", b"a\nset-cookie: b"), 1),
        (_injects(b"x", b"a\r"), 1),
        (_injects(b"x\nset-cookie: b", b"a"), 1),
    ],
)
def test_failed_handler_before_the_head_is_500(
    serving: Serving, handler: Handler, errors: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(handler) as (server, clients):
            client = await clients.connect()
            status, headers, body = await client.ask(GET)
            assert (status, json.loads(body)["error"]["type"]) == (500, "api_error")
            assert "set-cookie" not in headers
            assert await client.rest() == b""
            assert server.handler_errors == errors

    uvloop.run(test())
    assert len(caplog.records) == errors


async def _breaks(_: Request, responder: Responder) -> None:
    responder.start(200, (), b"part")
    raise RuntimeError("boom")


async def _forgets(_: Request, responder: Responder) -> None:
    responder.start(200, (), b"part")


async def _promises(_: Request, responder: Responder) -> None:
    responder.start(200, ((b"content-length", b"9"),), b"part")
    responder.end()


@pytest.mark.parametrize("handler", [_breaks, _forgets, _promises])
def test_unfinished_answer_is_visibly_cut(serving: Serving, handler: Handler) -> None:
    async def test() -> None:
        async with serving(handler) as (_, clients):
            client = await clients.connect()
            client.writer.write(GET)
            received = b""
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                async with asyncio.timeout(DEADLINE_S):
                    received = await client.reader.readuntil(b"\r\n0\r\n\r\n")
            assert received == b""

    uvloop.run(test())


def test_unfinished_answer_that_ends_by_closing_is_reset(serving: Serving) -> None:
    async def test() -> None:
        async with serving(_breaks) as (_, clients):
            client = await clients.connect()
            client.writer.write(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await client.rest()

    uvloop.run(test())


def test_more_than_content_length_is_not_sent(serving: Serving) -> None:
    async def answer(_: Request, responder: Responder) -> None:
        responder.start(200, ((b"content-length", b"3"),), b"ab")
        responder.write(b"cdef")
        responder.end()
        responder.write(b"late")

    async def test() -> None:
        async with serving(answer) as (_, clients):
            raw = await clients.once(GET_CLOSE)
            assert raw.endswith(b"\r\n\r\nabc")

    uvloop.run(test())
