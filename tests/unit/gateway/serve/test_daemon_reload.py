"""Waiting for a reload: a gateway that is too busy to tell of it is asked again."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.serve import daemon, pidfile

BUSY: tuple[int, Any] = (503, {"type": "error"})
NONE_YET: tuple[int, Any] = (200, {"workers": [], "reload": None})
DONE: tuple[int, Any] = (200, {"workers": [], "reload": {"generation": 2, "error": None}})
DEADLINE_S = 60.0

Answers = Sequence[tuple[int, Any]]  # Any: a JSON document


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Path]:
    """A state root whose daemon is this very process, which does not mind being told to reload."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield tmp_path
    signal.signal(signal.SIGHUP, before)


def answering(home: Path, stack: ExitStack, answers: Answers) -> None:
    """Serve these answers in turn, the last one again and again, as the daemon of a state root."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    stack.callback(server.shutdown)
    row = {"pid": os.getpid(), "started_at": pidfile.own_start(), "version": "1"}
    row |= {"port": server.server_port, "gateway_port": server.server_port}
    pidfile.path_in(home).write_text(json.dumps(row))


@pytest.mark.parametrize(
    "answers",
    [
        (NONE_YET, DONE),
        (BUSY, NONE_YET, BUSY, BUSY, NONE_YET, BUSY, DONE),
    ],
)
def test_outcome_is_waited_for_however_busy_the_gateway_is(ours: Path, answers: Answers) -> None:
    with ExitStack() as stack:
        answering(ours, stack, answers)
        assert daemon.reload(ours, DEADLINE_S) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (BUSY, "is too busy to tell"),
        (NONE_YET, "told of no outcome"),
        ((500, {}), "/gateway/workers on port .*: status 500"),
    ],
)
def test_outcome_that_is_not_told_in_time_is_an_error(
    ours: Path, answer: tuple[int, Any], words: str
) -> None:
    with ExitStack() as stack:
        answering(ours, stack, [answer])
        with pytest.raises(GatewayError, match=words):
            daemon.reload(ours, 0)
