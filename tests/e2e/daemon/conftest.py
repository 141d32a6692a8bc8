"""The command line on a state root of its own; what a test leaves running there is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

Cco = Callable[..., subprocess.CompletedProcess[str]]
Until = Callable[[Callable[[], Any]], Any]  # Any: whatever truth the condition finds
Ended = Callable[[int], bool]

_DEADLINE_S = 120.0  # a busy machine is no fault
_LEADING = ("CCO_", "ANTHROPIC_", "CLAUDE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def clean_environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment that leads nowhere: no proxies, no keys, an empty home folder."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_LEADING)}
    user = tmp_path / "user"
    user.mkdir()
    return {**kept, "HOME": str(user), "CCO_HOME": str(tmp_path / "home")}


class Home:
    """A state root: its configuration, and what its daemon says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "config").mkdir(parents=True)

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "daemon.pid").read_text())
        return found

    @property
    def process(self) -> psutil.Process:
        """The recorded daemon, which a test may signal: it is this state root's."""
        found = psutil.Process(self.record["pid"])
        assert found.environ()["CCO_HOME"] == str(self.path)
        return found

    @property
    def log(self) -> str:
        return (self.path / "daemon.log").read_text()

    def configure(self, **server: float) -> None:
        """Write the settings of the server."""
        lines = (f"{name} = {value}\n" for name, value in server.items())
        (self.path / "config" / "gateway.toml").write_text("[server]\n" + "".join(lines))

    def provide(self, url: str, **others: dict[str, str]) -> None:
        """Have the gateway forward to this provider; others stand beside it."""
        providers = {"anthropic": {"providerType": "anthropic", "baseUrl": url}, **others}
        section = {"llmGateway": {"providers": providers}}
        (self.path / "config" / "orchestra-config.json").write_text(json.dumps(section))

    def switch(self, *, gateway: bool, proxy: bool, **more: int) -> None:
        document = {"gatewayEnabled": gateway, "proxyEnabled": proxy, **more}
        (self.path / "config" / "daemon-config.json").write_text(json.dumps(document))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a configured state root; its provider is a port on which nobody listens."""
    made = Home(tmp_path / "home")
    made.provide("http://127.0.0.1:1")
    made.configure(linger_s=0.1)
    return made


@pytest.fixture(scope="session")
def until() -> Until:
    """Return a condition's first true value; other processes offer nothing to wait on."""

    def wait(condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + _DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, "the condition never came true"
            time.sleep(0.01)
        return value

    return wait


@pytest.fixture(scope="session")
def ended() -> Ended:
    """Say whether a process is gone; who should reap it may take its time."""

    def look(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return look


@pytest.fixture
def cco(home: Home, clean_environ: dict[str, str]) -> Iterator[Cco]:
    """Run `python -m gateway WORDS…` and return how it ended."""

    def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            env={**clean_environ, **environ},
            check=False,
        )

    yield run
    _end(home.path)


def _end(home: Path) -> None:
    """End what was started for this state root, and nothing else, whatever its files say."""
    while left := [one for one in psutil.process_iter() if _home_of(one) == str(home)]:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.01)  # another process offers nothing to wait on


def _home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("CCO_HOME")
    except psutil.Error:
        return None
