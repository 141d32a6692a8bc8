"""The legacy proxy over loopback: tunnels, requests and limits."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from gateway.serve.forward_proxy import ProxyLimits
from tests.unit.gateway.serve.proxying import (
    BIG,
    ask,
    echo,
    proxy,
    run,
    target,
    tell,
    tunnel,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate of localhost that signs itself; key and certificate in one file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path), "-out", f"{path}.crt",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_tunnel_carries_tls_untouched(certificate: Path) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    ours = ssl.create_default_context(cafile=f"{certificate}.crt")

    async def main() -> None:
        async with target(echo, theirs) as far, proxy() as (_, port):
            reader, writer = await tunnel(port, far)
            await writer.start_tls(ours, server_hostname="localhost")
            cipher = writer.get_extra_info("cipher")
            assert cipher is not None
            for size in (1, 100_000):
                writer.write(b"x" * size)
                assert await reader.readexactly(size) == b"x" * size
            writer.close()

    run(main)


def test_bytes_sent_with_the_head_belong_to_the_tunnel() -> None:
    async def main() -> None:
        async with target(echo) as far, proxy() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\nearly" % far)
            writer.write_eof()
            assert (await reader.read()).endswith(b"\r\n\r\nearly")
            writer.close()

    run(main)


def test_each_side_of_a_tunnel_ends_on_its_own() -> None:
    async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = await reader.read()  # until the client has ended its side
        writer.write(whole.upper())
        writer.write_eof()

    async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"all I have to say")
        writer.write_eof()
        heard.set_result(await reader.read())

    heard: asyncio.Future[bytes]

    async def main() -> None:
        nonlocal heard
        heard = asyncio.get_running_loop().create_future()
        async with target(upper) as far, proxy() as (_, port):
            reader, writer = await tunnel(port, far)
            writer.write(b"question")
            writer.write_eof()
            assert await reader.read() == b"QUESTION"
            writer.close()
        async with target(first) as far, proxy() as (_, port):
            reader, writer = await tunnel(port, far)
            assert await reader.read() == b"all I have to say"
            writer.write(b"still here")
            writer.close()
            assert await heard == b"still here"

    run(main)


def test_big_transfer_waits_for_a_slow_reader() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(1)
        for _ in range(16):
            writer.write(BIG)
            await writer.drain()
            sent += len(BIG)
        writer.write_eof()

    async def main() -> None:
        async with target(pour) as far, proxy() as (_, port):
            loop = asyncio.get_running_loop()
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setblocking(False)
                head = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n!" % far
                await loop.sock_sendall(client, head)
                whole, begun = hashlib.sha256(), b""
                while b"\r\n\r\n" not in begun:
                    begun += await loop.sock_recv(client, 100)
                whole.update(begun.partition(b"\r\n\r\n")[2])
                await asyncio.sleep(0.2)  # the reader's own pace: it is slow, that is the case
                assert sent < 8 * len(BIG)  # nobody keeps the rest for it
                while data := await loop.sock_recv(client, 65536):
                    whole.update(data)
            assert sent == 16 * len(BIG)
            assert whole.digest() == hashlib.sha256(BIG * 16).digest()

    run(main)


def test_absolute_form_request_is_asked_of_the_target() -> None:
    async def main() -> None:
        async with target(tell) as far, proxy() as (_, port):
            request = b"POST http://127.0.0.1:%d/v1/messages?beta=true HTTP/1.1\r\n" % far
            answer = await ask(port, request + b"Host: x\r\nContent-Length: 5\r\n\r\nhello")
            head, _, told = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert told.startswith(
                b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: 127.0.0.1:%d" % far
            )
            assert told.endswith(b"\r\n\r\nhello")

    run(main)


def test_second_request_on_a_connection_reaches_nobody() -> None:
    async def main() -> None:
        async with target(tell) as far, proxy() as (_, port):
            one = b"GET http://127.0.0.1:%d/one HTTP/1.1\r\nHost: x\r\n\r\n" % far
            answer = await ask(port, one + one.replace(b"one", b"two"))
            assert answer.count(b"GET /one HTTP/1.1") == 1
            assert b"two" not in answer

    run(main)


def test_upload_that_breaks_off_is_not_taken_for_whole() -> None:
    async def main() -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def hear(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            heard.set_result(await reader.read())

        async with target(hear) as far, proxy() as (_, port):
            request = b"POST http://127.0.0.1:%d/ HTTP/1.1\r\nContent-Length: 50\r\n\r\n" % far
            await ask_and_leave(port, request + b"half")
            assert (await heard).endswith(b"\r\n\r\nhalf")

    run(main)


async def ask_and_leave(port: int, request: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.close()
    await writer.wait_closed()


def test_answer_that_breaks_off_looks_broken() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\npart")
        await writer.drain()
        await gone.wait()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    gone: asyncio.Event

    async def main() -> None:
        nonlocal gone
        gone = asyncio.Event()
        async with target(reset) as far, proxy() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % far)
            assert (await reader.readuntil(b"part")).endswith(b"part")
            gone.set()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(main)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"GET https://x/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"x" * 40_000, b"HTTP/1.1 431 Request Header Fields Too Large\r\n"),
        (b"GET http://x/ HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n\r\n", b"HTTP/1.1 431 "),
        (b"GET / HT", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"", b""),
    ],
)
def test_what_is_no_proxy_request_is_refused(request_: bytes, answer: bytes) -> None:
    async def main() -> None:
        async with proxy() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_)
            writer.write_eof()
            found = await reader.read()
            assert found.startswith(answer)
            assert bool(found) == bool(answer)
            writer.close()

    run(main)


@pytest.mark.parametrize("form", [b"CONNECT 127.0.0.1:%d", b"GET http://127.0.0.1:%d/"])
def test_target_that_refuses_is_answered_502(form: bytes) -> None:
    async def main() -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # ours, and nobody listens
            far = held.getsockname()[1]
            async with proxy() as (_, port):
                answer = await ask(port, form % far + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"127.0.0.1:%d cannot be reached" % far in answer

    run(main)


@pytest.mark.parametrize("sent", [b"", b"GET http://127.0.0.1/ HTTP/1.1\r\n"])
def test_head_that_does_not_come_is_answered_408(sent: bytes) -> None:
    async def main() -> None:
        async with proxy(ProxyLimits(head_s=0.05)) as (_, port):
            assert (await ask(port, sent)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")

    run(main)


def test_tunnel_without_traffic_is_cut() -> None:
    async def main() -> None:
        async with target(echo) as far, proxy(ProxyLimits(idle_s=0.5)) as (_, port):
            reader, writer = await tunnel(port, far)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    run(main)


def test_connections_beyond_the_limit_are_refused_and_the_others_go_on() -> None:
    async def main() -> None:
        async with target(echo) as far, proxy(ProxyLimits(connections=1, quiet_s=0)) as (_, port):
            reader, writer = await tunnel(port, far)
            answer = await ask(port, b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % far)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
            writer.close()

    run(main)
