"""Waiting for a reload: who is too busy to tell is asked again, who was replaced is not heard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.serve import daemon, pidfile
from gateway.serve.handover import Request
from gateway.serve.timestamps import time_text

BUSY: tuple[int, Any] = (503, {"type": "error"})
# Older versions do not say whose answer it is.
NONE_YET: tuple[int, Any] = (200, {"workers": [], "reload": None})
DONE: tuple[int, Any] = (200, {"workers": [], "reload": {"generation": 2, "error": None}})
DEADLINE_S = 60.0
OURS, BEFORE_US = os.getpid(), 0  # supervisors: who is signalled; whom it has replaced

Answers = Sequence[tuple[int, Any]]  # Any: a JSON document


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Path]:
    """A state root whose daemon is this very process, which does not mind being told to reload."""
    numbers = (signal.SIGHUP, signal.SIGUSR2)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def heir(ours: Path) -> Iterator[Callable[[signal.Signals], int]]:
    """Have a signal put another process into the PID file; returns the pid of that."""
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:

        def after(number: signal.Signals) -> int:
            signal.signal(number, lambda *_: name(ours, process.pid))
            return process.pid

        yield after


def told_by(supervisor: int, generation: int | None, error: str | None = None) -> tuple[int, Any]:
    """Return the answer of a worker of this supervisor; None for one that has replaced nothing."""
    reload = None if generation is None else {"generation": generation, "error": error}
    return 200, {"supervisor": supervisor, "workers": [], "reload": reload}


def name(home: Path, pid: int, port: int | None = None) -> None:
    """Write that this process is the daemon, on the port of the one before unless it is given."""
    path, started = pidfile.path_in(home), pidfile.start_time(pid)
    assert started is not None
    port = json.loads(path.read_text())["port"] if port is None else port
    row = {"pid": pid, "started_at": time_text(started), "version": "1"}
    path.write_text(json.dumps(row | {"port": port, "gateway_port": port}))


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
    name(home, OURS, server.server_port)


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


def test_outcome_of_a_daemon_that_ended_is_not_waited_for(ours: Path) -> None:
    signal.signal(signal.SIGHUP, lambda *_: pidfile.path_in(ours).unlink(missing_ok=True))
    with ExitStack() as stack:
        answering(ours, stack, [told_by(OURS, None), told_by(BEFORE_US, 2)])
        with pytest.raises(GatewayError, match=f"pid {OURS} has ended"):
            daemon.reload(ours, DEADLINE_S)


@pytest.mark.parametrize(
    "answers",
    [
        # Before the reload: what was replaced by us does not know of that.
        (told_by(BEFORE_US, None), told_by(OURS, 2), told_by(OURS, 2), told_by(OURS, 3)),
        # After it: what was replaced by us tells of its own last reload.
        (told_by(OURS, None), told_by(BEFORE_US, 2), told_by(OURS, None), told_by(OURS, 3)),
        (told_by(OURS, 2), told_by(BEFORE_US, 1, "no such file"), told_by(OURS, 3)),
    ],
)
def test_worker_of_the_supervisor_before_tells_nothing_of_a_reload(
    ours: Path, answers: Answers
) -> None:
    with ExitStack() as stack:
        answering(ours, stack, answers)
        assert daemon.reload(ours, DEADLINE_S) == 3


def test_replacement_is_told_by_who_has_taken_over(
    ours: Path, heir: Callable[[signal.Signals], int]
) -> None:
    pid = heir(signal.SIGUSR2)
    waiting = (told_by(OURS, None), told_by(pid, None), told_by(BEFORE_US, 2, "no such file"))
    with ExitStack() as stack:
        answering(ours, stack, (*waiting, told_by(pid, 3)))
        assert daemon.replace(ours, Request(), DEADLINE_S).pid == pid


def test_replacement_that_failed_is_told_by_who_goes_on(ours: Path) -> None:
    answers = (told_by(OURS, None), told_by(BEFORE_US, 2), told_by(OURS, 3, "no such file"))
    with ExitStack() as stack:
        answering(ours, stack, answers)
        with pytest.raises(GatewayError, match="no such file"):
            daemon.replace(ours, Request(), DEADLINE_S)


def test_reload_of_who_was_replaced_meanwhile_is_an_error(
    ours: Path, heir: Callable[[signal.Signals], int]
) -> None:
    pid = heir(signal.SIGHUP)
    with ExitStack() as stack:
        answering(ours, stack, (told_by(OURS, None), told_by(pid, 3)))
        with pytest.raises(GatewayError, match=f"pid {OURS} was replaced by pid {pid}"):
            daemon.reload(ours, DEADLINE_S)
