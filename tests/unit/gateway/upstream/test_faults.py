"""Providers that refuse, are silent or die: what is an error, and what is sent again."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from gateway.errors import UpstreamError, UpstreamFault
from gateway.upstream.origin import Origin

if TYPE_CHECKING:
    from tests.unit.gateway.upstream.conftest import (
        Answering,
        Fetch,
        Pieces,
        Post,
        Provider,
        Scripted,
    )

DEADLINE_S = 60.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_refused_connection_is_an_error_before_sending(post: Post) -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(UpstreamError) as caught:
            await post(Origin(f"http://127.0.0.1:{port}"))
        assert caught.value.fault is UpstreamFault.CONNECT

    uvloop.run(test())


def test_silent_provider_times_out_before_and_between_bytes(
    provider: Answering, post: Post, sink: Pieces
) -> None:
    async def test() -> None:
        async with provider(b"", CHUNKED + b"5\r\nhello\r\n") as (_, origin):
            with pytest.raises(UpstreamError) as caught:
                await post(origin, head_timeout_s=0.05)
            assert caught.value.fault is UpstreamFault.TIMEOUT
            answer = await post(origin)
            with pytest.raises(UpstreamError) as caught:
                await answer.pump(sink, idle_timeout_s=0.05)
            assert (caught.value.fault, sink.data) == (UpstreamFault.TIMEOUT, b"hello")
            answer.release()
            assert origin.idle == 0

    uvloop.run(test())


def test_pooled_connection_that_dies_silently_is_replaced_once(
    scripted: Scripted, post: Post, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine is no fault.
    monkeypatch.setattr("gateway.upstream.origin._RESEND_WITHIN_S", DEADLINE_S)

    async def script(
        made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await made.take(reader)
        writer.write(OK)
        await made.take(reader)  # and dies without a word

    async def test() -> None:
        async with scripted(script) as (made, origin):
            assert await fetch(origin) == b"hello"
            answer = await post(origin)
            assert (answer.status, answer.resent) == (200, True)
            answer.release()
            assert (made.connections, len(made.heads), origin.resent) == (2, 3, 1)

    uvloop.run(test())


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 2"])
def test_request_that_may_have_been_worked_on_is_not_sent_again(
    scripted: Scripted, post: Post, fetch: Fetch, last_words: bytes
) -> None:
    """Late death, or death after a byte of the head, is an error: to repeat could bill twice."""

    async def script(
        made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await made.take(reader)
        writer.write(OK)
        await made.take(reader)
        writer.write(last_words)
        if not last_words:
            await asyncio.sleep(1.1)  # the second after which a provider may have begun to work

    async def test() -> None:
        async with scripted(script) as (made, origin):
            assert await fetch(origin) == b"hello"
            with pytest.raises(UpstreamError) as caught:
                await post(origin)
            assert caught.value.fault is UpstreamFault.CUT
            assert (len(made.heads), origin.resent) == (2, 0)

    uvloop.run(test())


def test_fresh_connection_that_dies_is_not_sent_again(provider: Answering, post: Post) -> None:
    async def test() -> None:
        async with provider(b"", OK, close=True) as (made, origin):
            with pytest.raises(UpstreamError) as caught:
                await post(origin)
            assert caught.value.fault is UpstreamFault.CUT
            assert len(made.heads) == 1

    uvloop.run(test())


def test_cancelled_request_cuts_its_connection(scripted: Scripted, post: Post) -> None:
    async def test() -> None:
        entered, gone = asyncio.Event(), asyncio.Event()

        async def script(
            made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.readuntil(b"{}")
            entered.set()
            try:
                await reader.read()
            finally:
                gone.set()

        async with scripted(script) as (_, origin):
            task = asyncio.create_task(post(origin))
            await entered.wait()
            task.cancel()
            async with asyncio.timeout(DEADLINE_S):
                await gone.wait()
            assert origin.idle == 0

    uvloop.run(test())


def test_closed_origin_keeps_no_connection(provider: Answering, post: Post) -> None:
    async def test() -> None:
        async with provider(OK) as (_, origin):
            answer = await post(origin)
            await answer.read(100)
            origin.close()
            answer.release()
            assert origin.idle == 0

    uvloop.run(test())
