"""Scripted providers on loopback, and the client of each; both end with their block."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest

from gateway.upstream.origin import Answer, Origin
from gateway.wire.http import Header

_DEADLINE_S = 60.0

Until = Callable[[Callable[[], bool]], Awaitable[None]]


class Provider:
    """Runs a script on each connection; keeps what it received."""

    def __init__(self, script: Script) -> None:
        self.port = self.connections = 0
        self.heads: list[bytes] = []
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._script(self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client cut it, which some tests are about
        except asyncio.CancelledError:
            return  # the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def take(self, reader: asyncio.StreamReader) -> bytes:
        """Read one request and return its body."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = re.search(rb"content-length: (\d+)", head)
        return await reader.readexactly(int(length[1])) if length else b""

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)


Script = Callable[[Provider, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Served = AbstractAsyncContextManager[tuple[Provider, Origin]]


class Scripted(Protocol):
    """Serve a script."""

    def __call__(self, script: Script) -> Served: ...


class Answering(Protocol):
    """Answer the requests of all connections with these, in turn; then read on, or close."""

    def __call__(self, *answers: bytes, close: bool = False) -> Served: ...


class Post(Protocol):
    """Send a request and return what has come of its answer."""

    async def __call__(
        self,
        origin: Origin,
        body: bytes = b"{}",
        headers: tuple[Header, ...] = (),
        head_timeout_s: float = _DEADLINE_S,
    ) -> Answer: ...


class Fetch(Protocol):
    """Send a request and return a whole body; the answer is released."""

    async def __call__(self, origin: Origin) -> bytes: ...


@pytest.fixture
def received() -> list[Answer]:
    """Collect the answers, so that none stays open when a test fails."""
    return []


@pytest.fixture
def scripted(received: list[Answer]) -> Scripted:
    @asynccontextmanager
    async def open_provider(script: Script) -> AsyncIterator[tuple[Provider, Origin]]:
        made = Provider(script)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        origin = Origin(f"http://127.0.0.1:{made.port}/base/")
        try:
            yield made, origin
        finally:
            for answer in received:
                answer.release()
            origin.close()
            server.close()
            await made.end()

    return open_provider


@pytest.fixture
def provider(scripted: Scripted) -> Answering:
    def open_provider(*answers: bytes, close: bool = False) -> Served:
        left = list(answers)

        async def script(
            made: Provider, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            while left:
                await made.take(reader)
                writer.write(left.pop(0))
                await writer.drain()
                if close:
                    return
            await reader.read()

        return scripted(script)

    return open_provider


@pytest.fixture
def post(received: list[Answer]) -> Post:
    async def send(
        origin: Origin,
        body: bytes = b"{}",
        headers: tuple[Header, ...] = (),
        head_timeout_s: float = _DEADLINE_S,
    ) -> Answer:
        answer = await origin.send(b"POST", b"/v1/m", headers, body, head_timeout_s=head_timeout_s)
        received.append(answer)
        return answer

    return send


@pytest.fixture
def fetch(post: Post) -> Fetch:
    async def get(origin: Origin) -> bytes:
        answer = await post(origin)
        try:
            body, whole = await answer.read(1 << 20)
            assert whole
            return body
        finally:
            answer.release()

    return get


class Pieces:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def body(self, data: bytes) -> None:
        self.pieces.append(data)


@pytest.fixture
def sink() -> Pieces:
    return Pieces()


@pytest.fixture
def until() -> Until:
    """Wait for the client to notice; polls, because nothing is awaitable on its side."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
