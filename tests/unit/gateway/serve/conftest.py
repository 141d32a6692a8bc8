"""Small HTTP servers on loopback that answer like a gateway, like another daemon, or like none."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

Answers = Mapping[str, Any]  # path → JSON document
Serve = Callable[[Answers], int]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve JSON documents by path, 404 for all others; return the port."""
    with ExitStack() as stack:

        def start(answers: Answers) -> int:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    document = answers.get(self.path)
                    body = json.dumps(document).encode()
                    self.send_response(404 if document is None else 200)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_: object) -> None:
                    """Say nothing."""

            server = stack.enter_context(_Server(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return int(server.server_address[1])

        yield start
