"""A real gateway with two workers in front of the demo upstream, all processes on loopback."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 120.0  # a busy machine is no fault
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
Json = Any  # a parsed document


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running gateway; each call is a new connection, so that any worker may answer."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]

    def call(
        self, method: str, path: str, body: Json = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            data = None if body is None else json.dumps(body)
            sent = {"x-api-key": "demo-key", "anthropic-version": "2023-06-01"} | (headers or {})
            connection.request(method, path, data, {**sent, "connection": "close"})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Json:
        """Return a document; a supervisor that is too busy to answer is asked again."""
        reply = until(lambda: found if (found := self.call("GET", path)).status != 503 else None)
        assert reply.status == 200, reply.body
        return reply.json()

    def ask(self, **change: Json) -> Reply:
        body = {"model": SONNET, "max_tokens": 50, "temperature": 0}
        messages = [{"role": "user", "content": "Say something."}]
        return self.call("POST", "/v1/messages", body | {"messages": messages} | change)

    @property
    def admin(self) -> dict[str, str]:
        token = (self.home / "admin-token").read_text().strip()
        return {"authorization": f"Bearer {token}"}


def until(condition: Callable[[], Any]) -> Any:  # Any: whatever truth the condition finds
    """Return the condition's first true value; other processes offer nothing to wait on."""
    deadline = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        threading.Event().wait(0.01)
    return value


def start(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "CCO_HOME"}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", *argv], stderr=file, env=environment
        )


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.wait()


def configure(home: Path, upstream_port: int) -> None:
    folder = home / "config"
    folder.mkdir(parents=True)
    url = f"http://127.0.0.1:{upstream_port}"
    (home / "key").write_text("demo-key\n")  # a chat completion has none that Anthropic would take
    (home / "key").chmod(0o600)
    key = {"apiKeyRef": "file:key"}
    provider = {"providerType": "anthropic", "baseUrl": url, **key}
    bodies = {"logRequestBodies": True, "logResponseBodies": True}
    orchestra = {"llmGateway": {"providers": {"anthropic": provider}, "audit": bodies}}
    (folder / "orchestra-config.json").write_text(json.dumps(orchestra))
    rules = f'[overrides]\nenabled = true\nrules = [["{SONNET}", "{HAIKU}"]]\n'
    (folder / "model-overrides.toml").write_text(rules)
    (folder / "gateway.toml").write_text("[cache]\nenabled = true\n[server]\nlinger_s = 0.1\n")


@pytest.fixture(scope="module")
def upstream_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("upstream")
    ready = folder / "ready.json"
    process = start(["demo-upstream", "--ready-file", str(ready)], folder / "log")
    try:
        until(ready.exists)
        yield json.loads(ready.read_text())["port"]
    finally:
        end(process)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, upstream_port: int) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    configure(home, upstream_port)
    argv = ["run", "--home", str(home), "--port", "0", "--workers", "2"]
    log = home / "log"
    process = start(argv, log)
    try:
        until(lambda: "Override rules loaded" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        port = json.loads((home / "daemon.pid").read_text())["gateway_port"]
        yield Daemon(home, port, process)
    finally:
        end(process)
