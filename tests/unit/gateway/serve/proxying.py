"""A legacy proxy between both its sides on loopback, and what a client does with it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gateway.serve.forward_proxy import ForwardProxy, ProxyLimits

LIMITS = ProxyLimits(quiet_s=0.5, drain_s=60)
DEADLINE_S = 60.0
BIG = bytes(range(256)) * 16384  # 4 MiB

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def proxy(limits: ProxyLimits = LIMITS) -> AsyncIterator[tuple[ForwardProxy, int]]:
    """Run a proxy; yield it and its port."""
    made = ForwardProxy(limits)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    made.start(listener)
    try:
        yield made, port
    finally:
        async with asyncio.timeout(DEADLINE_S):
            await made.drain()


@asynccontextmanager
async def target(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a server of the far side; yield its port."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, and the end when it comes."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def tunnel(port: int, far: int) -> Streams:
    """Open a tunnel through the proxy."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nhost: x\r\n\r\n" % far)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
    return reader, writer


async def ask(port: int, request: bytes) -> bytes:
    """Send a request and return everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = await reader.read()
    writer.close()
    return found


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await main()

    asyncio.run(within())


async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request with its own head and body, and close."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    body = await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + head + body)
