"""Gateways as real processes: starting one, asking it, ending it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.e2e.gateway.threaded import Json

DEADLINE_S = 90.0  # a busy machine is no fault


def until(condition: Callable[[], Any]) -> Any:  # Any: whatever truth the condition finds
    """Return the condition's first true value; other processes offer nothing to wait on."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
    return value


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """A running gateway."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()

    def get(self, path: str) -> Json:
        """Return a JSON answer of the operator API."""
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, body
            return body
        finally:
            connection.close()

    def record(self, request_id: str) -> Json:
        """Return the audit record of a request, once it is written."""

        def found() -> Json:
            entries = self.get("/gateway/audit?limit=1000")["entries"]
            return next((one for one in entries if one["request_id"] == request_id), None)

        return until(found)


StartGateway = Callable[..., GatewayProcess]


def port_of(home: Path, process: subprocess.Popen[bytes]) -> int:
    """Return a gateway's port, once it serves; its log is the file `log` in its home."""
    log = home / "log"
    until(lambda: "Override rules loaded" in log.read_text() or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    return int(json.loads((home / "daemon.pid").read_text())["gateway_port"])


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and see to it that it does."""
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.wait()
