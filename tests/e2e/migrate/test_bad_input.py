"""Bad input: each with file, line, key and fix, exit 8, nothing changed, no traceback."""

from __future__ import annotations

import ctypes
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

GOOD = """[overrides]
enabled = false
rules = [["claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]]
"""
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


@contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    """Put other bytes into a file for a while."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (GOOD.replace("[overrides]", "[overrides").encode(), [":1", "bracket"]),
        (b"\xef\xbb\xbf" + GOOD.encode(), ["without BOM"]),
        (GOOD.replace("sonnet", "sonn\xe9t").encode("latin-1"), ["UTF-8"]),
        (GOOD.replace("= false", '= "false"').encode(), [":2", "overrides.enabled", "true"]),
        (GOOD.replace("enabled", "enable").encode(), [":2", "overrides.enable", "enabled"]),
        (GOOD.replace("[overrides]", "[model_overrides]").encode(), [":1", "overrides"]),
        (GOOD.replace('"]]', '", "x"]]').encode(), [":3", "overrides.rules[0]"]),
        (GOOD.replace("claude-haiku-4-5-20251001", "").encode(), [":3", "overrides.rules[0][1]"]),
        (GOOD.replace('"claude-s', '" claude-s').encode(), [":3", "overrides.rules[0][0]"]),
        (GOOD.replace("sonnet-4-5", "sonnet-4.5").encode(), ["no rule matches", "--fix"]),
        (GOOD.replace("rules = [[", "rules = [[[").encode(), [":3"]),
        (
            (GOOD + "[analytics]\ntrack_statistics = false\n").encode(),
            ["analytics.track_statistics = false"],
        ),
        (b"\x00", ["model-overrides.toml"]),
    ],
    ids=[
        "broken toml", "bom", "latin-1", "wrong type", "misspelt key", "misspelt table",
        "three strings", "empty target", "padded id", "dotted id", "unbalanced", "no statistics",
        "nul",
    ],
)  # fmt: skip
def test_broken_overrides_file_is_refused(shared_demo: Any, data: bytes, said: list[str]) -> None:
    with replaced(shared_demo.config, data):
        before = shared_demo.tree()
        done = shared_demo.run("migrate", "--yes")
        assert shared_demo.tree() == before
    assert done.code == 8, done.err
    for text in ("model-overrides.toml", *said):
        assert text in done.err
    assert "Nothing was changed" in done.err
    assert "Traceback" not in done.err
    assert not (shared_demo.home / "migrate" / "runs").exists()


def test_missing_file_is_refused_and_says_what_git_knows(shared_demo: Any) -> None:
    data = shared_demo.config.read_bytes()
    shared_demo.config.unlink()
    try:
        done = shared_demo.run("migrate", "--yes", "--fix")
    finally:
        shared_demo.config.write_bytes(data)
    assert done.code == 8
    assert "does not exist" in done.err
    assert "git" in done.err
    assert "next: mend what it names, then the same command again" in done.err


def test_files_edited_since_the_gateway_loaded_them_are_drift(shared_demo: Any) -> None:
    with replaced(shared_demo.config, shared_demo.config.read_bytes() + b"# edited\n"):
        done = shared_demo.run("migrate", "--yes", "--fix")
    assert done.code == 9, done.err
    assert "somebody edited them since" in done.err
    assert "cco-migrate gateway.reload" in done.err


def test_unwritable_directory_is_refused(shared_demo: Any) -> None:
    folder = shared_demo.config.parent
    before = shared_demo.tree()
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "cco-migrate"), "migrate", "--yes", "--fix"],
            cwd=shared_demo.path, capture_output=True, text=True, check=False, timeout=240,
            preexec_fn=_obey_permissions,
        )  # fmt: skip
    finally:
        folder.chmod(0o755)
    assert done.returncode == 8, done.stderr
    assert f"{folder}: the directory is not writable" in done.stderr
    assert shared_demo.tree() == before


def test_stranger_on_the_port_is_not_touched(tmp_path: Path, folder: Any) -> None:
    config = tmp_path / "own" / "model-overrides.toml"
    config.parent.mkdir()
    config.write_text(GOOD)
    with stranger() as url:
        where = ("--config", str(config), "--url", url, "--home", str(tmp_path / "h"))
        done = folder.run("migrate", "--yes", *where)
    assert done.code == 8, done.err
    assert "a stranger has this port" in done.err
    assert config.read_text() == GOOD


def test_gateway_does_not_start_on_a_port_of_a_stranger(tmp_path: Path, folder: Any) -> None:
    home = tmp_path / "h"
    (home / "config").mkdir(parents=True)
    (home / "config" / "model-overrides.toml").write_text(GOOD)
    with stranger() as url:
        done = folder.run("gateway.start", "--url", url, "--home", str(home))
    assert done.code == 1, done.err
    assert url.rpartition(":")[2] in done.err
    assert "now:  The gateway does not run." in done.err
    assert "next: mend what it names, then the same command again" in done.err
    assert not (home / "daemon.pid").exists()


def test_gateway_of_ones_own_commands_is_started_by_its_own_command(
    tmp_path: Path, folder: Any
) -> None:
    config = tmp_path / "own" / "model-overrides.toml"
    config.parent.mkdir()
    config.write_text(GOOD)
    own = ("--stop", "cco down", "--start", "cco up", "--url", "http://127.0.0.1:9")
    done = folder.run("check", "--config", str(config), *own)
    assert done.code == 8, done.err
    assert "no gateway runs here" in done.err
    assert "next: cco up" in done.err.splitlines()[-2]


def test_files_that_do_not_load_are_told_and_the_old_workers_serve_on(shared_demo: Any) -> None:
    with replaced(shared_demo.config, GOOD.replace("= false", "= maybe").encode()):
        done = shared_demo.run("gateway.reload")
    assert done.code == 8, done.err
    for said in (
        f"{shared_demo.config}:2: not valid TOML", "now:  The old workers serve on",
        "next: mend what it names, then: cco-migrate gateway.reload",
    ):  # fmt: skip
        assert said in done.err
    assert shared_demo.run("gateway.reload").code == 0


def test_reload_of_a_gateway_of_another_state_root_is_refused(
    shared_demo: Any, tmp_path: Path
) -> None:
    done = shared_demo.run("gateway.reload", "--url", shared_demo.url, "--home", str(tmp_path))
    assert done.code == 8, done.err
    assert f"it is not the gateway of {tmp_path}" in done.err
    assert "--home PATH" in done.err
    assert list(tmp_path.iterdir()) == []


def test_wrong_type_in_another_file_is_refused(shared_demo: Any) -> None:
    config = shared_demo.config.parent / "gateway.toml"
    config.write_text('[server]\nworkers = "many"\n')
    try:
        done = shared_demo.run("migrate", "--yes", "--fix")
    finally:
        config.unlink()
    assert done.code == 8, done.err
    assert "gateway.toml:2" in done.err
    assert "server.workers" in done.err


def test_gateway_that_dies_at_start_is_found_before_anything_is_touched(
    shared_demo: Any, tmp_path: Path
) -> None:
    (tmp_path / "uvloop.py").write_text("raise SystemExit('libuv is broken on this machine')\n")
    before = shared_demo.tree()
    done = shared_demo.run("migrate", "--yes", "--fix", env={"PYTHONPATH": str(tmp_path)})
    assert done.code == 8, done.err
    assert "trial start with the new files failed" in done.err
    assert shared_demo.tree() == before
    assert not (shared_demo.home / "migrate" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--url", "http://127.0.0.1:3000/v1"), "leave out /v1"),
        (("--url", "http://127.0.0.1:0"), "port 0"),
        (("--url", "https://x"), "http://HOST:PORT"),
        (("--driver", "magic", "--url", "http://127.0.0.1:9"), "process, command"),
        (("--driver", "command", "--url", "http://127.0.0.1:9"), "--stop and --start"),
        (("--kind", "unheard-of"), "model-overrides"),
        (("--traffic", "psychic"), "send, watch"),
    ],
)
def test_wrong_options_are_refused(shared_demo: Any, words: tuple[str, ...], said: str) -> None:
    done = shared_demo.run("migrate", "--yes", *words)
    assert done.code == 8, done.err
    assert said in done.err


def test_refusal_as_json_is_one_document(shared_demo: Any) -> None:
    with replaced(shared_demo.config, b"[overrides\n"):
        done = shared_demo.run("migrate", "--yes", "--json")
    assert done.code == 8
    assert done.document["code"] == 8
    assert "model-overrides.toml" in done.document["error"]


class _Stranger(http.server.BaseHTTPRequestHandler):
    """Somebody else's web server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>wiki</h1>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def stranger() -> Iterator[str]:
    """A web server that is no gateway."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _obey_permissions() -> None:
    """Root ignores permission bits through two capabilities; without them it is like anybody."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
