"""The gateway's command line with the real application: run, status, reload, stop, check-config."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.gateway.process import DEADLINE_S, end, port_of

pytestmark = pytest.mark.process

FAST = "[server]\nworkers = 1\nlinger_s = 0.1\n"  # nobody's next request is on the way


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", words[0], "--home", str(home), *words[1:]],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@contextmanager
def running(home: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a gateway until it has written its PID file; stop it at the end."""
    argv = [sys.executable, "-m", "gateway", "run", "--port", "0", *words]
    environ = {**os.environ, "CCO_HOME": str(home)}
    home.mkdir(exist_ok=True)
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stderr=log, env=environ)
    try:
        port_of(home, process)
        yield process
    finally:
        end(process)


def configure(home: Path, text: str) -> None:
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "gateway.toml").write_text(text)


def test_daemon_lives_from_run_to_stop(tmp_path: Path) -> None:
    configure(tmp_path, FAST)
    stopped = command(tmp_path, "status")
    assert (stopped.returncode, stopped.stdout) == (3, f"stopped: no daemon runs on {tmp_path}\n")
    with running(tmp_path) as process:
        record = json.loads((tmp_path / "daemon.pid").read_text())
        assert record["pid"] == process.pid
        status = command(tmp_path, "status")
        assert status.returncode == 0
        assert f"pid {process.pid}, port {record['port']}" in status.stdout
        second = command(tmp_path, "run", "--port", "0")
        assert second.returncode == 11
        assert second.stderr.splitlines()[-1].startswith("Error: a daemon runs on ")
        assert command(tmp_path, "stop").returncode == 0
        assert process.poll() == 0
    assert command(tmp_path, "status").returncode == 3
    assert not (tmp_path / "daemon.pid").exists()


def test_reload_reports_success_and_the_reason_of_failure(tmp_path: Path) -> None:
    configure(tmp_path, FAST)
    with running(tmp_path):
        assert command(tmp_path, "reload").stdout == "reloaded: generation 2\n"
        configure(tmp_path, "[server]\nprot = 1\n")
        failed = command(tmp_path, "reload")
        checked = command(tmp_path, "check-config")
        assert (failed.returncode, checked.returncode) == (1, 1)
        assert failed.stderr == checked.stderr
        assert failed.stderr.startswith(f"Error: {tmp_path / 'config' / 'gateway.toml'}:2: ")
        assert command(tmp_path, "status").returncode == 0


def test_commands_without_a_daemon_say_so(tmp_path: Path) -> None:
    reload, stop = command(tmp_path, "reload"), command(tmp_path, "stop")
    assert (reload.returncode, reload.stderr) == (1, f"Error: no daemon runs on {tmp_path}\n")
    assert (stop.returncode, stop.stdout) == (0, f"no daemon runs on {tmp_path}\n")


def test_check_config_prints_the_fingerprint(tmp_path: Path) -> None:
    found = command(tmp_path, "check-config")
    assert found.returncode == 0
    assert "Fingerprint:" in found.stdout
    assert "Model overrides: disabled" in found.stdout


@pytest.mark.parametrize("words", [("--host", "0.0.0.0"), ("--port", "99999"), ("--workers", "0")])
def test_run_refuses_bad_flags_without_a_traceback(tmp_path: Path, words: tuple[str, str]) -> None:
    found = command(tmp_path, "run", "--port", "0", *words)
    assert found.returncode in (1, 2)
    assert words[1] in found.stderr
    assert "Traceback" not in found.stderr


def test_flags_beat_the_file(tmp_path: Path) -> None:
    configure(tmp_path, '[server]\nhost = "10.0.0.1"\nport = 1\nworkers = 9\nlinger_s = 0.1\n')
    with running(tmp_path, "--host", "127.0.0.1", "--workers", "1"):
        assert json.loads((tmp_path / "daemon.pid").read_text())["port"] > 1


def test_supervisor_loads_neither_the_application_nor_an_event_loop() -> None:
    code = (
        "import sys, gateway.config.loading, gateway.serve.supervisor as s, gateway.__main__;"
        "print(sorted({'gateway.app', 'gateway.exchange', 'asyncio', 'uvloop'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
