"""Shared fixtures: a real world, scripted loopback gateways, and contexts that point at them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cco_migrate.context import Context
from cco_migrate.model import DriverSpec, Instance
from cco_migrate.world import World

# Status, headers, body; a sequence is sent chunk by chunk, and None in it cuts the connection.
Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
# Method, target, body of a request.
Script = Callable[[str, str, bytes], Reply]


@pytest.fixture
def own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git without the configuration and the identity of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    # Newer ones leave maintenance behind a commit, which writes there after the command has ended.
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "maintenance.auto")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "false")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Op")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "op@example.org")


@pytest.fixture
def world() -> Iterator[World]:
    world = World.real()
    yield world
    world.http.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Script], str]]:
    """Start a loopback server that answers by a script; returns its base URL."""
    with ExitStack() as stack:

        def start(script: Script) -> str:
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(script))
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.005,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start


@pytest.fixture
def instance_at(tmp_path: Path) -> Callable[[str], Instance]:
    """Make an instance with its own state root in the test's directory."""

    def make(url: str) -> Instance:
        home = tmp_path / "home"
        (home / "config").mkdir(parents=True, exist_ok=True)
        config = home / "config" / "model-overrides.toml"
        return Instance("test", url, config, home, DriverSpec("process"), home / "daemon.log")

    return make


@pytest.fixture
def context_at(
    tmp_path: Path, world: World, instance_at: Callable[[str], Instance]
) -> Callable[[str], Context]:
    """Make the surroundings of one step against the gateway at a URL."""

    def make(url: str) -> Context:
        run_dir = tmp_path / "run"
        run_dir.mkdir(exist_ok=True)
        return Context(world, instance_at(url), "mo-test", run_dir, {}, _nobody_looks, dict)

    return make


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a loopback port on which nobody listens: only what is started there by its number."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def handler_of(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        # The body is a write of its own, and a client may acknowledge the head only after 40 ms.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            status, headers, body = script(self.command, self.path, self.rfile.read(length))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, bytes):
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._send_chunks(body)

        def _send_chunks(self, chunks: Sequence[bytes | None]) -> None:
            for chunk in chunks:
                if chunk is None:
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")

        do_POST = do_GET  # noqa: N815  # the name http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def _nobody_looks(_what: str, _timeout_s: float) -> None:
    return None


DAEMON = """
import pathlib, signal, sys
# Waited for, not handled: a handler may be told just before signal.pause(), which then never ends.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
if sys.argv[2] == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while signal.sigwait([signal.SIGHUP]): pathlib.Path(sys.argv[1]).touch()
"""


@pytest.fixture
def daemon(tmp_path: Path, world: World) -> Iterator[Callable[[str], int]]:
    """Start a process that a pid file names; it notes a SIGHUP in the file `hup`.

    Its argument is "" or "stubborn", which ignores SIGTERM; returns its pid.
    """
    with ExitStack() as stack:

        def start(manner: str) -> int:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", DAEMON, str(tmp_path / "hup"), manner],
                    stdout=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            home = tmp_path / "home"
            home.mkdir(exist_ok=True)
            started_at = world.processes.started_at(process.pid).isoformat()
            row = {"pid": process.pid, "started_at": started_at, "gateway_port": 1}
            (home / "daemon.pid").write_text(json.dumps(row))
            return process.pid

        yield start
