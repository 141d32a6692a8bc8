"""Requests through a forward proxy: absolute-form for http, a CONNECT tunnel for https."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from cco_migrate.probes.proxied import through
from cco_migrate.world import World


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers http itself and refuses tunnels; its URL and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.requestline)
            self.send_response(200 if self.command == "GET" else 403)
            self.send_header("content-length", "0")
            self.end_headers()

        do_CONNECT = do_GET  # noqa: N815  # the name http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_http_is_asked_in_absolute_form_and_https_through_a_tunnel(
    world: World, proxy: tuple[str, list[str]]
) -> None:
    url, asked = proxy
    with through(url, world) as clients:
        assert clients.http.client.get("http://provider.test/v1").status_code == 200
        with pytest.raises(httpx.ProxyError, match="403"):
            clients.http.client.get("https://provider.test/v1")
    assert asked == [
        "GET http://provider.test/v1 HTTP/1.1", "CONNECT provider.test:443 HTTP/1.1",
    ]  # fmt: skip


def test_no_proxy_is_the_world_itself(world: World) -> None:
    with through("", world) as clients:
        assert clients is world
