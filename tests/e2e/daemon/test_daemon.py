"""The daemon with real processes: start, stop, restart, status, logs, and the legacy proxy."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.daemon.conftest import Cco, Ended, Home, Until

DEADLINE_S = 120.0


def health(port: int, path: str = "/health", proxy_port: int | None = None) -> int:
    """Return the status of a gateway's answer, asked directly or through a proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy_port or port, timeout=DEADLINE_S)
    if proxy_port is not None:
        connection.set_tunnel("127.0.0.1", port)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
    except OSError:
        return True
    return False


# -- start, status, stop


def test_daemon_lives_detached_from_start_to_stop(home: Home, cco: Cco) -> None:
    started = cco("daemon", "start")
    assert started.returncode == 0, started.stderr
    pid, port = home.record["pid"], home.record["gateway_port"]
    assert started.stdout.splitlines() == [
        f"started: pid {pid}, port {port}, version {home.record['version']}",
        f"  gateway  http://127.0.0.1:{port}",
        "  proxy    off",
        f"  log      {home.path}/daemon.log",
    ]
    assert os.getsid(pid) == pid
    assert (home.path / "daemon.log").stat().st_mode & 0o777 == 0o600
    lines = re.findall(r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z INFO (.*)$", home.log)
    assert lines[:4] == [
        "LLM Gateway initialized successfully",
        f"LLM Gateway started on port {port}",
        f"PID file updated with gateway port: {port}",
        f"CCO started on http://127.0.0.1:{port}",
    ]
    assert "Model overrides: disabled" in lines
    assert "Override rules loaded: 0" in lines

    second = cco("daemon", "start")
    assert second.returncode == 11
    assert second.stderr == (
        f"Error: a daemon runs on {home.path} already: pid {pid}, port {port}; "
        "it goes on, see: cco-gateway daemon status\n"
    )
    up = cco("daemon", "status")
    assert up.returncode == 0
    assert f"running: pid {pid}, port {port}" in up.stdout
    assert f"  gateway  http://127.0.0.1:{port} (unhealthy: cannot reach anthropic)" in up.stdout
    assert cco("daemon", "logs", "-n", "1").stdout.endswith("INFO Override rules loaded: 0\n")

    stopped = cco("daemon", "stop")
    assert (stopped.returncode, stopped.stdout) == (0, f"stopped: pid {pid}\n")
    down = cco("daemon", "status")
    assert (down.returncode, down.stdout.splitlines()) == (
        3,
        [f"stopped: no daemon runs on {home.path}", f"  port {port} of the last run is free"],
    )
    assert cco("daemon", "stop").stdout == f"no daemon runs on {home.path}\n"


def test_port_of_the_last_run_is_kept_until_somebody_takes_it(
    home: Home, cco: Cco, until: Until, ended: Ended
) -> None:
    assert cco("daemon", "start").returncode == 0
    port, pid = home.record["port"], home.record["pid"]
    again = cco("daemon", "restart")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith(f"replaced: pid {pid} by pid {home.record['pid']}, port {port}")
    assert home.record["port"] == port
    assert home.record["pid"] != pid
    until(lambda: ended(pid))
    assert cco("daemon", "stop").returncode == 0
    with socket.create_server(("127.0.0.1", port)):
        assert f"port {port} of the last run is taken" in cco("daemon", "status").stdout
        elsewhere = cco("daemon", "start")
        assert elsewhere.returncode == 0
        other = home.record["port"]
        assert other != port
        assert f"Warning: the last run had port {port}; start its clients" in elsewhere.stderr
        assert f"port {port} on 127.0.0.1 is already in use: port {other} is taken" in home.log
        assert cco("daemon", "stop").returncode == 0
    assert cco("daemon", "start").returncode == 0
    assert home.record["port"] == other


def test_restart_with_a_bad_file_leaves_the_daemon_alone(home: Home, cco: Cco) -> None:
    assert cco("daemon", "start").returncode == 0
    before = home.record
    home.configure(prot=1)
    failed = cco("daemon", "restart")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"Error: {home.path}/config/gateway.toml:2: ")
    assert home.record == before
    assert health(before["port"]) == 200


def test_child_that_dies_is_told_with_its_last_lines(home: Home, cco: Cco) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        failed = cco("daemon", "start", "--port", str(port))
    assert failed.returncode == 1
    assert failed.stderr == (
        "Error: the daemon ended with exit code 1 before it served; its log says:\n"
        f"Error: port {port} on 127.0.0.1 is already in use\n"
    )
    assert not (home.path / "daemon.pid").exists()


def test_child_that_is_not_ready_in_time_is_told_to_stop(
    home: Home, cco: Cco, until: Until
) -> None:
    late = cco("daemon", "start", "--timeout", "0")
    assert late.returncode == 1
    assert "the daemon did not serve within 0 s and was told to stop" in late.stderr
    until(lambda: cco("daemon", "status").returncode == 3)
    assert cco("daemon", "restart").returncode == 0
    assert health(home.record["port"]) == 200


@pytest.mark.parametrize(
    "content",
    ['{"pid": 12', '{"pid": %d, "started_at": "2001-01-01T00:00:00Z", "port": 1}', "4711"],
)
def test_pid_file_of_nobody_is_survived(home: Home, cco: Cco, content: str) -> None:
    path = home.path / "daemon.pid"
    path.write_text(content.replace("%d", str(os.getpid())))
    assert cco("daemon", "stop").stdout == f"no daemon runs on {home.path}\n"
    down = cco("daemon", "status")
    assert down.returncode == 3
    assert str(path) in down.stdout
    assert cco("daemon", "start").returncode == 0
    assert home.process.is_running()


def test_daemon_whose_pid_file_is_lost_is_still_the_only_one(
    home: Home, cco: Cco, until: Until
) -> None:
    assert cco("daemon", "start").returncode == 0
    pid = home.record["pid"]
    (home.path / "daemon.pid").unlink()
    assert cco("daemon", "start").returncode == 11
    until((home.path / "daemon.pid").exists)  # a running daemon writes it again
    assert home.record["pid"] == pid
    assert cco("daemon", "status").returncode == 0
    until(lambda: "the PID file was removed or replaced; written again" in home.log)
    assert cco("daemon", "stop").stdout == f"stopped: pid {pid}\n"


def test_daemon_that_does_not_drain_in_time_is_killed_and_nobody_else(
    home: Home, cco: Cco, until: Until, ended: Ended
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:  # accepts, and never answers
        url = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        home.provide(url)
        assert cco("daemon", "start").returncode == 0
        pid = home.record["pid"]
        (worker,) = home.process.children()
        body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}'
        with socket.create_connection(("127.0.0.1", home.record["port"])) as client:
            head = b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n"
            client.sendall(head % len(body) + body)
            with upstream.accept()[0]:  # the request has arrived
                killed = cco("daemon", "stop", "--timeout", "0.3")
                assert worker.status() != psutil.STATUS_ZOMBIE  # it finishes what it has
            assert (killed.returncode, killed.stdout) == (0, f"killed: pid {pid}\n")
            assert not (home.path / "daemon.pid").exists()
        until(lambda: ended(worker.pid))


def test_configured_port_beats_the_last_one_and_must_be_free(home: Home, cco: Cco) -> None:
    assert cco("daemon", "start").returncode == 0
    before = home.record["port"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.configure(port=port)
        assert cco("daemon", "stop").returncode == 0
        failed = cco("daemon", "start")
        assert failed.returncode == 1
        assert f"port {port} on 127.0.0.1 is already in use" in failed.stderr
    moved = cco("daemon", "start")
    assert moved.returncode == 0
    assert home.record["port"] == port
    assert f"the last run had port {before}" in moved.stderr


def test_reload_reaches_a_daemon_on_another_address(home: Home, cco: Cco) -> None:
    assert cco("daemon", "start", "--host", "127.9.9.9").returncode == 0
    assert home.record["host"] == "127.9.9.9"
    reloaded = cco("reload")
    assert (reloaded.returncode, reloaded.stdout) == (0, "reloaded: generation 2\n")
    assert "http://127.9.9.9:" in cco("daemon", "status").stdout


def test_logs_are_followed_until_interrupted(
    home: Home, cco: Cco, clean_environ: dict[str, str]
) -> None:
    (home.path / "daemon.log").write_text("one\ntwo\n")
    argv = [sys.executable, "-m", "gateway", "daemon", "logs", "-n", "1", "-f"]
    # Where the tests run in the background SIGINT is ignored, and a child would inherit that.
    heeding = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=clean_environ)
    finally:
        signal.signal(signal.SIGINT, heeding)
    with process, ExitStack() as cleaning:
        cleaning.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"two\n"
        with (home.path / "daemon.log").open("a") as file:
            file.write("three\n")
        assert process.stdout.readline() == b"three\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
    (home.path / "daemon.log").unlink()
    missing = cco("daemon", "logs")
    assert missing.returncode == 1
    assert f"{home.path}/daemon.log" in missing.stderr


# -- the legacy proxy


def proxy_process(home: Home) -> psutil.Process:
    children = home.process.children()
    (found,) = [one for one in children if "gateway.serve.forward_proxy" in one.cmdline()]
    return found


def test_proxy_runs_beside_the_gateway_and_its_crash_stays_its_own(
    home: Home, cco: Cco, until: Until, ended: Ended
) -> None:
    home.switch(gateway=True, proxy=True)
    started = cco("daemon", "start")
    assert started.returncode == 0, started.stderr
    port, proxy = home.record["gateway_port"], home.record["proxy_port"]
    assert f"  proxy    http://127.0.0.1:{proxy}\n" in started.stdout
    assert f"Proxy server started on port {proxy}" in home.log
    assert f"PID file updated with proxy port: {proxy}" in home.log
    assert health(port, proxy_port=proxy) == 200
    assert f"Proxy request: CONNECT 127.0.0.1:{port}" in home.log

    (worker,) = [one for one in home.process.children() if one != proxy_process(home)]
    crashed = proxy_process(home)
    crashed.kill()
    assert health(port, proxy_port=proxy) == 200  # waits in the socket for the next process
    until(lambda: home.record["proxy_port"] == proxy)
    assert "proxy down, the gateway goes on: restart_in_s=0 code=-9" in home.log
    assert proxy_process(home).pid != crashed.pid
    assert worker.is_running()

    replacement = proxy_process(home)
    assert cco("daemon", "restart").returncode == 0
    assert home.record["proxy_port"] == proxy
    assert health(port, proxy_port=proxy) == 200
    until(lambda: ended(replacement.pid))


def test_switches_take_effect_on_reload(home: Home, cco: Cco, until: Until) -> None:
    assert cco("daemon", "start").returncode == 0
    port = home.record["port"]
    home.switch(gateway=False, proxy=True)
    assert cco("reload").returncode == 0
    until(lambda: home.record["proxy_port"])
    proxy = home.record["proxy_port"]
    assert (home.record["port"], home.record["gateway_port"]) == (port, None)
    assert health(port, proxy_port=proxy) == 200  # the old address goes on for old clients
    status = cco("daemon", "status")
    assert status.returncode == 0
    assert "gateway  switched off: " in status.stdout
    assert f"proxy    http://127.0.0.1:{proxy}" in status.stdout

    home.switch(gateway=True, proxy=False)
    assert cco("reload").returncode == 0
    until(lambda: home.record["gateway_port"] == port)
    assert home.record["proxy_port"] is None
    until(lambda: refused(proxy))
    assert home.log.count(f"LLM Gateway started on port {port}") == 2


def test_proxy_ends_with_its_daemon_however_that_ends(
    home: Home, cco: Cco, until: Until, ended: Ended
) -> None:
    home.switch(gateway=False, proxy=True)
    assert cco("daemon", "start").returncode == 0
    process = proxy_process(home)
    assert cco("daemon", "stop").returncode == 0
    assert ended(process.pid)

    assert cco("daemon", "start").returncode == 0
    proxy, process = home.record["proxy_port"], proxy_process(home)
    home.process.kill()
    until(lambda: refused(proxy))
    until(lambda: ended(process.pid))
