"""Providers on loopback in the test's own event loop, which answer as a script says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Json = Any  # a parsed document whose shape the assertions state
Pairs = tuple[tuple[bytes, bytes], ...]

JSON = (b"content-type", b"application/json")
SSE = (b"content-type", b"text/event-stream")
_SSE_UTF8 = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as a provider received it.

    Attributes:
        pairs: Its headers as they came, names in lower case.
    """

    method: bytes
    target: bytes
    pairs: Pairs
    body: bytes

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        return dict(self.pairs)

    def json(self) -> Json:
        return json.loads(self.body)


Script = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Provider:
    """An HTTP server that does what its script says, byte for byte, and remembers what it saw."""

    script: Script
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while not writer.is_closing():
                request = await _read(reader)
                self.seen.append(request)
                await self.script(request, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass  # asyncio reports a handler that ends as cancelled
        finally:
            self._serving.discard(task)
            writer.close()

    async def leave(self) -> None:
        """End what is being served, wherever its script is."""
        for task in (serving := tuple(self._serving)):
            task.cancel()
        await asyncio.gather(*serving)


async def _read(reader: asyncio.StreamReader) -> Seen:
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    method, target, _ = lines[0].split(b" ")
    headers = tuple(header(line) for line in lines[1:-2])
    length = int(dict(headers).get(b"content-length", b"0"))
    return Seen(method, target, headers, await reader.readexactly(length))


def header(line: bytes) -> tuple[bytes, bytes]:
    """Return a header line's name, in lower case, and its value."""
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


@asynccontextmanager
async def providing(script: Script) -> AsyncIterator[Provider]:
    """Serve a provider on a port of its own."""
    provider = Provider(script)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        await provider.leave()


# -- what they say


def sse(*events: Json) -> bytes:
    """Return server-sent events that are named by their `type`."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


def data_event(document: Json) -> bytes:
    """Return a server-sent event without a name."""
    return f"data: {json.dumps(document)}\n\n".encode()


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST_CHUNK = b"0\r\n\r\n"


def stream_head(*more: tuple[bytes, bytes]) -> bytes:
    """Return the head of a chunked stream of server-sent events."""
    lines = [b"%b: %b" % pair for pair in (_SSE_UTF8, *more)]
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"transfer-encoding: chunked", b"", b""])


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer with its length; `whole` is false where the connection ends before it."""

    status: int = 200
    body: bytes = b"{}"
    headers: Pairs = (JSON,)
    whole: bool = True

    def write(self, writer: asyncio.StreamWriter) -> None:
        lines = [b"HTTP/1.1 %d Any" % self.status, *(b"%b: %b" % pair for pair in self.headers)]
        length = len(self.body) + (0 if self.whole else 1)
        writer.write(b"\r\n".join([*lines, b"content-length: %d" % length, b"", b""]) + self.body)
        if not self.whole:
            writer.close()


def answering(*answers: Answer) -> Script:
    """Return a script that gives its answers in order, the last one again and again."""
    left = list(answers)

    async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (left.pop(0) if len(left) > 1 else left[0]).write(writer)

    return script


def streaming(*pieces: bytes, end: bytes = LAST_CHUNK, head: Pairs = ()) -> Script:
    """Return a script that streams chunks; the connection is cut where `end` is empty.

    Args:
        head: More headers.
    """

    async def script(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stream_head(*head))
        for piece in pieces:
            writer.write(chunk(piece))
            await writer.drain()
        writer.write(end)
        if not end:
            writer.close()

    return script


async def garbage(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak another protocol."""
    writer.write(b"SSH-2.0-none\r\n\r\n")
    writer.close()
