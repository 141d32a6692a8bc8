"""A supervisor of tiny workers in a state root of its own; nothing of it outlives its test."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

TINY = Path(__file__).parent / "tiny"
_DEADLINE_S = 120.0  # a busy machine is no fault
_SERVER: Mapping[str, float] = {"linger_s": 0.3, "drain_s": _DEADLINE_S}


class Client:
    """A raw connection: what is sent and received is exactly what the test says."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_S)

    def get(self, target: str) -> None:
        """Ask, and read nothing yet."""
        self.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_to(self, end: bytes) -> bytes:
        """Read until this has come."""
        received = b""
        while end not in received:
            data = self.socket.recv(65536)
            assert data, f"the connection ended after {received[-200:]!r}"
            received += data
        return received

    def answer(self) -> tuple[bytes, dict[str, Any]]:
        """Return head and document of an answer, which come in one piece."""
        head, _, body = self.read_to(b"}").partition(b"\r\n\r\n")
        document: dict[str, Any] = json.loads(body)
        return head, document

    def rest(self) -> bytes:
        """Read to the end of the connection."""
        received = b""
        while data := self.socket.recv(65536):
            received += data
        return received


class Daemon:
    """A tiny gateway in a state root of its own; it owns its processes and the test's clients.

    Attributes:
        ready_s, silent_s: As in the supervisor's plan; long, for a busy machine.
        passed: What a service manager passes; None when there is none.
    """

    ready_s = _DEADLINE_S
    silent_s = 30.0
    passed: socket.socket | None = None

    def __init__(self, home: Path, cleaning: ExitStack) -> None:
        self.home, self.port = home, 0
        self._cleaning = cleaning
        self._process: subprocess.Popen[bytes] | None = None
        self._environ = {**os.environ, "CCO_HOME": str(home), "CCO_MIGRATE_RUN": "run-7"}
        (home / "config").mkdir(parents=True)
        self.configure()

    # -- its files

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    @property
    def loaded(self) -> int:
        """How often it has said that a configuration is in force."""
        path = self.home / "log"
        return path.read_text().count("Override rules loaded") if path.exists() else 0

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "daemon.pid").read_text())
        return found

    @property
    def has_record(self) -> bool:
        return (self.home / "daemon.pid").exists()

    def configure(self, **server: float) -> None:
        """Write the file with these settings of the server; what is not named is short."""
        lines = (f"{name} = {value}\n" for name, value in {**_SERVER, **server}.items())
        (self.home / "config" / "gateway.toml").write_text("[server]\n" + "".join(lines))

    def break_workers(self, fault: str) -> None:
        """Have the workers that start from now on fail in this way."""
        (self.home / "fault").write_text(fault)

    def mend_workers(self) -> None:
        (self.home / "fault").unlink()

    def hold_streams(self) -> None:
        """Keep streams open behind their last piece."""
        (self.home / "hold").touch()

    def release_streams(self) -> None:
        (self.home / "hold").unlink()

    # -- its processes

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The first supervisor; a successor is nobody's child."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def current(self) -> psutil.Process:
        """The supervisor that the PID file names, which a test may signal: it is ours."""
        found = psutil.Process(self.record["pid"])
        assert found.environ()["CCO_HOME"] == str(self.home)
        return found

    def start(self, workers: int = 1) -> Daemon:
        """Start it and return once it serves."""
        before = self.loaded
        process = self.launch(0, workers)
        self.until(lambda: self.loaded > before or process.poll() is not None)
        assert process.poll() is None, self.log
        self.port = int(self.record["gateway_port"])
        return self

    def launch(self, port: int = 0, workers: int = 1) -> subprocess.Popen[bytes]:
        """Start it, and wait for nothing."""
        self._process = self.spawn(port, workers)
        return self._process

    def spawn(self, port: int = 0, workers: int = 1) -> subprocess.Popen[bytes]:
        """Start one on the same state root beside the daemon."""
        words = [sys.executable, str(TINY / "tiny_supervisor.py"), str(self.home), str(port)]
        words.append(str(workers))
        passed = () if self.passed is None else (self.passed.fileno(),)
        words += [str(number) for number in passed]
        tuned = {"TINY_READY_S": str(self.ready_s), "TINY_SILENT_S": str(self.silent_s)}
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                words,
                stderr=log,
                pass_fds=passed,
                env={**self._environ, "PYTHONPATH": str(TINY), **tuned},
            )
        self._cleaning.callback(process.wait)
        self._cleaning.callback(process.kill)
        return process

    def run_beside(self, port: int = 0) -> int:
        """Start one on the same state root, and return how it ended."""
        return self.spawn(port).wait(_DEADLINE_S)

    def heir(self) -> psutil.Process:
        """Begin a replacement and return the new supervisor before it has taken over."""
        os.kill(self.pid, signal.SIGUSR2)
        heir: psutil.Process = self.until(self._find_heir)
        return heir

    def _find_heir(self) -> psutil.Process | None:
        for process in _processes_of(self.home):
            with suppress(psutil.Error):
                is_supervisor = process.cmdline()[2:3] == [str(self.home)]
                # A child of ours is one that has not executed anything yet.
                if is_supervisor and self.pid not in (process.pid, process.ppid()):
                    return process
        return None

    def children(self) -> list[psutil.Process]:
        return self.current.children()

    def exit_code(self) -> int:
        """Wait for the end of the first supervisor."""
        return self.process.wait(_DEADLINE_S)

    def await_end(self, *processes: psutil.Process) -> None:
        """Wait for processes that are not ours to wait on."""
        self.until(lambda: all(_has_ended(process) for process in processes))

    def end_all(self) -> None:
        """End what was started for this state root, and nothing else, whatever its files say."""
        while left := _processes_of(self.home):
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.01)  # another process offers nothing to wait on

    # -- its clients

    def connect(self) -> Client:
        """Return a connection that ends with the test."""
        client = Client(self.port)
        self._cleaning.callback(client.socket.close)
        return client

    def open_stream(self, events: int) -> Client:
        """Ask for a stream and return once its first event is here."""
        client = self.connect()
        client.get(f"/stream?{events}")
        client.read_to(b"event: start")
        return client

    def ask(self, path: str = "/who") -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE_S)
        try:
            connection.request("GET", path, headers={"connection": "close"})
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def workers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._table()["workers"]
        return rows

    def last_reload(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._table()["reload"]
        return found

    def reload(self, number: signal.Signals = signal.SIGHUP) -> dict[str, Any]:
        """Replace the workers, or with SIGUSR2 all of it, and return how it ended."""
        before = self.last_reload()
        self.current.send_signal(number)
        ended: dict[str, Any] = self.until(
            lambda: now if (now := self.last_reload()) != before else None
        )
        return ended

    def _table(self) -> dict[str, Any]:
        """Return what the supervisor in the PID file tells.

        Workers of the one before still take connections for a moment, and tell its table.
        """

        def told() -> dict[str, Any] | None:
            table = self.ask("/gateway/workers")
            return table if table["supervisor"] == self.record["pid"] else None

        found: dict[str, Any] = self.until(told)
        return found

    def until(self, condition: Callable[[], Any]) -> Any:  # Any: whatever truth is found
        """Return the condition's first true value; other processes offer nothing to wait on."""
        deadline = time.monotonic() + _DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, f"it never came true; the log says:\n{self.log}"
            time.sleep(0.01)
        return value


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Give a daemon that is not started yet; end it, all it started, and its clients."""
    with ExitStack() as cleaning:
        made = Daemon(tmp_path / "home", cleaning)
        cleaning.callback(made.end_all)
        yield made


def _processes_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("CCO_HOME") == str(home):
                found.append(process)
    return found


def _has_ended(process: psutil.Process) -> bool:
    """Return whether it is gone; who should reap it may take its time."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
