"""Deployments to migrate: the demo in a scratch folder, and a stand-in for a foreign gateway."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cco_migrate.world import Clock

BIN = Path(sys.executable).parent
FIRST_REQUESTS = 24  # of the demo, before anything is changed
BODY = {
    "model": "claude-haiku-4-5-20251001", "max_tokens": 64, "stream": True,
    "messages": [{"role": "user", "content": "Say a few words."}],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as JSON."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


@dataclass(frozen=True, slots=True)
class Folder:
    """A scratch folder in which commands are run."""

    path: Path

    def run(
        self, *words: str, env: dict[str, str] | None = None, timeout_s: float = 240,
        stdin: int = subprocess.DEVNULL,
    ) -> Done:  # fmt: skip
        """Run `cco-migrate` with these words."""
        own = {"HOME": str(self.path)} | (env or {})  # the tester's own state root stays alone
        done = subprocess.run(
            [str(BIN / "cco-migrate"), *words], cwd=self.path, capture_output=True, text=True,
            timeout=timeout_s, check=False, stdin=stdin, env=environment(own),
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def home(self) -> Path:
        """The demo's state root."""
        return self.path / ".cco-demo" / "home"

    @property
    def config(self) -> Path:
        """The demo's model-overrides.toml."""
        return self.home / "config" / "model-overrides.toml"

    @property
    def url(self) -> str:
        """The demo gateway's URL."""
        ports = json.loads((self.path / ".cco-demo" / "demo.json").read_bytes())
        return f"http://127.0.0.1:{ports['gateway_port']}"

    def tree(self) -> dict[str, str]:
        """SHA-256 of every configuration file."""
        folder = self.config.parent
        return {
            p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())
        }

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run `cco-migrate` in another terminal; it is killed when a test leaves it behind."""
        with subprocess.Popen(
            [str(BIN / "cco-migrate"), *words], cwd=self.path, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def journal(self, run: str = "") -> list[dict[str, Any]]:
        """The lines of a run's journal; of the only run when none is named."""
        found = sorted((self.home / "migrate" / "runs").glob(f"{run or '*'}/journal.jsonl"))
        return [json.loads(line) for line in found[-1].read_text().splitlines()]


class Client:
    """Asks for stream after stream until it is left; remembers what was not whole."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.whole, self.faults = 0, list[str]()

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._left.wait(0.02):
            try:
                status, answer = self._stream()
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(repr(error))
                continue
            if status == 200 and answer.rstrip().endswith(b'{"type":"message_stop"}'):
                self.whole += 1
            else:
                self.faults.append(f"{status} {answer[-200:]!r}")

    def _stream(self) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        headers = {"content-type": "application/json", "x-api-key": "any"}
        try:
            connection.request("POST", "/v1/messages", json.dumps(BODY), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: ours without anything that names a deployment or a key."""
    dropped = ("CCO_", "ANTHROPIC_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, **(more or {})}


def demo_up(folder: Folder) -> None:
    """Start the demo; return once its first traffic is in the ledger: answers wait for their
    records, but not for long, and a test wants to see what changes from here on."""
    done = folder.run("demo.up")
    assert done.code == 0, done.err

    def recorded() -> int:
        host, port = urlsplit(folder.url).hostname or "", urlsplit(folder.url).port
        with closing(http.client.HTTPConnection(host, port, timeout=60)) as connection:
            connection.request("GET", "/gateway/audit?limit=1")
            return int(json.loads(connection.getresponse().read())["total"])

    assert Clock().wait_until(lambda: recorded() == FIRST_REQUESTS, 120)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty folder; a demo that was created in it is stopped afterwards."""
    made = Folder(tmp_path)
    yield made
    assert made.run("demo.down").code == 0


@pytest.fixture
def live_client() -> type[Client]:
    """A client that asks for stream after stream while something is done to its gateway."""
    return Client


@pytest.fixture
def demo(folder: Folder) -> Folder:
    """A demo deployment that runs, with overrides still off."""
    demo_up(folder)
    return folder


@pytest.fixture(scope="session")
def deployment() -> type[Folder]:
    """Makes the folder of a deployment that outlives one test; whoever uses it stops its demo."""
    return Folder


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """One running demo for tests that must not change anything."""
    made = Folder(tmp_path_factory.mktemp("demo"))
    demo_up(made)
    yield made
    assert made.run("demo.down").code == 0
