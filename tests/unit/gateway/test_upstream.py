"""The upstream client against scripted providers on loopback: framing, pool, faults, re-sending."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from gateway.errors import UpstreamError, UpstreamFault
from gateway.upstream import Answer, Origin
from gateway.wire.http import Header

DEADLINE_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Provider:
    """Runs a script on each connection; keeps what it received."""

    def __init__(self, script: Script) -> None:
        self.port = 0
        self.connections = 0
        self.heads: list[bytes] = []
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client cut it, which some tests are about
        finally:
            self._tasks.discard(task)
            writer.close()

    async def take(self, reader: asyncio.StreamReader) -> bytes:
        """Read one request and return its body."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = re.search(rb"content-length: (\d+)", head)
        return await reader.readexactly(int(length[1])) if length else b""

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def provider(*answers: bytes, close: bool = False) -> AsyncIterator[tuple[Provider, Origin]]:
    """Answer the requests of all connections with these, in turn; then read on, or close."""
    left = list(answers)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await made.take(reader)
            writer.write(left.pop(0))
            await writer.drain()
            if close:
                return
        await reader.read()

    async with scripted(script) as (made, origin):
        yield made, origin


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[tuple[Provider, Origin]]:
    made = Provider(script)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    origin = Origin(f"http://127.0.0.1:{made.port}/base/")
    try:
        yield made, origin
    finally:
        origin.close()
        server.close()
        made.cancel()


class Pieces:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def body(self, data: bytes) -> None:
        self.pieces.append(data)


async def post(
    origin: Origin,
    body: bytes = b"{}",
    headers: tuple[Header, ...] = (),
    head_timeout_s: float = DEADLINE_S,
) -> Answer:
    return await origin.send(b"POST", b"/v1/m", headers, body, head_timeout_s=head_timeout_s)


async def fetch(origin: Origin) -> bytes:
    """Return a whole body and release."""
    answer = await post(origin)
    try:
        body, whole = await answer.read(1 << 20)
        assert whole
        return body
    finally:
        answer.release()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await test()

    uvloop.run(main())


# -- what is sent


def test_request_gets_host_length_and_prefix_and_loses_hop_by_hop() -> None:
    async def test() -> None:
        async with provider(OK) as (made, origin):
            sent = (
                (b"x-api-key", b"k"),
                (b"host", b"evil"),
                (b"content-length", b"999"),
                (b"transfer-encoding", b"chunked"),
                (b"connection", b"close"),
                (b"te", b"trailers"),
                (b"expect", b"100-continue"),
                (b"proxy-authorization", b"p"),
            )
            answer = await post(origin, b"abc", sent)
            answer.release()
            expected = (
                f"POST /base/v1/m HTTP/1.1\r\nhost: 127.0.0.1:{made.port}\r\n"
                "x-api-key: k\r\ncontent-length: 3\r\n\r\n"
            )
            assert made.heads == [expected.encode()]

    run(test)


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        (b"HEAD", b"/", ()),
        (b"POST", b"/ HTTP/1.1\r\nx: y", ()),
        (b"POST", b"/", ((b"x", b"a\r\nauthorization: b"),)),
        (b"POST", b"/", ((b"x\n", b"a"),)),
    ],
)
def test_head_and_line_breaks_are_never_sent(
    method: bytes, target: bytes, headers: tuple[Header, ...]
) -> None:
    async def test() -> None:
        async with provider(OK) as (made, origin):
            with pytest.raises(ValueError, match=r"HEAD|line break"):
                await origin.send(method, target, headers, b"", head_timeout_s=1)
            assert made.connections == 0

    run(test)


@pytest.mark.parametrize("url", ["ftp://a", "http://", "a:80", "http://a/?b"])
def test_origin_of_a_strange_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https URL"):
        Origin(url)


# -- what is received

ANSWERS = {
    "length": (OK, b"hello"),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nSet-Cookie: evil\r\n\r\n", b"hello"),
    "1xx first": (b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + OK, b"hello"),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_answer_in_any_pieces_is_whole_and_the_connection_kept(name: str, step: int) -> None:
    raw, expected = ANSWERS[name]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while await reader.readuntil(b"{}"):
            for start in range(0, len(raw), step):
                writer.write(raw[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)

    async def test() -> None:
        async with scripted(script) as (made, origin):
            for _ in range(2):
                answer = await post(origin)
                sink = Pieces()
                await answer.pump(sink, idle_timeout_s=DEADLINE_S)
                assert sink.data == expected
                names = {name for name, _ in answer.headers}
                assert not names & {b"transfer-encoding", b"set-cookie", b"x-early"}
                answer.release()
            assert (made.connections, origin.opened, origin.idle) == (1, 1, 1)

    run(test)


def test_hop_by_hop_and_named_headers_of_an_answer_are_dropped() -> None:
    raw = (
        b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nConnection: keep-alive, X-Private\r\n"
        b"X-Private: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n"
    )

    async def test() -> None:
        async with provider(raw) as (_, origin):
            answer = await post(origin)
            assert answer.status == 429
            assert answer.headers == ((b"retry-after", b"3"), (b"content-length", b"0"))
            answer.release()

    run(test)


SURPLUS = {
    "second answer": b"HTTP/1.1 500 Evil\r\nSet-Cookie: evil\r\nContent-Length: 4\r\n\r\nevil",
    "half an answer": b"HTTP/1.1 5",
    "garbage": b"garbage",
    "one byte": b"H",
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", SURPLUS)
def test_surplus_is_no_part_of_the_answer_and_ends_the_connection(
    name: str, *, together: bool
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(OK + (SURPLUS[name] if together else b""))
        await writer.drain()
        if not together:
            await go_on.wait()
            writer.write(SURPLUS[name])
        await reader.read()

    go_on = asyncio.Event()

    async def test() -> None:
        async with scripted(script) as (made, origin):
            answer = await post(origin)
            assert await answer.read(100) == (b"hello", True)
            assert (answer.status, answer.headers) == (200, ((b"content-length", b"5"),))
            answer.release()
            go_on.set()
            await until(lambda: origin.idle == 0)
            assert await fetch(origin) == b"hello"
            assert made.connections == 2

    run(test)


@pytest.mark.parametrize("pump", [True, False])
def test_body_without_framing_ends_with_the_connection(*, pump: bool) -> None:
    async def test() -> None:
        async with provider(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True) as (_, origin):
            answer = await post(origin)
            if pump:
                sink = Pieces()
                await answer.pump(sink, idle_timeout_s=DEADLINE_S)
                assert sink.data == b"until the end"
            else:
                assert await answer.read(100) == (b"until the end", True)
            answer.release()
            assert origin.idle == 0

    run(test)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 600_000,
    ],
)
def test_answer_that_breaks_the_protocol_is_an_error(raw: bytes) -> None:
    async def test() -> None:
        async with provider(raw) as (_, origin):
            with pytest.raises(UpstreamError) as caught:
                await post(origin)
            assert (caught.value.fault, caught.value.sent) == (UpstreamFault.PROTOCOL, True)
            assert origin.idle == 0

    run(test)


@pytest.mark.parametrize(
    ("raw", "fault", "before"),
    [
        (OK[:-2], UpstreamFault.CUT, b"hel"),
        (CHUNKED + b"5\r\nhello\r\n", UpstreamFault.CUT, b"hello"),
        (CHUNKED + b"5\r\nhello\r\nzz\r\n", UpstreamFault.PROTOCOL, b"hello"),
    ],
)
def test_broken_body_is_an_error_after_what_came(
    raw: bytes, fault: UpstreamFault, before: bytes
) -> None:
    async def test() -> None:
        async with provider(raw, close=True) as (_, origin):
            answer = await post(origin)
            sink = Pieces()
            with pytest.raises(UpstreamError) as caught:
                await answer.pump(sink, idle_timeout_s=DEADLINE_S)
            assert (caught.value.fault, sink.data) == (fault, before)
            answer.release()
            assert origin.idle == 0

    run(test)


# -- read, then pump


def test_read_stops_at_its_limit_and_pump_takes_the_rest() -> None:
    body = bytes(range(256)) * 4000

    async def test() -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with provider(raw, OK) as (made, origin):
            answer = await post(origin)
            first, whole = await answer.read(1000)
            assert (len(first), whole) == (1000, False)
            sink = Pieces()
            await answer.pump(sink, idle_timeout_s=DEADLINE_S)
            assert first + sink.data == body
            answer.release()
            assert await fetch(origin) == b"hello"
            assert made.connections == 1

    run(test)


@pytest.mark.parametrize("limit", [5, 6])
def test_read_of_exactly_the_body_is_whole(limit: int) -> None:
    async def test() -> None:
        async with provider(OK) as (_, origin):
            answer = await post(origin)
            assert await answer.read(limit) == (b"hello", True)
            answer.release()

    run(test)


# -- backpressure and the pool


def test_throttled_answer_waits_and_its_connection_is_pooled_unpaused() -> None:
    async def test() -> None:
        async with provider(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", OK) as (made, origin):
            answer = await post(origin)
            answer.read_side.pause_reading()
            assert await answer.read(100) == (b"hello", True)
            answer.release()
            assert await fetch(origin) == b"hello"
            assert made.connections == 1

    run(test)


def test_read_side_of_a_released_answer_does_not_touch_the_next_user() -> None:
    async def test() -> None:
        async with provider(OK, OK) as (made, origin):
            first = await post(origin)
            await first.read(100)
            first.release()
            first.release()
            assert origin.idle == 1
            first.read_side.pause_reading()  # a slow client notices late
            assert await fetch(origin) == b"hello"
            assert made.connections == 1

    run(test)


def test_throttle_stops_the_provider_and_its_time_is_not_counted() -> None:
    async def test() -> None:
        body = b"x" * 30_000_000
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        async with provider(raw) as (_, origin):
            answer = await post(origin)
            sink = Pieces()
            answer.read_side.pause_reading()
            pump = asyncio.create_task(answer.pump(sink, idle_timeout_s=0.05))
            await asyncio.wait([pump], timeout=0.3)
            assert not pump.done()
            assert len(sink.data) < 1_000_000
            answer.read_side.resume_reading()
            await pump
            assert len(sink.data) == len(body)
            answer.release()

    run(test)


def test_unfinished_answer_is_cut_when_released() -> None:
    async def test() -> None:
        gone = asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"{}")
            writer.write(CHUNKED + b"5\r\nhello\r\n")
            try:
                await reader.read()
            finally:
                gone.set()

        async with scripted(script) as (_, origin):
            answer = await post(origin)
            answer.release()
            async with asyncio.timeout(DEADLINE_S):
                await gone.wait()
            assert origin.idle == 0

    run(test)


def test_early_answer_leaves_the_connection_out_of_the_pool() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async def test() -> None:
        async with scripted(script) as (_, origin):
            answer = await post(origin, b"x" * 30_000_000)
            assert answer.status == 413
            assert await answer.read(10) == (b"", True)
            answer.release()
            assert origin.idle == 0

    run(test)


def test_sweep_closes_the_oldest_and_the_surplus() -> None:
    async def test() -> None:
        async with provider(OK, OK, OK) as (_, origin):
            answers = [await post(origin) for _ in range(3)]
            for answer in answers:
                await answer.read(100)
                answer.release()
            assert origin.idle == 3
            now = asyncio.get_running_loop().time()
            origin.sweep(now)
            assert origin.idle == 3
            origin.sweep(now + 61)
            assert origin.idle == 0

    run(test)


# -- faults before the head


def test_refused_connection_is_an_error_before_sending() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(UpstreamError) as caught:
            await post(Origin(f"http://127.0.0.1:{port}"))
        assert (caught.value.fault, caught.value.sent) == (UpstreamFault.CONNECT, False)

    run(test)


def test_silent_provider_times_out_before_and_between_bytes() -> None:
    async def test() -> None:
        async with provider(b"", CHUNKED + b"5\r\nhello\r\n") as (_, origin):
            with pytest.raises(UpstreamError) as caught:
                await post(origin, head_timeout_s=0.05)
            assert (caught.value.fault, caught.value.sent) == (UpstreamFault.TIMEOUT, True)
            answer = await post(origin)
            sink = Pieces()
            with pytest.raises(UpstreamError) as caught:
                await answer.pump(sink, idle_timeout_s=0.05)
            assert (caught.value.fault, sink.data) == (UpstreamFault.TIMEOUT, b"hello")
            answer.release()
            assert origin.idle == 0

    run(test)


def test_pooled_connection_that_dies_silently_is_replaced_once() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made.take(reader)
        writer.write(OK)
        await made.take(reader)  # and dies without a word

    made = Provider(script)

    async def test() -> None:
        nonlocal made
        async with scripted(script) as (made, origin):
            assert await fetch(origin) == b"hello"
            answer = await post(origin)
            assert (answer.status, answer.resent) == (200, True)
            answer.release()
            assert (made.connections, len(made.heads), origin.resent) == (2, 3, 1)

    run(test)


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 2"])
def test_request_that_may_have_been_worked_on_is_not_sent_again(last_words: bytes) -> None:
    """Late death, or death after a byte of the head, is an error: to repeat could bill twice."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made.take(reader)
        writer.write(OK)
        await made.take(reader)
        writer.write(last_words)
        if not last_words:
            await asyncio.sleep(1.1)  # the second after which a provider may have begun to work

    made = Provider(script)

    async def test() -> None:
        nonlocal made
        async with scripted(script) as (made, origin):
            assert await fetch(origin) == b"hello"
            with pytest.raises(UpstreamError) as caught:
                await post(origin)
            assert (caught.value.fault, caught.value.sent) == (UpstreamFault.CUT, True)
            assert (len(made.heads), origin.resent) == (2, 0)

    run(test)


def test_fresh_connection_that_dies_is_not_sent_again() -> None:
    async def test() -> None:
        async with provider(b"", OK, close=True) as (made, origin):
            with pytest.raises(UpstreamError) as caught:
                await post(origin)
            assert caught.value.fault is UpstreamFault.CUT
            assert len(made.heads) == 1

    run(test)


def test_cancelled_request_cuts_its_connection() -> None:
    async def test() -> None:
        entered, gone = asyncio.Event(), asyncio.Event()

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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

    run(test)


def test_closed_origin_keeps_no_connection() -> None:
    async def test() -> None:
        async with provider(OK) as (_, origin):
            answer = await post(origin)
            await answer.read(100)
            origin.close()
            answer.release()
            assert origin.idle == 0

    run(test)
