"""A gateway that is not ours, driven by the operator's commands: healthy, quiet, lying, dying."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("original_cco.py")
OVERRIDES = """# of the operator
[overrides]
enabled = false
rules = [
    ["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"],
]
"""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign gateway that runs, and the toolkit's words for it."""

    root: Path
    folder: Any
    port: int

    @property
    def config(self) -> Path:
        return self.root / "model-overrides.toml"

    def command(self, verb: str) -> str:
        return f"{sys.executable} {SCRIPT} {verb} {self.root}"

    def migrate(self, **options: str) -> Any:
        given = {
            "config": str(self.config),
            "url": f"http://127.0.0.1:{self.port}",
            "home": str(self.root / "home"),
            "stop": self.command("stop"),
            "start": self.command("start"),
            "log": str(self.root / "log"),
            "key": "env:CCO_TEST_KEY",
            **options,
        }
        pairs = [(f"--{name.replace('_', '-')}", value) for name, value in given.items()]
        words = [word for pair in pairs for word in pair]
        return self.folder.run("migrate", "--yes", *words, env={"CCO_TEST_KEY": "sk-ant-not-a-key"})

    def rollback(self, *words: str) -> Any:
        return self.folder.run("rollback", "--yes", "--home", str(self.root / "home"), *words)

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60) as answer:
            parsed: dict[str, Any] = json.load(answer)
            return parsed


@pytest.fixture
def foreign(tmp_path: Path, folder: Any) -> Iterator[Foreign]:
    with socket.socket() as held:  # so that nobody else is given the port while it is restarted
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        root = tmp_path / "cco"
        root.mkdir()
        (root / "port").write_text(str(port))
        (root / "model-overrides.toml").write_text(OVERRIDES)
        made = Foreign(root, folder, port)
        made.folder.run("codes")
        _run(made.command("start"))
        _await(made)
        yield made
        _run(made.command("stop"))


def test_healthy_gateway_is_migrated_and_rolled_back_byte_for_byte(foreign: Foreign) -> None:
    done = foreign.migrate()
    assert done.code == 0, done.err
    assert foreign.health()["overrides_enabled"] is True
    assert "gives no fingerprint" in done.err
    assert "2 sent, 1 streamed" in done.err
    assert "without an answer at most" in done.err
    assert "NOT PROVEN Dashboard accessible" in done.out
    back = foreign.rollback()
    assert back.code == 0, back.err
    assert foreign.config.read_text() == OVERRIDES
    assert foreign.health()["overrides_enabled"] is False


def test_key_is_never_written_down(foreign: Foreign) -> None:
    assert foreign.migrate().code == 0
    for path in (foreign.root / "home").rglob("*"):
        if path.is_file():
            assert b"sk-ant-not-a-key" not in path.read_bytes(), path


def test_missing_key_is_refused_before_anything_is_touched(foreign: Foreign) -> None:
    done = foreign.migrate(key="env:CCO_TEST_NO_SUCH_KEY")
    assert done.code == 8
    assert "CCO_TEST_NO_SUCH_KEY" in done.err
    assert foreign.config.read_text() == OVERRIDES


def test_quiet_gateway_is_inconclusive_and_stays_open_until_traffic_comes(foreign: Foreign) -> None:
    done = foreign.migrate(traffic="watch", watch_s="1")
    assert done.code == 4, done.err
    assert "no client sent anything" in done.err
    assert f"next: cco-migrate migrate --home {foreign.root / 'home'}" in done.err
    assert foreign.health()["overrides_enabled"] is True
    again = foreign.folder.run("status", "--home", str(foreign.root / "home"))
    assert "open" in again.out
    back = foreign.rollback()
    assert back.code == 0, back.err
    assert foreign.config.read_text() == OVERRIDES


def test_gateway_that_ignores_its_file_is_rolled_back(foreign: Foreign) -> None:
    (foreign.root / "lie").touch()
    done = foreign.migrate()
    assert done.code == 6, done.err
    assert "the running process ignores the edit" in done.err
    assert foreign.config.read_text() == OVERRIDES


def test_gateway_that_counts_nothing_is_rolled_back(foreign: Foreign) -> None:
    (foreign.root / "no-traffic-stats").touch()
    done = foreign.migrate()
    assert done.code == 6, done.err
    assert "0 overrides counted" in done.err
    assert foreign.health()["overrides_enabled"] is False


def test_gateway_that_dies_at_start_leaves_the_old_state_running(foreign: Foreign) -> None:
    (foreign.root / "die").touch()
    done = foreign.migrate(start=foreign.command("serve"))
    assert done.code == 6, done.err
    assert "panicked" in done.err
    assert foreign.config.read_text() == OVERRIDES
    assert foreign.health()["overrides_enabled"] is False


def test_way_back_that_fails_says_so_with_exit_7(foreign: Foreign) -> None:
    done = foreign.migrate(start=f"{sys.executable} -c raise(SystemExit(9))")
    assert done.code == 7, done.err
    assert "page somebody" in done.err
    assert foreign.config.read_text() == OVERRIDES


def _run(command: str) -> None:
    subprocess.run(shlex.split(command), check=True, timeout=120)


def _await(made: Foreign) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            made.health()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)
        else:
            return
