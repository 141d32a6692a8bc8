"""The HTTP server on loopback sockets: answers, limits, slow clients, departures and drain."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from gateway.serve.http_server import HttpServer, Limits
from gateway.wire.http import Handler, Request, Responder

HOST = b"Host: a\r\n"
DEADLINE_S = 10.0


async def echo(request: Request, responder: Responder) -> None:
    body = json.dumps([request.method.decode(), request.target.decode(), len(request.body)])
    responder.reply(200, body.encode())


async def stream(request: Request, responder: Responder) -> None:
    responder.start(200, ((b"content-type", b"text/event-stream"),), b"one")
    responder.write(b"")
    responder.write(b"two")
    responder.end()


@asynccontextmanager
async def serving(
    handler: Handler = echo, limits: Limits | None = None
) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(handler, limits or Limits())
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server.protocol, "127.0.0.1", 0)
    try:
        yield server, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        server.abort()


class Client:
    """A raw connection: what is sent and received is exactly what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        self.writer.write(data)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer with Content-Length or chunks."""
        async with asyncio.timeout(DEADLINE_S):
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
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):  # the server cut it first
            await self.writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the server to notice; polls, because nothing is awaitable on its side."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await test()

    uvloop.run(main())


async def once(port: int, data: bytes) -> bytes:
    client = await Client.connect(port)
    client.writer.write(data)
    try:
        return await client.rest()
    finally:
        await client.close()


GET = b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n"
GET_CLOSE = b"GET /x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


@pytest.mark.parametrize("step", [1, 5, 10_000])
def test_request_in_any_pieces_is_answered(step: int) -> None:
    async def test() -> None:
        data = b"POST /m HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nabcdef"
        async with serving() as (server, port):
            client = await Client.connect(port)
            for start in range(0, len(data), step):
                client.writer.write(data[start : start + step])
                await client.writer.drain()
            status, headers, body = await client.answer()
            assert (status, json.loads(body)) == (200, ["POST", "/m", 6])
            assert "connection" not in headers
            assert (server.requests, server.open_connections) == (1, 1)
            await client.close()

    run(test)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test() -> None:
        async def slow_first(request: Request, responder: Responder) -> None:
            if request.target == b"/0":
                await asyncio.sleep(0.02)  # the later ones are ready before it is answered
            await echo(request, responder)

        count = 5000  # more than one slice of them, and more than is kept unread
        data = b"".join(b"GET /%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(count))
        async with serving(slow_first) as (server, port):
            client = await Client.connect(port)
            client.writer.write(data)
            for number in range(count):
                _, _, body = await client.answer()
                assert json.loads(body)[1] == f"/{number}"
            assert server.accepted == 1
            await client.close()

    run(test)


def test_refusal_behind_a_request_comes_after_its_answer() -> None:
    async def test() -> None:
        async with serving() as (server, port):
            answers = await once(port, GET + b"GET / HTTP/1.1\r\n\r\n")
            assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answers.count(b"HTTP/1.1 400 Bad Request\r\n") == 1
            assert (server.requests, server.refusals) == (1, 1)

    run(test)


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (b"nonsense\r\n\r\n", 400, "invalid_request_error"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n", 413, "request_too_large"),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n", 414, "invalid_request_error"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 3000, 431, "invalid_request_error"),
        (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501, "invalid_request_error"),
    ],
)
def test_refusal_is_anthropic_json_and_ends_the_connection(
    data: bytes, status: int, kind: str
) -> None:
    async def test() -> None:
        limits = Limits(head_bytes=1000, target_bytes=200, body_bytes=10)
        async with serving(limits=limits) as (_, port):
            client = await Client.connect(port)
            found, headers, body = await client.ask(data)
            document = json.loads(body)
            assert (found, document["type"], document["error"]["type"]) == (status, "error", kind)
            assert headers["connection"] == "close"
            assert headers["x-gateway-request-id"] == document["request_id"]
            assert await client.rest() == b""
            await client.close()

    run(test)


def test_client_reads_413_though_it_has_not_sent_its_body() -> None:
    async def test() -> None:
        async with serving(limits=Limits(body_bytes=1000)) as (_, port):
            client = await Client.connect(port)
            client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\n\r\n")
            client.writer.write(b"x" * 5_000_000)
            status, _, _ = await client.answer()
            assert status == 413
            await client.close()

    run(test)


def test_expect_100_continue_is_invited_once() -> None:
    async def test() -> None:
        async with serving() as (_, port):
            client = await Client.connect(port)
            head = (
                b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            )
            status, _, _ = await client.ask(head)
            assert status == 100
            status, _, body = await client.ask(b"abc")
            assert (status, json.loads(body)[2]) == (200, 3)
            await client.close()

    run(test)


def test_expect_behind_a_running_request_is_invited_after_its_answer() -> None:
    async def test() -> None:
        async with serving() as (_, port):
            client = await Client.connect(port)
            head = (
                b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            )
            statuses = [(await client.ask(GET + head))[0], (await client.answer())[0]]
            assert statuses == [200, 100]
            assert (await client.ask(b"abc"))[0] == 200
            await client.close()

    run(test)


@pytest.mark.parametrize(
    ("status", "method"), [(200, b"HEAD"), (204, b"GET"), (304, b"GET"), (204, b"HEAD")]
)
@pytest.mark.parametrize("whole", [True, False])
def test_bodiless_answer_has_no_body(status: int, method: bytes, *, whole: bool) -> None:
    async def answer(_: Request, responder: Responder) -> None:
        if whole:
            responder.reply(status, b"body")
        else:
            responder.start(status, (), b"body")
            responder.write(b"more")
            responder.end()

    async def test() -> None:
        async with serving(answer) as (_, port):
            data = method + b" / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
            head, _, body = (await once(port, data)).partition(b"\r\n\r\n")
            assert body == b""
            assert b"transfer-encoding" not in head
            assert (b"content-length: 4" in head) is (status == 200 and whole)

    run(test)


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
    request_head: bytes, expected: bytes
) -> None:
    async def test() -> None:
        async with serving(stream) as (_, port):
            head, _, body = (await once(port, request_head)).partition(b"\r\n\r\n")
            assert body == expected
            assert b"connection: close" in head

    run(test)


def test_http_1_0_keep_alive_with_length_is_kept() -> None:
    async def test() -> None:
        async with serving() as (_, port):
            client = await Client.connect(port)
            for _ in range(2):
                _, headers, _ = await client.ask(
                    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                )
                assert headers["connection"] == "keep-alive"
            await client.close()

    run(test)


def test_hop_by_hop_headers_of_an_answer_are_dropped() -> None:
    async def answer(_: Request, responder: Responder) -> None:
        names = (b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"x-kept")
        responder.start(200, tuple((name, b"close") for name in names), b"a")
        responder.end()

    async def test() -> None:
        async with serving(answer) as (_, port):
            client = await Client.connect(port)
            _, headers, body = await client.ask(GET)
            assert headers == {"x-kept": "close", "transfer-encoding": "chunked"}
            assert body == b"a"
            await client.close()

    run(test)


async def _raises(_: Request, responder: Responder) -> None:
    raise RuntimeError("boom")


async def _returns(_: Request, responder: Responder) -> None:
    return


async def _injects(_: Request, responder: Responder) -> None:
    responder.reply(200, b"", headers=((b"x", b"a\r\nset-cookie: b"),))


@pytest.mark.parametrize(("handler", "errors"), [(_raises, 1), (_returns, 0), (_injects, 1)])
def test_failed_handler_before_the_head_is_500(
    handler: Handler, errors: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(handler) as (server, port):
            client = await Client.connect(port)
            status, headers, body = await client.ask(GET)
            assert (status, json.loads(body)["error"]["type"]) == (500, "api_error")
            assert "set-cookie" not in headers
            assert await client.rest() == b""
            assert server.handler_errors == errors
            await client.close()

    run(test)
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
def test_unfinished_answer_is_visibly_cut(handler: Handler) -> None:
    async def test() -> None:
        async with serving(handler) as (_, port):
            client = await Client.connect(port)
            client.writer.write(GET)
            received = b""
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                async with asyncio.timeout(DEADLINE_S):
                    received = await client.reader.readuntil(b"\r\n0\r\n\r\n")
            assert received == b""
            await client.close()

    run(test)


def test_unfinished_answer_that_ends_by_closing_is_reset() -> None:
    async def test() -> None:
        async with serving(_breaks) as (_, port):
            client = await Client.connect(port)
            client.writer.write(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await client.rest()
            await client.close()

    run(test)


def test_more_than_content_length_is_not_sent() -> None:
    async def answer(_: Request, responder: Responder) -> None:
        responder.start(200, ((b"content-length", b"3"),), b"ab")
        responder.write(b"cdef")
        responder.end()
        responder.write(b"late")

    async def test() -> None:
        async with serving(answer) as (_, port):
            raw = await once(port, GET_CLOSE)
            assert raw.endswith(b"\r\n\r\nabc")

    run(test)


class Source:
    """A read side that records what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def test_slow_reader_pauses_and_resumes_the_source() -> None:
    async def test() -> None:
        source, finish = Source(), asyncio.Event()
        piece = b"x" * 65536

        async def flood(_: Request, responder: Responder) -> None:
            responder.throttle(source)
            responder.start(200, ())
            while not source.calls:
                responder.write(piece)
                await asyncio.sleep(0)
            await finish.wait()
            responder.end()

        async with serving(flood) as (_, port):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.connect(("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
            writer.write(GET)
            await until(lambda: source.calls == ["pause"])
            drained = asyncio.create_task(reader.read(-1))
            await until(lambda: source.calls == ["pause", "resume"])
            finish.set()
            drained.cancel()
            writer.close()

    run(test)


def test_departed_client_cancels_its_handler() -> None:
    async def test() -> None:
        entered, cancelled = asyncio.Event(), asyncio.Event()

        async def wait(_: Request, responder: Responder) -> None:
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with serving(wait) as (server, port):
            client = await Client.connect(port)
            client.writer.write(GET)
            await entered.wait()
            await client.close()
            async with asyncio.timeout(DEADLINE_S):
                await cancelled.wait()
            await until(lambda: server.open_connections == 0)
            assert server.clients_left == 1

    run(test)


def test_departure_after_the_answer_leaves_bookkeeping_alone() -> None:
    async def test() -> None:
        go_on, done = asyncio.Event(), asyncio.Event()

        async def answer(request: Request, responder: Responder) -> None:
            await echo(request, responder)
            await go_on.wait()
            done.set()

        async with serving(answer) as (server, port):
            client = await Client.connect(port)
            await client.ask(GET)
            await client.close()
            await until(lambda: server.open_connections == 0)
            go_on.set()
            async with asyncio.timeout(DEADLINE_S):
                await done.wait()
            assert server.clients_left == 0

    run(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HT", 408),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\na", 408),
        (b"", None),
        (b"\r\n", None),
    ],
)
def test_slow_sender_is_refused_and_silent_one_closed(data: bytes, status: int | None) -> None:
    async def test() -> None:
        limits = Limits(head_timeout_s=0.1, body_idle_timeout_s=0.1, keep_alive_s=0.1)
        async with serving(limits=limits) as (_, port):
            answer = await once(port, data)
            assert (int(answer.split()[1]) if answer else None) == status

    run(test)


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"x"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 999\r\n\r\n", b"x"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["head", "body", "chunked body"],
)
def test_sender_that_dribbles_is_refused(begun: bytes, piece: bytes) -> None:
    async def test() -> None:
        limits = Limits(head_timeout_s=0.1, body_idle_timeout_s=0.3, body_bytes_per_s=1e6)
        async with serving(limits=limits) as (server, port):
            client = await Client.connect(port)
            client.writer.write(begun)
            answer = asyncio.create_task(client.answer())
            while not answer.done():
                client.writer.write(piece)
                await asyncio.wait({answer}, timeout=0.02)  # the pace of the sender
            status, _, body = await answer
            assert (status, json.loads(body)["error"]["type"]) == (408, "timeout_error")
            assert server.requests == 0
            await client.close()

    run(test)


def test_slow_but_steady_sender_is_served() -> None:
    async def test() -> None:
        limits = Limits(body_idle_timeout_s=0.5, body_bytes_per_s=1)
        async with serving(limits=limits) as (_, port):
            client = await Client.connect(port)
            client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 12\r\n\r\n")
            for _ in range(12):
                client.writer.write(b"x")
                await asyncio.sleep(0.1)  # the pace of the sender
            assert (await client.answer())[0] == 200
            await client.close()

    run(test)


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Length: 11\r\n\r\n", 413),
        (b"X: " + b"a" * 3000, 431),
        (b"Expect: tea\r\n\r\n", 417),
    ],
)
@pytest.mark.parametrize(
    ("path", "member"),
    [
        (b"/v1/chat/completions?a=b", "code"),
        (b"/v1/v1/chat/completions", "code"),
        (b"/v1/messages", None),
    ],
)
def test_refusal_is_in_the_callers_format(
    path: bytes, member: str | None, rest: bytes, status: int
) -> None:
    async def test() -> None:
        limits = Limits(head_bytes=1000, body_bytes=10)
        async with serving(limits=limits) as (_, port):
            answer = await once(port, b"POST " + path + b" HTTP/1.1\r\n" + HOST + rest)
            head, _, body = answer.partition(b"\r\n\r\n")
            document = json.loads(body)
            assert int(head.split()[1]) == status
            assert document.get("type") == (None if member else "error")
            assert (member or "type") in document["error"]

    run(test)


# -- memory


def upload(size: int, *, chunked: bool = False) -> bytes:
    """Return a request's head; the body is `size` bytes."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    return b"POST / HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n"


BODY = 300_000
TIGHT = Limits(buffered_bytes=500_000, memory_wait_s=20)


class Held:
    """A handler that keeps requests until it is told to answer them."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.entered = 0

    async def __call__(self, request: Request, responder: Responder) -> None:
        self.entered += 1
        await self.go_on.wait()
        await echo(request, responder)


@pytest.mark.parametrize("chunked", [False, True])
def test_upload_waits_until_there_is_memory_for_it(*, chunked: bool) -> None:
    async def test() -> None:
        held, body = Held(), b"x" * BODY
        wire = b"%x\r\n%b\r\n0\r\n\r\n" % (BODY, body) if chunked else body
        async with serving(held, TIGHT) as (server, port):
            clients = [await Client.connect(port) for _ in range(3)]
            for client in clients:
                client.writer.write(upload(BODY, chunked=chunked) + wire)
            await until(lambda: held.entered == 1 and server.memory.waiting == 2)
            assert server.memory.used <= TIGHT.buffered_bytes + (BODY if chunked else 0)
            held.go_on.set()
            for client in clients:
                status, _, answer = await client.answer()
                assert (status, json.loads(answer)) == (200, ["POST", "/", BODY])
            assert (server.memory.used, server.memory.waiting, held.entered) == (0, 0, 3)
            for client in clients:
                await client.close()

    run(test)


def test_upload_without_memory_is_503_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        held, limits = Held(), Limits(buffered_bytes=500_000, memory_wait_s=0.1)
        async with serving(held, limits) as (server, port):
            first, second = await Client.connect(port), await Client.connect(port)
            first.writer.write(upload(BODY) + b"x" * BODY)
            await until(lambda: held.entered == 1)
            second.writer.write(upload(BODY) + b"x" * BODY)
            status, headers, body = await second.answer()
            assert (status, json.loads(body)["error"]["type"]) == (503, "overloaded_error")
            assert 1 <= int(headers["retry-after"]) <= 60
            assert (server.memory.waiting, held.entered, server.refusals) == (0, 1, 1)
            held.go_on.set()
            assert (await first.answer())[0] == 200
            assert server.memory.used == 0
            await first.close()
            await second.close()

    run(test)
    assert "no memory for a body used=300000" in caplog.text


def test_half_received_bodies_do_not_starve_each_other() -> None:
    async def test() -> None:
        async with serving(limits=TIGHT) as (server, port):
            clients = [await Client.connect(port) for _ in range(4)]
            for client in clients:  # all begin, and together they fill the memory
                client.writer.write(upload(BODY, chunked=True) + b"%x\r\n" % BODY)
            for _ in range(0, BODY, 10_000):
                for client in clients:
                    client.writer.write(b"x" * 10_000)
                await asyncio.sleep(0)
            for client in clients:
                client.writer.write(b"\r\n0\r\n\r\n")
            answers = await asyncio.gather(*(client.answer() for client in clients))
            assert [status for status, _, _ in answers] == [200] * 4
            assert server.memory.used == 0
            for client in clients:
                await client.close()

    run(test)


def test_body_is_not_invited_before_there_is_memory_for_it() -> None:
    async def test() -> None:
        held = Held()
        async with serving(held, TIGHT) as (server, port):
            first, second = await Client.connect(port), await Client.connect(port)
            first.writer.write(upload(BODY) + b"x" * BODY)
            await until(lambda: held.entered == 1)
            expecting = upload(BODY).replace(HOST, HOST + b"Expect: 100-continue\r\n")
            second.writer.write(expecting)
            await until(lambda: server.memory.waiting == 1)
            held.go_on.set()
            assert [(await second.answer())[0], (await first.answer())[0]] == [100, 200]
            assert (await second.ask(b"x" * BODY))[0] == 200
            await first.close()
            await second.close()

    run(test)


def test_memory_of_a_client_that_leaves_is_free_again() -> None:
    async def test() -> None:
        held = Held()
        async with serving(held, TIGHT) as (server, port):
            begun, answered = await Client.connect(port), await Client.connect(port)
            answered.writer.write(upload(BODY) + b"x" * BODY)
            await until(lambda: held.entered == 1)
            begun.writer.write(upload(100_000) + b"x")
            await until(lambda: server.memory.used == BODY + 100_000)
            await begun.close()
            await until(lambda: server.memory.used == BODY)
            await answered.close()
            await until(lambda: server.memory.used == 0)

    run(test)


def test_answer_that_is_not_read_is_counted_and_holds_up_the_next_request() -> None:
    size = 8_000_000

    async def flood(request: Request, responder: Responder) -> None:
        assert request.memory.try_more(size)
        responder.reply(200, b"x" * size)

    async def test() -> None:
        async with serving(flood, Limits(buffered_bytes=size + 1)) as (server, port):
            client = await Client.connect(port)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
            client.writer.write(GET + GET)
            await until(lambda: server.requests == 1)
            assert 0 < server.memory.used < size
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]  # as above
            for _ in range(2):
                status, _, body = await client.answer()
                assert (status, len(body)) == (200, size)
            assert (server.requests, server.memory.used) == (2, 0)
            await client.close()

    run(test)


def test_reader_that_takes_nothing_is_cut() -> None:
    async def flood(_: Request, responder: Responder) -> None:
        responder.reply(200, b"x" * 20_000_000)

    async def test() -> None:
        async with serving(flood, Limits(write_stall_s=0.1)) as (server, port):
            client = await Client.connect(port)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a ReadTransport too
            client.writer.write(GET)
            await until(lambda: server.open_connections == 1)
            await until(lambda: server.open_connections == 0)
            assert server.requests == 1
            await client.close()

    run(test)


def drain_of(server: HttpServer, linger_s: float, timeout_s: float = 10) -> asyncio.Task[bool]:
    return asyncio.create_task(server.drain(linger_s, timeout_s))


def test_drain_answers_a_late_request_of_an_idle_connection_with_close() -> None:
    async def test() -> None:
        async with serving() as (server, port):
            client, silent = await Client.connect(port), await Client.connect(port)
            await client.ask(GET)
            await until(lambda: server.open_connections == 2)
            drain = drain_of(server, linger_s=0.3)
            await asyncio.sleep(0)  # let it begin
            _, headers, _ = await client.ask(GET)
            assert headers["connection"] == "close"
            assert await client.rest() == b""
            assert await silent.rest() == b""
            assert await drain is True
            await client.close()
            await silent.close()

    run(test)


def test_drain_waits_for_an_upload_longer_than_the_linger() -> None:
    async def test() -> None:
        async with serving() as (server, port):
            client, idle = await Client.connect(port), await Client.connect(port)
            client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nab")
            await until(lambda: server.open_connections == 2)
            await client.writer.drain()
            drain = drain_of(server, linger_s=0.1)
            assert await idle.rest() == b""  # the linger is over
            status, headers, _ = await client.ask(b"cd")
            assert (status, headers["connection"]) == (200, "close")
            assert await drain is True
            await client.close()
            await idle.close()

    run(test)


def test_drain_answers_the_request_after_a_stream_that_began_before() -> None:
    async def test() -> None:
        go_on = asyncio.Event()

        async def handler(request: Request, responder: Responder) -> None:
            if request.target != b"/stream":
                await echo(request, responder)
                return
            responder.start(200, (), b"first")
            await go_on.wait()
            responder.write(b"last")
            responder.end()

        async with serving(handler) as (server, port):
            client, idle = await Client.connect(port), await Client.connect(port)
            client.writer.write(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
            await client.reader.readuntil(b"first\r\n")
            await until(lambda: server.open_connections == 2)
            drain = drain_of(server, linger_s=0.2)
            assert await idle.rest() == b""  # the linger, counted from the drain, is over
            go_on.set()
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"4\r\nlast\r\n0\r\n\r\n"
            status, headers, _ = await client.ask(GET)
            assert (status, headers["connection"]) == (200, "close")
            assert await drain is True
            await client.close()
            await idle.close()

    run(test)


def test_drain_cuts_and_says_so_when_its_time_is_over() -> None:
    async def test() -> None:
        entered, bookkeeping = asyncio.Event(), []

        async def forever(_: Request, responder: Responder) -> None:
            responder.start(200, (), b"first")
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                bookkeeping.append("done")

        async with serving(forever) as (server, port):
            client = await Client.connect(port)
            client.writer.write(GET)
            await entered.wait()
            assert await server.drain(0.05, 0.1) is False
            assert bookkeeping == ["done"]
            assert server.open_connections == 0
            await client.close()

    run(test)


def test_idle_server_drains_at_once() -> None:
    async def test() -> None:
        async with serving() as (server, _):
            assert await asyncio.wait_for(server.drain(5, 5), 1) is True

    run(test)


def test_one_connection_serves_many_requests_without_state_of_the_one_before() -> None:
    async def test() -> None:
        seen: list[Any] = []

        async def record(request: Request, responder: Responder) -> None:
            seen.append((request.method, request.target, request.header(b"x-once"), request.body))
            await echo(request, responder)

        async with serving(record) as (server, port):
            client = await Client.connect(port)
            await client.ask(
                b"POST /1 HTTP/1.1\r\n" + HOST + b"X-Once: y\r\nContent-Length: 2\r\n\r\nab"
            )
            await client.ask(b"GET /2 HTTP/1.1\r\n" + HOST + b"\r\n")
            assert seen == [(b"POST", b"/1", b"y", b"ab"), (b"GET", b"/2", None, b"")]
            assert server.accepted == 1
            await client.close()

    run(test)
