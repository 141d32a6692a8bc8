"""How the legacy proxy stops: what moves goes on, what waits is served, an abort cuts all."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.serve.forward_proxy import ProxyLimits
from tests.unit.gateway.serve.proxying import (
    echo,
    proxy,
    run,
    target,
    tell,
    tunnel,
)


def test_drain_waits_for_what_moves_and_cuts_what_does_not() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for _ in range(40):
            writer.write(b"drop")
            await asyncio.sleep(0.06)  # the pace of a stream; it takes longer than a pause may be
        writer.write_eof()

    async def main() -> None:
        patient = ProxyLimits(quiet_s=2, drain_s=60)
        async with target(drip) as far, target(echo) as mute, proxy(patient) as (made, port):
            moving, idle = await tunnel(port, far), await tunnel(port, mute)
            moving[1].write(b"!")
            assert await moving[0].readexactly(4) == b"drop"
            stopping = asyncio.ensure_future(made.drain())
            assert await moving[0].read() == b"drop" * 39
            moving[1].close()
            with pytest.raises(ConnectionResetError):
                await idle[0].read()
            idle[1].close()
            await stopping
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(main)


def test_abort_cuts_what_moves() -> None:
    async def main() -> None:
        async with target(echo) as far, proxy() as (made, port):
            reader, writer = await tunnel(port, far)
            await made.abort()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(main)


@pytest.mark.parametrize("form", ["tunnel", "request"])
def test_drain_waits_for_an_answer_that_has_not_begun(form: str) -> None:
    """The model thinks for longer than a tunnel may be quiet; who asked nothing is cut by then."""
    asked, think = asyncio.Event(), asyncio.Event()

    async def ponder(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await think.wait()
        writer.write(b"the answer")
        writer.write_eof()

    async def main() -> None:
        async with target(ponder) as far, target(echo) as mute, proxy() as (made, port):
            if form == "tunnel":
                reader, writer = await tunnel(port, far)
                writer.write(b"question\r\n\r\n")
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % far)
            await asked.wait()
            idle = await tunnel(port, mute)
            stopping = asyncio.ensure_future(made.drain())
            with pytest.raises(ConnectionResetError):
                await idle[0].read()
            think.set()
            assert await reader.read() == b"the answer"
            await stopping
            for one in (idle[1], writer):
                one.close()

    run(main)


def test_request_whose_answer_pauses_is_not_cut_by_a_drain() -> None:
    go_on = asyncio.Event()

    async def pause(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst ")
        await go_on.wait()
        writer.write(b"second")
        writer.write_eof()

    async def main() -> None:
        async with target(pause) as far, target(echo) as mute, proxy() as (made, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % far)
            assert (await reader.readuntil(b"first ")).endswith(b"first ")
            idle = await tunnel(port, mute)
            stopping = asyncio.ensure_future(made.drain())
            with pytest.raises(ConnectionResetError):
                await idle[0].read()
            go_on.set()
            assert await reader.read() == b"second"
            await stopping
            for one in (idle[1], writer):
                one.close()

    run(main)


def test_client_that_was_let_in_before_the_drain_is_served() -> None:
    """It has connected, and the proxy has had no turn to accept it."""

    async def main() -> None:
        async with target(tell) as far, proxy() as (made, port):
            with socket.create_connection(("127.0.0.1", port)) as client:  # blocks the loop
                client.sendall(b"GET http://127.0.0.1:%d/late HTTP/1.1\r\n\r\n" % far)
                stopping = asyncio.ensure_future(made.drain())
                reader, writer = await asyncio.open_connection(sock=client)
                assert b"GET /late HTTP/1.1" in await reader.read()
                writer.close()
                await stopping

    run(main)


def test_client_that_was_let_in_is_cut_by_an_abort() -> None:
    async def main() -> None:
        async with proxy() as (made, port):
            with socket.create_connection(("127.0.0.1", port)) as client:
                made.close()
                await made.abort()
                assert client.recv(1) == b""

    run(main)
