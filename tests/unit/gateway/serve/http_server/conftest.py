"""The HTTP server on a loopback socket, and raw clients of it that end with their test."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Protocol

import pytest

from gateway.serve.connection import OnRefusal
from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.http import Handler, Request, Responder

_DEADLINE_S = 30.0

Until = Callable[[Callable[[], bool]], Awaitable[None]]


class Client:
    """A raw connection: what is sent and received is exactly what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(data)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer with Content-Length or chunks."""
        async with asyncio.timeout(_DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            body = b""
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            return int(lines[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        async with asyncio.timeout(_DEADLINE_S):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):  # the server cut it first
            await self.writer.wait_closed()


class Clients:
    """The connections of one test."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened: list[Client] = []

    async def connect(self, buffer_bytes: int | None = None) -> Client:
        """Return a new connection; with a small buffer it takes little that is not read."""
        sock = socket.create_connection(("127.0.0.1", self._port))
        limit = buffer_bytes or 2**16
        if buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        client = Client(*await asyncio.open_connection(sock=sock, limit=limit))
        self._opened.append(client)
        return client

    async def once(self, data: bytes) -> bytes:
        """Return all that a connection of its own gets for this."""
        client = await self.connect()
        client.writer.write(data)
        return await client.rest()

    async def close(self) -> None:
        for client in self._opened:
            await client.close()


class Serving(Protocol):
    """Serve a handler, by default `echo`, for the time of the block."""

    def __call__(
        self,
        handler: Handler | None = None,
        limits: Limits | None = None,
        on_refusal: OnRefusal = lambda *_: None,
    ) -> AbstractAsyncContextManager[tuple[HttpServer, Clients]]: ...


@pytest.fixture
def serving(echo: Handler) -> Serving:
    @asynccontextmanager
    async def open_server(
        handler: Handler | None = None,
        limits: Limits | None = None,
        on_refusal: OnRefusal = lambda *_: None,
    ) -> AsyncIterator[tuple[HttpServer, Clients]]:
        limits = replace(limits or Limits(), sweep_s=0.05)
        server = HttpServer(handler or echo, limits, on_refusal)
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(server.protocol, "127.0.0.1", 0)
        clients = Clients(listener.sockets[0].getsockname()[1])
        try:
            yield server, clients
        finally:
            listener.close()
            server.abort()
            await clients.close()

    return open_server


@pytest.fixture
def echo() -> Handler:
    """Give a handler that answers with method, target and the body's length."""

    async def handle(request: Request, responder: Responder) -> None:
        body = json.dumps([request.method.decode(), request.target.decode(), len(request.body)])
        responder.reply(200, body.encode())

    return handle


@pytest.fixture
def until() -> Until:
    """Wait for the server to notice; polls, because nothing is awaitable on its side."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
