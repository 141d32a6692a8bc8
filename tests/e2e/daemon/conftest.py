"""The command line on a state root of its own; a daemon that a test leaves behind is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

Cco = Callable[..., subprocess.CompletedProcess[str]]

_DEADLINE_S = 40.0
_LEADING = ("CCO_", "ANTHROPIC_", "CLAUDE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def clean_environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment that leads nowhere: no proxies, no keys, an empty home folder."""
    kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(_LEADING)}
    user = tmp_path / "user"
    user.mkdir()
    return {**kept, "HOME": str(user), "CCO_HOME": str(tmp_path / "home")}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a configured state root; its provider is a port on which nobody listens."""
    folder = tmp_path / "home" / "config"
    folder.mkdir(parents=True)
    provider = {"providerType": "anthropic", "baseUrl": "http://127.0.0.1:1"}
    section = {"llmGateway": {"providers": {"anthropic": provider}}}
    (folder / "orchestra-config.json").write_text(json.dumps(section))
    (folder / "gateway.toml").write_text("[server]\nlinger_s = 0.1\n")
    return folder.parent


@pytest.fixture
def cco(home: Path, clean_environ: dict[str, str]) -> Iterator[Cco]:
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
    _end(home)


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
