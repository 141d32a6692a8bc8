"""Deployments to migrate: the demo in a scratch folder, and a stand-in for a foreign gateway."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent


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

    def run(self, *words: str, env: dict[str, str] | None = None, timeout_s: float = 50) -> Done:
        """Run `cco-migrate` with these words."""
        own = {"HOME": str(self.path)} | (env or {})  # the tester's own state root stays alone
        done = subprocess.run(
            [str(BIN / "cco-migrate"), *words], cwd=self.path, capture_output=True, text=True,
            timeout=timeout_s, check=False, stdin=subprocess.DEVNULL, env=environment(own),
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

    def journal(self, run: str = "") -> list[dict[str, Any]]:
        """The lines of a run's journal; of the only run when none is named."""
        found = sorted((self.home / "migrate" / "runs").glob(f"{run or '*'}/journal.jsonl"))
        return [json.loads(line) for line in found[-1].read_text().splitlines()]


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a command: ours without anything that names a deployment or a key."""
    dropped = ("CCO_", "ANTHROPIC_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, **(more or {})}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty folder; a demo that was created in it is stopped afterwards."""
    made = Folder(tmp_path)
    yield made
    assert made.run("demo.down").code == 0


@pytest.fixture
def demo(folder: Folder) -> Folder:
    """A demo deployment that runs, with overrides still off."""
    done = folder.run("demo.up")
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """One running demo for tests that must not change anything."""
    made = Folder(tmp_path_factory.mktemp("demo"))
    done = made.run("demo.up")
    assert done.code == 0, done.err
    yield made
    assert made.run("demo.down").code == 0
