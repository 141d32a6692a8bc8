"""Streams through the old proxy while it is switched off, and back on: each ends as it would."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.daemon.conftest import Cco, Home, Until

DEADLINE_S = 50.0
PACE_S = 0.02
EVENT, LAST = b"data: more\n\n", b"data: [DONE]\n\n"
END = LAST + b"\r\n0\r\n\r\n"


class Upstream(http.server.ThreadingHTTPServer):
    """Streams until it is told to end: at a pace, or on /mute without a word until then."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.end = threading.Event()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Stream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/mute":
            self.server.end.wait(DEADLINE_S)
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._send(EVENT)
        while not self.server.end.wait(PACE_S):
            self._send(EVENT)
        self._send(LAST)
        self._send(b"")

    def _send(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.end.set()
        made.shutdown()
        thread.join()


@contextmanager
def through(proxy: int, upstream: Upstream, path: str, *, tunnel: bool) -> Iterator[socket.socket]:
    """Ask for a stream through the proxy."""
    host = upstream.place.encode()
    with socket.create_connection(("127.0.0.1", proxy), timeout=DEADLINE_S) as client:
        target = path.encode()
        if tunnel:
            client.sendall(b"CONNECT %s HTTP/1.1\r\n\r\n" % host)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        else:
            target = b"http://%s%s" % (host, target)
        fields = b"host: %s\r\nconnection: close\r\ncontent-length: 2\r\n" % host
        client.sendall(b"POST %s HTTP/1.1\r\n%s\r\n{}" % (target, fields))
        yield client


def rest_of(client: socket.socket) -> bytes:
    """Return everything that still comes; raises OSError when it breaks off."""
    found = b""
    while data := client.recv(65536):
        found += data
    return found


def first_event_of(client: socket.socket) -> None:
    found = b""
    while EVENT not in found:
        found += client.recv(65536)


def proxy_port(home: Home) -> int | None:
    found: int | None = home.record["proxy_port"]
    return found


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_streams_through_the_old_proxy_survive_the_switch_and_its_way_back(
    home: Home, cco: Cco, until: Until, upstream: Upstream
) -> None:
    home.switch(gateway=False, proxy=True)
    assert cco("daemon", "start").returncode == 0
    proxy = proxy_port(home)
    assert proxy is not None
    with ExitStack() as stack:
        asked = [
            stack.enter_context(through(proxy, upstream, path, tunnel=tunnel))
            for path in ("/paced", "/mute")
            for tunnel in (True, False)
        ]
        for paced in asked[:2]:
            first_event_of(paced)
        until(lambda: home.log.count("Proxy request: ") == len(asked))

        home.switch(gateway=True, proxy=False)
        with ThreadPoolExecutor(1) as pool:
            reloaded = pool.submit(cco, "reload")
            until(lambda: refused(proxy))
            assert proxy_port(home) is None  # gone from there first: nobody is led astray
            assert reloaded.result().returncode == 0
        home.switch(gateway=False, proxy=True)
        assert cco("reload").returncode == 0
        until(lambda: proxy_port(home) is not None)
        assert proxy_port(home) == proxy  # who was started before knows no other

        asked.append(stack.enter_context(through(proxy, upstream, "/paced", tunnel=True)))
        first_event_of(asked[-1])
        upstream.end.set()
        assert [rest_of(client)[-len(END) :] for client in asked] == [END] * len(asked)
    assert "broke off" not in home.log
