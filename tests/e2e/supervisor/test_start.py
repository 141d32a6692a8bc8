"""How a daemon starts: what it writes, and what it refuses."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.supervisor.conftest import Daemon


def test_start_writes_pid_file_and_the_lines_runbooks_look_for(daemon: Daemon) -> None:
    daemon.start(workers=2)
    port, record = daemon.port, daemon.record
    assert set(record) == {
        "pid", "started_at", "port", "proxy_port", "gateway_port", "version", "run", "birth",
    }  # fmt: skip
    assert (record["pid"], record["port"], record["proxy_port"]) == (daemon.pid, port, None)
    assert (record["version"], record["run"]) == ("1.2.3", "run-7")
    for line in (
        "INFO LLM Gateway initialized successfully",
        f"INFO LLM Gateway started on port {port}",
        f"INFO PID file updated with gateway port: {port}",
        f"INFO CCO started on http://127.0.0.1:{port}",
        "INFO Model overrides: disabled",
        "INFO Override rules loaded: 0",
    ):
        assert re.search(rf"(?m)^\d{{4}}-\d\d-\d\dT[\d:.]+Z {re.escape(line)}$", daemon.log)
    rows = daemon.workers()
    assert sorted(row["slot"] for row in rows) == [0, 1]
    assert {row["state"] for row in rows} == {"serving"}
    assert len({row["fingerprint"] for row in rows}) == 1
    assert f"Configuration loaded: {rows[0]['fingerprint']}" in daemon.log


def test_second_daemon_on_the_home_is_refused_by_name(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.run_beside() == 1
    assert f"pid {daemon.pid}, port {daemon.port}" in daemon.log
    assert daemon.record["pid"] == daemon.pid


def test_taken_port_is_refused_and_nothing_written(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert daemon.run_beside(port) == 1
        assert f"port {port} on 127.0.0.1 is already in use" in daemon.log
        assert not daemon.has_record


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"pid": 12',
        '{"pid": 1, "started_at": "2001-01-01T00:00:00Z", "port": 3000, "gateway_port": 3000}',
        "[]",
    ],
)
def test_stale_or_torn_pid_file_is_replaced(daemon: Daemon, content: str) -> None:
    (daemon.home / "daemon.pid").write_text(content)
    daemon.start()
    assert daemon.record["pid"] == daemon.pid


@pytest.mark.parametrize(
    ("fault", "words", "ready_s"),
    [
        ("raise", "RuntimeError: the tiny application is out of order", 120),
        ("exit", "worker 0 exited with code 7 before it was ready", 120),
        ("hang", "worker 0 was not ready in time", 0.5),
    ],
)
def test_first_set_that_fails_ends_the_daemon_with_the_reason(
    daemon: Daemon, fault: str, words: str, ready_s: float
) -> None:
    daemon.break_workers(fault)
    daemon.ready_s = ready_s
    assert daemon.run_beside() == 1
    assert f"Error: {words}" in daemon.log
    assert not daemon.has_record


def test_socket_passed_by_a_service_manager_is_used(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        daemon.passed = passed
        daemon.start()
        assert daemon.port == passed.getsockname()[1]
        assert daemon.ask()["generation"] == 1
