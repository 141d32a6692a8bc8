"""An upstream whose answers are scripted byte by byte, for clients that must notice faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from benchmarks.gateway.programs import Address

Scripted = Callable[..., AbstractAsyncContextManager[Address]]


@pytest.fixture
def scripted() -> Scripted:
    """Serve pieces to every client, each written by itself, then close the connection."""

    @asynccontextmanager
    async def serve(*pieces: bytes) -> AsyncIterator[Address]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            yield Address(server.sockets[0].getsockname()[1])

    return serve
