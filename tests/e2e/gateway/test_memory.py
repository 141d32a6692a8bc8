"""What real worker processes hold in memory and in common; a scripted provider on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.gateway.process import DEADLINE_S, end, port_of

pytestmark = pytest.mark.process

MB = 1 << 20
BODY_BYTES = 32 * MB
PIECE = 64 * 1024


def answer(size: int) -> bytes:
    """Return a message with so much text."""
    text = {"type": "text", "text": "x" * size}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    return json.dumps(message | {"content": [text], "stop_reason": "end_turn"}).encode()


@contextmanager
def started(
    home: Path, provider_port: int, *, own: str = "", server: str = "", workers: int = 1
) -> Iterator[tuple[int, int]]:
    """Run a gateway; yield its port and its process id.

    Args:
        own: Tables of `gateway.toml` other than [server].
        server: Keys of [server].
    """
    folder = home / "config"
    folder.mkdir()
    (folder / "gateway.toml").write_text(f"{own}[server]\nlinger_s = 0.1\ndrain_s = 1\n{server}")
    entry = {"providerType": "anthropic", "baseUrl": f"http://127.0.0.1:{provider_port}"}
    document = {"llmGateway": {"providers": {"a": entry}}}
    (folder / "orchestra-config.json").write_text(json.dumps(document))
    argv = [sys.executable, "-m", "gateway", "run", "--home", str(home), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "CCO_HOME"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, "--workers", str(workers)], stderr=log, env=environment, cwd=home
        )
    try:
        yield port_of(home, process), process.pid
    finally:
        end(process)


@dataclass(slots=True)
class Provider:
    """Takes bodies of any size without keeping them; streams without an end when asked to."""

    port: int = 0
    answer: bytes = field(default_factory=lambda: answer(10))
    answered: int = 0
    streamed_bytes: int = 0
    streaming: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = b""
                while left:
                    body = await reader.read(min(left, PIECE))
                    assert body, "the gateway cut its request"
                    left -= len(body)
                if b'"stream":true' in body:
                    await self._stream(writer)
                self.answered += 1
                framing = b"content-type: application/json\r\ncontent-length: %d" % len(self.answer)
                writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()  # it may be waiting for a reader that has left

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        self.streaming.set()
        event = b"event: ping\ndata: " + b"x" * PIECE + b"\n\n"
        while True:
            writer.write(event)
            await writer.drain()
            self.streamed_bytes += len(event)


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()


def run(scenario: Callable[[Provider], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(2 * DEADLINE_S), providing() as provider:
            await scenario(provider)

    asyncio.run(main())


def worker_of(gateway_pid: int) -> psutil.Process:
    (worker,) = psutil.Process(gateway_pid).children()
    return worker


class Peak:
    """The most memory a process was seen to have beyond what it began with, bytes."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._idle = process.memory_info().rss
        self.grown = 0

    async def watch(self) -> None:
        while True:
            self.grown = max(self.grown, self._process.memory_info().rss - self._idle)
            await asyncio.sleep(0.005)


async def upload(port: int, *, chunked: bool) -> bytes:
    """Send one large request; return the first line of its answer."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % BODY_BYTES
    first, last = b'{"model":"m","max_tokens":1,"x":"', b'"}'
    filling = BODY_BYTES - len(first) - len(last)
    pieces = [first, *(b"x" * min(PIECE, filling - at) for at in range(0, filling, PIECE)), last]
    async with connected(port) as (reader, writer):
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: k\r\n")
        writer.write(framing + b"\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")
        return (await reader.readline()).rstrip()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # a stream without an end may be under way


LARGE = f"max_buffered_bytes = {2 * BODY_BYTES}\n"


@pytest.mark.parametrize("chunked", [False, True])
def test_many_large_uploads_stay_within_the_budget(tmp_path: Path, *, chunked: bool) -> None:
    count = 8

    async def scenario(provider: Provider) -> None:
        with started(tmp_path, provider.port, server=LARGE) as (port, pid):
            peak = Peak(worker_of(pid))
            watching = asyncio.create_task(peak.watch())
            answers = await asyncio.gather(*(upload(port, chunked=chunked) for _ in range(count)))
            watching.cancel()
            assert answers == [b"HTTP/1.1 200 OK"] * count
            assert provider.answered == count
            # Two are buffered, one may go beyond that; while one is parsed it is there twice.
            assert BODY_BYTES < peak.grown < 5 * BODY_BYTES

    run(scenario)


def test_slow_reader_of_a_large_stream_makes_the_provider_wait(tmp_path: Path) -> None:
    async def settled(provider: Provider) -> int:
        """Return how much was sent once the provider has been waiting for a while."""
        sent, still = 0, 0
        while still < 10:
            await asyncio.sleep(0.02)
            still = still + 1 if provider.streamed_bytes == sent else 0
            sent = provider.streamed_bytes
        return sent

    async def scenario(provider: Provider) -> None:
        with started(tmp_path, provider.port, server=LARGE) as (port, pid):
            peak = Peak(worker_of(pid))
            watching = asyncio.create_task(peak.watch())
            body = b'{"model":"m","max_tokens":1,"stream":true}'
            head = b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
            async with connected(port) as (reader, writer):
                writer.write(head % len(body) + body)
                await provider.streaming.wait()
                before = await settled(provider)
                await reader.readexactly(before)
                while provider.streamed_bytes == before:  # room has come up: it goes on
                    await asyncio.sleep(0.005)
                after = await settled(provider)
            watching.cancel()
            assert before < after < 64 * MB, "what sockets hold, however large they have grown"
            assert peak.grown < 16 * MB

    run(scenario)


def test_answer_there_is_no_memory_for_is_streamed_or_refused(tmp_path: Path) -> None:
    tight = "max_body_bytes = 2048\nmax_buffered_bytes = 200000\n"
    asked = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}

    async def scenario(provider: Provider) -> None:
        with started(tmp_path, provider.port, server=tight) as (port, _):
            url = f"http://127.0.0.1:{port}/v1/"
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=DEADLINE_S) as http:
                for size, counted in ((1000, True), (150_000, True), (250_000, False)):
                    provider.answer = answer(size)
                    reply = await http.post("messages", json=asked)
                    assert (reply.status_code, reply.content) == (200, provider.answer)
                    assert ("x-gateway-latency-ms" in reply.headers) is counted
                headers = {"x-api-key": "sk-ant-x"}
                reply = await http.post("chat/completions", json=asked, headers=headers)
                assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
                assert reply.json()["error"]["code"] == "overloaded_error"

    run(scenario)


def test_workers_keep_to_limits_together(tmp_path: Path) -> None:
    async def one_to_each(port: int, stack: AsyncExitStack) -> list[httpx.AsyncClient]:
        """Return a connection to each of two workers; who accepts one is not ours to choose."""
        found: dict[str, httpx.AsyncClient] = {}
        url = f"http://127.0.0.1:{port}"
        while len(found) < 2:
            client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=DEADLINE_S)
            http = await stack.enter_async_context(client)
            found.setdefault((await http.get("/health")).json()["boot_id"], http)
        return list(found.values())

    async def scenario(provider: Provider) -> None:
        own = "[limits]\nrequests_per_minute = 2\n"
        with started(tmp_path, provider.port, own=own, workers=2) as (port, _):
            async with AsyncExitStack() as stack:
                turns = await one_to_each(port, stack) * 4
                body = {"model": "m", "max_tokens": 1}
                found = [(await http.post("/v1/messages", json=body)).status_code for http in turns]
            assert found == [200] * 2 + [429] * 6  # one of each worker

    run(scenario)
