"""Discovery: each way in which there is no gateway has its own explanation."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.serve import discovery, pidfile
from gateway.serve.discovery import Fault, Found, FoundProxy, Missing
from gateway.serve.pidfile import HomeLock

HEALTH = {"status": "degraded", "providers": {"anthropic": True, "local": False}}
GATEWAY = {"/gateway/health": HEALTH, "/health": {"status": "ok"}}
DAEMON = {"/health": {"status": "ok", "version": "1", "port": 1}}  # the original's own port
STARTED = pidfile.own_start()
WAIT_S = 10.0

Serve = Callable[[Mapping[str, Any]], int]


@pytest.fixture
def free_port() -> Iterator[int]:
    """Return a port that is ours, and on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def record(home: Path, **change: object) -> None:
    """Write the PID file of this very process."""
    document = {
        "pid": os.getpid(),
        "started_at": STARTED,
        "port": 1,
        "proxy_port": None,
        "gateway_port": None,
        "version": "1",
    }
    pidfile.path_in(home).write_text(json.dumps(document | change))


def missing(found: object, fault: Fault) -> str:
    """Return the explanation."""
    assert isinstance(found, Missing)
    assert found.fault is fault
    return found.text


def test_living_gateway_is_found_with_its_health(tmp_path: Path, serve: Serve) -> None:
    port = serve(GATEWAY)
    record(tmp_path, port=port, gateway_port=port)
    found = discovery.find(tmp_path)
    assert isinstance(found, Found)
    assert (found.url, found.status, found.down) == (
        f"http://127.0.0.1:{port}",
        "degraded",
        ("local",),
    )


def test_original_gateway_with_two_ports_is_found_on_the_second(
    tmp_path: Path, serve: Serve
) -> None:
    port = serve(GATEWAY)
    record(tmp_path, port=serve(DAEMON), gateway_port=port)
    found = discovery.find(tmp_path)
    assert isinstance(found, Found)
    assert found.url == f"http://127.0.0.1:{port}"


# -- the file


def test_no_file_means_no_daemon(tmp_path: Path) -> None:
    text = missing(discovery.find(tmp_path), Fault.ABSENT)
    assert text == f"no daemon runs: there is no PID file {tmp_path}/daemon.pid"


def test_truncated_file_says_whether_a_daemon_runs(tmp_path: Path) -> None:
    path = pidfile.path_in(tmp_path)
    path.write_text('{"pid": 12')
    text = missing(discovery.find(tmp_path), Fault.TORN)
    assert text == f"the PID file {path} is cut off, no daemon holds the lock"
    lock = HomeLock(tmp_path)
    lock.acquire()
    text = missing(discovery.find(tmp_path), Fault.TORN)
    assert text == f"the PID file {path} is cut off, but pid {os.getpid()} runs"
    lock.release()


def test_file_about_something_else_is_named(tmp_path: Path) -> None:
    pidfile.path_in(tmp_path).write_text("4711\n")
    assert "is not about a daemon" in missing(discovery.find(tmp_path), Fault.FOREIGN)


# -- the process


def test_dead_daemon_is_named(tmp_path: Path, free_port: int) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    record(tmp_path, pid=process.pid, gateway_port=free_port)
    text = missing(discovery.find(tmp_path), Fault.DEAD)
    assert text == f"the daemon of {tmp_path}/daemon.pid, pid {process.pid}, has ended"


def test_dead_daemon_whose_port_is_served_points_to_the_other(tmp_path: Path, serve: Serve) -> None:
    port = serve(GATEWAY)
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    record(tmp_path, pid=process.pid, gateway_port=port)
    text = missing(discovery.find(tmp_path), Fault.DEAD)
    assert text.endswith(f"; port {port} is served all the same, by a daemon of another state root")


def test_reused_pid_is_told_from_the_daemon(tmp_path: Path, serve: Serve) -> None:
    record(tmp_path, started_at="2001-01-01T00:00:00Z", gateway_port=serve(DAEMON))
    text = missing(discovery.find(tmp_path), Fault.REUSED)
    assert f"pid {os.getpid()} of {tmp_path}/daemon.pid is another process by now" in text
    assert "the daemon began 2001-01-01T00:00:00Z" in text


@dataclass(frozen=True, slots=True)
class Other:
    """A process that holds the lock of a state root."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    code = (
        "import sys; from pathlib import Path; from gateway.serve.pidfile import HomeLock;"
        "lock = HomeLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield Other(process)
        process.kill()


def test_several_daemons_are_both_named(tmp_path: Path, serve: Serve, other: Other) -> None:
    port = serve(GATEWAY)
    record(tmp_path, port=port, gateway_port=port)
    text = missing(discovery.find(tmp_path), Fault.SEVERAL)
    assert f"pid {os.getpid()} is in the PID file, pid {other.pid} holds the lock" in text


@pytest.mark.parametrize("old_file", [False, True])
def test_daemon_without_a_file_of_its_own_is_starting(
    tmp_path: Path, other: Other, old_file: bool
) -> None:
    if old_file:
        record(tmp_path, started_at="2001-01-01T00:00:00Z")
    text = missing(discovery.find(tmp_path), Fault.STARTING)
    assert text.startswith(f"pid {other.pid} is starting")


# -- the port


@pytest.mark.parametrize(
    "ports",
    [
        {"port": 0, "gateway_port": 0},
        {"port": 0, "gateway_port": None},
        {"port": None, "gateway_port": None},
        {"gateway_port": None},
    ],
)
def test_port_that_is_not_told_yet_is_starting(
    tmp_path: Path, ports: dict[str, object], serve: Serve
) -> None:
    record(tmp_path, **{"port": serve(DAEMON), **ports})
    text = missing(discovery.find(tmp_path), Fault.STARTING)
    assert (
        text == f"pid {os.getpid()} has not told a gateway_port: it starts, or its gateway did not"
    )


def test_starting_gateway_is_waited_for(tmp_path: Path, serve: Serve) -> None:
    record(tmp_path, port=0)
    port = serve(GATEWAY)
    timer = threading.Timer(0.1, record, (tmp_path,), {"port": port, "gateway_port": port})
    timer.start()
    assert isinstance(discovery.find(tmp_path, WAIT_S), Found)
    timer.join()


def test_file_that_is_being_written_is_waited_for(tmp_path: Path, serve: Serve) -> None:
    pidfile.path_in(tmp_path).write_text("")
    port = serve(GATEWAY)
    timer = threading.Timer(0.1, record, (tmp_path,), {"port": port, "gateway_port": port})
    timer.start()
    assert isinstance(discovery.find(tmp_path, WAIT_S), Found)
    timer.join()


def test_port_on_which_nobody_listens_is_named(tmp_path: Path, free_port: int) -> None:
    record(tmp_path, port=free_port, gateway_port=free_port)
    text = missing(discovery.find(tmp_path), Fault.SILENT)
    assert f"nobody answers on gateway_port {free_port} of pid {os.getpid()}" in text


def test_swapped_ports_are_called_mixed_up(tmp_path: Path, serve: Serve, free_port: int) -> None:
    gateway = serve(GATEWAY)
    for wrong in (serve(DAEMON), free_port):
        record(tmp_path, port=gateway, gateway_port=wrong)
        text = missing(discovery.find(tmp_path), Fault.MIXED_UP)
        assert text.endswith(f"the gateway answers on {gateway}, not {wrong}")


def test_daemon_port_in_place_of_the_gateways_is_called_mixed_up(
    tmp_path: Path, serve: Serve
) -> None:
    port = serve(DAEMON)
    record(tmp_path, port=port, gateway_port=port)
    text = missing(discovery.find(tmp_path), Fault.MIXED_UP)
    assert text == f"gateway_port {port} is a daemon's own port: it has no /gateway/health"


@pytest.mark.parametrize("answers", [{}, {"/gateway/health": {"status": "fine"}}])
def test_stranger_on_the_port_is_not_taken_for_a_gateway(
    tmp_path: Path, serve: Serve, answers: dict[str, Any]
) -> None:
    port = serve(answers)
    record(tmp_path, port=port, gateway_port=port)
    assert "is no gateway" in missing(discovery.find(tmp_path), Fault.STRANGER)


def test_port_that_does_not_speak_http_is_a_stranger(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(2):
                client, _ = listener.accept()
                with client:
                    client.recv(1000)
                    client.sendall(b"220 mail.example ESMTP\r\n")

        threading.Thread(target=greet, daemon=True).start()
        port = listener.getsockname()[1]
        record(tmp_path, port=port, gateway_port=port)
        missing(discovery.find(tmp_path), Fault.STRANGER)


def test_gateway_that_is_switched_off_is_not_handed_out(tmp_path: Path, serve: Serve) -> None:
    port = serve(GATEWAY)
    record(tmp_path, port=port)
    text = missing(discovery.find(tmp_path, WAIT_S), Fault.SWITCHED_OFF)
    assert "gatewayEnabled is false" in text
    assert f"port {port} passes on" in text


# -- the proxy


def test_living_proxy_is_found(tmp_path: Path, serve: Serve) -> None:
    port = serve({})
    record(tmp_path, proxy_port=port)
    found = discovery.find_proxy(tmp_path)
    assert isinstance(found, FoundProxy)
    assert found.url == f"http://127.0.0.1:{port}"


def test_proxy_that_is_not_there_is_explained(tmp_path: Path, free_port: int) -> None:
    missing(discovery.find_proxy(tmp_path), Fault.ABSENT)
    record(tmp_path, proxy_port=None)
    assert "proxy_port is not set" in missing(discovery.find_proxy(tmp_path), Fault.STARTING)
    record(tmp_path, proxy_port=free_port)
    text = missing(discovery.find_proxy(tmp_path), Fault.SILENT)
    assert f"nobody listens on proxy_port {free_port}" in text
