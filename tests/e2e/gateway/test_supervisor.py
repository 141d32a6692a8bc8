"""The supervisor with real processes: start, replacement under load, crashes, orphans, stop."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

TINY = Path(__file__).parent / "tiny"
DEADLINE_S = 20.0
WHO = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"
CONFIG = "[server]\nlinger_s = 0.3\ndrain_s = 20\n"


def until(condition: Callable[[], Any]) -> Any:  # Any: whatever truth the condition finds
    """Return the condition's first true value; other processes offer nothing to wait on."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
    return value


class Daemon:
    """A tiny gateway in a state root of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, 0
        self.process: subprocess.Popen[bytes] | None = None
        (home / "config").mkdir(parents=True)
        self.configure(CONFIG)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "daemon.pid").read_text())
        return found

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def configure(self, text: str) -> None:
        (self.home / "config" / "gateway.toml").write_text(text)

    def start(self, workers: int = 1, *passed: int) -> Daemon:
        self.process = self.spawn(0, workers, *passed)
        until(lambda: "Override rules loaded" in self.log or self.ended())
        assert self.process.poll() is None, self.log
        self.port = int(self.record["gateway_port"])
        return self

    def spawn(self, port: int, workers: int = 1, *passed: int) -> subprocess.Popen[bytes]:
        words = [sys.executable, str(TINY / "tiny_supervisor.py"), str(self.home), str(port)]
        words += [str(number) for number in (workers, *passed)]
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                words,
                stderr=log,
                pass_fds=passed,
                env={**os.environ, "PYTHONPATH": str(TINY), "CCO_MIGRATE_RUN": "run-7"},
            )

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def ask(self, path: str = "/who") -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path, headers={"connection": "close"})
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def workers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("/gateway/workers")["workers"]
        return rows

    def reload(self, number: signal.Signals = signal.SIGHUP) -> dict[str, Any]:
        """Replace the workers, or with SIGUSR2 all of it, and return how it ended."""
        before = self.ask("/gateway/workers")["reload"]
        os.kill(self.record["pid"], number)

        def outcome() -> dict[str, Any] | None:
            found: dict[str, Any] | None = self.ask("/gateway/workers")["reload"]
            return None if found == before else found

        found: dict[str, Any] = until(outcome)
        return found

    def heir(self) -> psutil.Process:
        """Begin a replacement and return the new supervisor before it has taken over."""
        os.kill(self.pid, signal.SIGUSR2)

        def found() -> psutil.Process | None:
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    ours = str(self.home) in process.cmdline()[2:3]
                    # A child of ours is one that has not executed anything yet.
                    if ours and self.pid not in (process.pid, process.ppid()):
                        return process
            return None

        heir: psutil.Process = until(found)
        return heir

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.record["pid"]).children()

    def clean_up(self) -> None:
        ours = [self.pid] if self.process is not None and self.process.poll() is None else []
        with suppress(FileNotFoundError):
            ours.append(self.record["pid"])
        for pid in ours:
            with suppress(psutil.NoSuchProcess):
                for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                    process.kill()
        if self.process is not None:
            self.process.wait()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "home")
    yield made
    made.clean_up()


def open_stream(port: int, events: int) -> socket.socket:
    """Ask for a stream and return once its first event is here."""
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    client.sendall(b"GET /stream?%d HTTP/1.1\r\nHost: a\r\n\r\n" % events)
    received = b""
    while b"event: start" not in received:
        received += client.recv(65536)
    return client


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def read_to(client: socket.socket, end: bytes) -> bytes:
    """Read until this has come."""
    received = b""
    while end not in received:
        data = client.recv(65536)
        assert data, f"the connection ended after {received[-200:]!r}"
        received += data
    return received


def answer_of(client: socket.socket) -> tuple[bytes, dict[str, Any]]:
    """Return head and document of an answer, which come in one piece."""
    head, _, body = read_to(client, b"}").partition(b"\r\n\r\n")
    document: dict[str, Any] = json.loads(body)
    return head, document


def head_of_health(client: socket.socket) -> bytes:
    client.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    return answer_of(client)[0]


def read_rest(client: socket.socket) -> bytes:
    """Read to the end of the connection."""
    received = b""
    with client:
        while data := client.recv(65536):
            received += data
    return received


# -- start


def test_start_writes_pid_file_and_the_lines_runbooks_look_for(daemon: Daemon) -> None:
    daemon.start(workers=2)
    port, record = daemon.port, daemon.record
    assert set(record) == {
        "pid", "started_at", "port", "proxy_port", "gateway_port", "version", "run",
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
    second = daemon.spawn(0)
    assert second.wait(DEADLINE_S) == 1
    assert f"pid {daemon.pid}, port {daemon.port}" in daemon.log
    assert daemon.record["pid"] == daemon.pid


def test_taken_port_is_refused_and_nothing_written(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert daemon.spawn(port).wait(DEADLINE_S) == 1
        assert f"port {port} on 127.0.0.1 is already in use" in daemon.log
        assert not (daemon.home / "daemon.pid").exists()


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
    ("fault", "words"),
    [
        ("raise", "RuntimeError: the tiny application is out of order"),
        ("exit", "worker 0 exited with code 7 before it was ready"),
        ("hang", "worker 0 was not ready in time"),
    ],
)
def test_first_set_that_fails_ends_the_daemon_with_the_reason(
    daemon: Daemon, fault: str, words: str
) -> None:
    (daemon.home / "fault").write_text(fault)
    assert daemon.spawn(0).wait(DEADLINE_S) == 1
    assert f"Error: {words}" in daemon.log
    assert not (daemon.home / "daemon.pid").exists()


def test_socket_passed_by_a_service_manager_is_used(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        daemon.start(1, passed.fileno())
        assert daemon.port == passed.getsockname()[1]
        assert daemon.ask()["generation"] == 1


# -- replacement


async def _new_connections(port: int, count: int) -> int:
    good = 0
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        good += (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    return good


async def _kept_connection(port: int, count: int) -> int:
    """Ask over one connection; a new one only when an answer said that it was the last."""
    good, connection = 0, await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        reader, writer = connection
        writer.write(b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        good += b'"bytes": 3' in await reader.readexactly(int(length[1]))
        if b"connection: close" in head:
            writer.close()
            connection = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.005)  # the client's own pace, so that the load spans the reloads
    connection[1].close()
    return good


async def _paced_stream(port: int, events: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stream?%d HTTP/1.1\r\nHost: a\r\n\r\n" % events)
    body = await reader.readuntil(b"0\r\n\r\n")
    writer.write(b"GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")  # not lost either
    after = await reader.read()
    writer.close()
    return body.count(b"event: piece") == events and after.startswith(b"HTTP/1.1 200")


def test_replacements_under_load_lose_nothing(daemon: Daemon) -> None:
    daemon.start(workers=2)

    async def load() -> list[int]:
        numbers = (signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP)
        reloads = asyncio.to_thread(lambda: [daemon.reload(number)["error"] for number in numbers])
        work = [
            *(_new_connections(daemon.port, 100) for _ in range(3)),
            *(_kept_connection(daemon.port, 150) for _ in range(3)),
            *(_paced_stream(daemon.port, 50) for _ in range(20)),
        ]
        done = await asyncio.gather(reloads, *work)
        assert done[0] == [None, None, None]
        return [int(number) for number in done[1:]]

    assert asyncio.run(load()) == [100] * 3 + [150] * 3 + [1] * 20
    assert {row["generation"] for row in daemon.workers() if row["state"] == "serving"} == {4}
    until(lambda: len(daemon.children()) == 2)
    assert daemon.process is not None
    assert daemon.process.wait(DEADLINE_S) == 0
    assert daemon.log.count("closed ") == 6


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_upload_stream_and_idle_connection_survive_a_replacement(
    daemon: Daemon, number: signal.Signals
) -> None:
    daemon.configure("[server]\nlinger_s = 10\ndrain_s = 20\n")
    daemon.start()
    upload, idle, begun, probe = (connect(daemon.port) for _ in range(4))
    with upload, idle, begun, probe:
        upload.sendall(b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        begun.sendall(b"GET /stream?20 HTTP/1.1\r\nHost: a\r\n\r\n")
        read_to(begun, b"event: start")
        idle.sendall(WHO)
        assert b"connection: close" not in answer_of(idle)[0]
        assert b"connection: close" not in head_of_health(probe)
        assert daemon.reload(number)["error"] is None
        until(lambda: b"connection: close" in head_of_health(probe))  # the old one drains
        upload.sendall(b"def")
        idle.sendall(WHO)
        read_to(begun, b"0\r\n\r\n")
        begun.sendall(WHO)
        for client, size in ((upload, 6), (idle, 0), (begun, 0)):
            head, document = answer_of(client)
            assert b"connection: close" in head
            assert (document["generation"], document["bytes"]) == (1, size)
            assert client.recv(1) == b""  # the old one leaves by itself


def test_reload_with_a_bad_file_keeps_the_old_set_and_says_why(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.workers()
    daemon.configure("[server]\nprot = 1\n")
    outcome = daemon.reload()
    assert outcome["generation"] == 2
    assert str(daemon.home / "config" / "gateway.toml") in outcome["error"]
    assert "prot" in outcome["error"]
    assert f"the configuration before stays in force: {outcome['error']}" in daemon.log
    after = until(lambda: [rows for rows in [daemon.workers()] if len(rows) == 1])[0]
    assert [row["boot_id"] for row in after] == [row["boot_id"] for row in before]
    daemon.configure(CONFIG + "max_body_bytes = 2048\n")
    outcome = daemon.reload()
    assert (outcome["generation"], outcome["error"]) == (3, None)
    (row,) = until(lambda: [r for r in daemon.workers() if r["state"] == "serving"])
    assert row["fingerprint"] != before[0]["fingerprint"]
    assert daemon.log.count("Configuration loaded: ") == 2


@pytest.mark.parametrize(
    ("fault", "words"), [("exit", "exited with code 7"), ("hang", "not ready in time")]
)
def test_reload_whose_workers_die_or_hang_keeps_the_old_set(
    daemon: Daemon, fault: str, words: str
) -> None:
    daemon.start(workers=2)
    (daemon.home / "fault").write_text(fault)
    assert words in daemon.reload()["error"]
    until(lambda: len(daemon.children()) == 2)
    assert daemon.ask()["generation"] == 1


# -- replacement of the supervisor


def test_new_supervisor_takes_over_everything(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.record
    client = open_stream(daemon.port, 40)
    assert daemon.reload(signal.SIGUSR2)["error"] is None
    after = daemon.record
    assert after["pid"] != before["pid"]
    assert {k: v for k, v in after.items() if k not in ("pid", "started_at")} == {
        k: v for k, v in before.items() if k not in ("pid", "started_at")
    }
    assert (daemon.home / "daemon.lock").read_text() == f"{after['pid']}\n"
    assert not daemon.ended()  # the stream is still open
    assert daemon.spawn(0).wait(DEADLINE_S) == 1  # the state root is still held
    assert f"pid {after['pid']}, port {daemon.port}" in daemon.log
    rest = read_rest(client)
    assert rest.count(b"event: piece") == 40
    assert b"event: end" in rest
    assert daemon.process is not None
    assert daemon.process.wait(DEADLINE_S) == 0
    assert daemon.ask()["generation"] == 2
    os.kill(after["pid"], signal.SIGTERM)
    until(lambda: not (daemon.home / "daemon.pid").exists())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "worker 0 exited with code 7 before it was ready"),
        ("hang", "worker 0 was not ready in time"),
        ("raise", "RuntimeError: the tiny application is out of order"),
    ],
)
def test_new_supervisor_that_fails_leaves_the_old_one_in_charge(
    daemon: Daemon, fault: str, words: str
) -> None:
    daemon.start()
    before = daemon.record
    (daemon.home / "fault").write_text(fault)
    assert daemon.reload(signal.SIGUSR2) == {
        "generation": 2, "error": words, "finished_at": daemon.ask("/gateway/workers")["reload"][
            "finished_at"
        ],
    }  # fmt: skip
    assert f"replacement failed, this supervisor goes on: {words}" in daemon.log
    until(lambda: len(daemon.children()) == 1)
    assert (daemon.record, daemon.ask()["generation"]) == (before, 1)
    assert (daemon.home / "daemon.lock").read_text() == f"{before['pid']}\n"
    (daemon.home / "fault").unlink()
    assert daemon.reload(signal.SIGUSR2)["error"] is None


def test_new_supervisor_that_is_killed_leaves_the_old_one_in_charge(daemon: Daemon) -> None:
    daemon.start()
    (daemon.home / "fault").write_text("hang")
    heir = daemon.heir()
    workers = until(heir.children)
    heir.kill()
    outcome = until(lambda: daemon.ask("/gateway/workers")["reload"])
    assert "the new supervisor ended before it took over" in outcome["error"]
    assert psutil.wait_procs(workers, DEADLINE_S)[1] == []  # they leave the port, ready or not
    assert daemon.ask()["generation"] == 1


def test_supervisor_killed_in_the_handover_leaves_all_to_the_new_one(daemon: Daemon) -> None:
    daemon.start()
    heir = daemon.heir()
    os.kill(daemon.pid, signal.SIGKILL)
    until(lambda: daemon.record["pid"] == heir.pid)
    assert daemon.ask()["generation"] == 2


def test_stop_in_the_handover_ends_both(daemon: Daemon) -> None:
    daemon.start()
    (daemon.home / "fault").write_text("hang")
    heir = daemon.heir()
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.process is not None
    assert daemon.process.wait(DEADLINE_S) == 0
    until(lambda: not heir.is_running())
    assert not (daemon.home / "daemon.pid").exists()


def test_stop_after_a_replacement_waits_for_the_streams_of_the_old_one(daemon: Daemon) -> None:
    daemon.start()
    client = open_stream(daemon.port, 40)
    assert daemon.reload(signal.SIGUSR2)["error"] is None
    heir = psutil.Process(daemon.record["pid"])
    heir.terminate()
    until(lambda: "stopping" in daemon.log)
    rest = read_rest(client)
    assert b"event: end" in rest
    assert psutil.wait_procs([heir], DEADLINE_S)[1] == []
    assert daemon.log.count(" stopped pid=") == 2
    ends = re.findall(r" stopped pid=(\d+)", daemon.log)
    assert ends == [str(daemon.pid), str(heir.pid)]  # a service ends with its main process


# -- crashes


def test_killed_worker_is_replaced(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.ask()["pid"]
    os.kill(before, signal.SIGKILL)
    after = until(lambda: [who for who in [daemon.ask()] if who["pid"] != before])[0]
    assert after["generation"] == 1
    assert [(row["slot"], row["state"]) for row in daemon.workers()] == [(0, "serving")]


def test_streams_of_the_other_worker_outlive_a_killed_one(daemon: Daemon) -> None:
    daemon.start(workers=2)
    victim, other = daemon.children()
    victim.suspend()  # so that the other one takes the stream
    client = open_stream(daemon.port, 40)
    victim.kill()
    rows = until(lambda: [r for r in [daemon.workers()] if len(r) == 2])[0]
    until(lambda: {row["state"] for row in daemon.workers()} == {"serving"})
    assert sorted(row["slot"] for row in rows) == [0, 1]
    with client:
        rest = read_to(client, b"0\r\n\r\n")
    assert rest.count(b"event: piece") == 40
    assert other.is_running()


def test_hung_worker_is_noticed_and_replaced(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_SILENT_S", "2")
    daemon.start()
    hung = daemon.ask()["pid"]
    os.kill(hung, signal.SIGSTOP)
    after = daemon.ask()["pid"]  # waits in the queue of the socket
    assert after != hung
    assert f"killed a worker that hung pid={hung} silent_s=2." in daemon.log


def test_crash_loop_backs_off_and_recovers(daemon: Daemon) -> None:
    daemon.start()
    (daemon.home / "fault").write_text("exit")
    (child,) = daemon.children()
    child.kill()
    until(lambda: "restart_in_s=1:" in daemon.log)
    assert re.findall(r"restart_in_s=([\d.]+)", daemon.log) == ["0", "0.5", "1"]
    (daemon.home / "fault").unlink()
    until(lambda: "worker replaced slot=0" in daemon.log)
    assert daemon.ask()["generation"] == 1


def test_orphaned_workers_finish_and_leave_the_port(daemon: Daemon) -> None:
    daemon.start(workers=2)
    workers = daemon.children()
    client = open_stream(daemon.port, 40)
    os.kill(daemon.pid, signal.SIGKILL)
    assert daemon.process is not None
    daemon.process.wait()

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", daemon.port), timeout=1).close()
        except OSError:
            return True
        return False

    until(refused)
    assert any(worker.is_running() for worker in workers)  # the stream is still open
    daemon.start()  # the stale PID file and the free port are no obstacle
    rest = read_rest(client)
    assert rest.count(b"event: piece") == 40
    assert b"event: end" in rest
    gone, alive = psutil.wait_procs(workers, DEADLINE_S)
    assert (len(gone), alive) == (2, [])


def test_new_start_on_the_port_of_a_killed_daemon_succeeds_at_once(daemon: Daemon) -> None:
    daemon.start(workers=2)
    client = open_stream(daemon.port, 40)
    orphans = daemon.children()
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait()
    daemon.process = daemon.spawn(daemon.port)  # the orphans may not have left the port yet
    until(lambda: daemon.log.count("Override rules loaded") == 2 or daemon.ended())
    assert not daemon.ended(), daemon.log
    assert daemon.ask()["pid"] not in {worker.pid for worker in orphans}
    assert b"event: end" in read_rest(client)


def test_worker_that_starts_leaves_with_its_supervisor(daemon: Daemon) -> None:
    (daemon.home / "fault").write_text("hang")
    daemon.process = daemon.spawn(0)
    workers = until(psutil.Process(daemon.pid).children)
    daemon.process.kill()
    daemon.process.wait()
    assert psutil.wait_procs(workers, DEADLINE_S)[1] == []


# -- stop


def test_stop_finishes_streams_and_removes_the_pid_file(daemon: Daemon) -> None:
    daemon.start()
    client = open_stream(daemon.port, 20)
    os.kill(daemon.pid, signal.SIGTERM)
    rest = read_rest(client)
    assert (rest.count(b"event: piece"), rest.endswith(b"0\r\n\r\n")) == (20, True)
    assert daemon.process is not None
    assert daemon.process.wait(DEADLINE_S) == 0
    assert not (daemon.home / "daemon.pid").exists()
    assert "closed " in daemon.log


@pytest.mark.parametrize("worker_is_busy", [False, True])
def test_second_stop_signal_cuts_what_is_open(daemon: Daemon, worker_is_busy: bool) -> None:
    daemon.start()
    client = open_stream(daemon.port, 100_000)
    worker = psutil.Process(daemon.ask()["pid"])
    if worker_is_busy:
        worker.suspend()  # it sees both signals at once
    os.kill(daemon.pid, signal.SIGTERM)
    until(lambda: "stopping" in daemon.log)
    os.kill(daemon.pid, signal.SIGTERM)
    until(lambda: "cutting what is open" in daemon.log)
    if worker_is_busy:
        worker.resume()
    assert daemon.process is not None
    assert daemon.process.wait(DEADLINE_S) == 0
    assert not read_rest(client).endswith(b"0\r\n\r\n")  # visibly unfinished
    assert "closed " in daemon.log
