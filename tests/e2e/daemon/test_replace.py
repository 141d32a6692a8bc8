"""`replace` and `daemon restart` with real processes: what is kept, and what goes wrong."""

from __future__ import annotations

import http.client
import json
import os
import site
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.daemon.conftest import Cco, Ended, Home, Until

DEADLINE_S = 120.0
CPUS = len(os.sched_getaffinity(0))


def workers(home: Home) -> list[dict[str, Any]]:
    """Return the rows of those that serve."""
    told, deadline = home.record, time.monotonic() + DEADLINE_S
    host = told.get("host", "127.0.0.1")
    status, document = 503, dict[str, Any]()
    # A supervisor that is busy replacing them does not answer at once, and workers of the one
    # before answer for a moment.
    while status == 503 or document["supervisor"] != told["pid"]:
        assert time.monotonic() < deadline, f"pid {told['pid']} never told: {document}"
        with closing(
            http.client.HTTPConnection(host, told["port"], timeout=DEADLINE_S)
        ) as connection:
            connection.request("GET", "/gateway/workers", headers={"connection": "close"})
            answer = connection.getresponse()
            status, document = answer.status, json.loads(answer.read())
    rows: list[dict[str, Any]] = document["workers"]
    return [row for row in rows if row["state"] == "serving"]


@pytest.fixture
def elsewhere(home: Home, tmp_path: Path) -> Path:
    """Return a configuration folder that is not the state root's."""
    folder = tmp_path / "elsewhere"
    (home.path / "config").rename(folder)
    return folder


def test_restart_keeps_the_options_of_the_start(
    home: Home, cco: Cco, elsewhere: Path, until: Until, ended: Ended
) -> None:
    options = ("--config-dir", str(elsewhere), "--host", "127.9.9.9", "--workers", "3")
    assert cco("daemon", "start", *options).returncode == 0
    before, fingerprint = home.record, workers(home)[0]["fingerprint"]
    for words, count in (((), 3), (("--workers", "auto"), CPUS), ((), CPUS)):
        again = cco("daemon", "restart", *words)
        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout.startswith("replaced: pid ")
        rows = workers(home)
        assert (len(rows), rows[0]["fingerprint"]) == (count, fingerprint)
    after = home.record
    assert after["pid"] != before["pid"]
    assert (after["host"], after["port"]) == ("127.9.9.9", before["port"])
    until(lambda: ended(before["pid"]))


def test_restart_on_another_port_stops_and_starts(home: Home, cco: Cco, elsewhere: Path) -> None:
    assert cco("daemon", "start", "--config-dir", str(elsewhere), "--workers", "2").returncode == 0
    before = home.record
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (elsewhere / "gateway.toml").write_text(f"[server]\nport = {port}\nlinger_s = 0.1\n")
    moved = cco("daemon", "restart")
    assert moved.returncode == 0, moved.stderr
    assert f"stopping: pid {before['pid']} finishes what is open" in moved.stderr
    assert f"the last run had port {before['port']}" in moved.stderr
    assert (home.record["port"], len(workers(home))) == (port, 2)


def test_replacement_with_a_bad_file_leaves_the_daemon_alone(home: Home, cco: Cco) -> None:
    assert cco("daemon", "start").returncode == 0
    before = home.record
    home.configure(prot=1)
    failed = cco("replace")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"Error: {home.path}/config/gateway.toml:2: ")
    assert (home.record, workers(home)[0]["generation"]) == (before, 1)


@pytest.mark.parametrize("kind", ["absent", "without the gateway"])
def test_interpreter_that_will_not_do_is_told_before_anything_happens(
    home: Home, cco: Cco, tmp_path: Path, kind: str
) -> None:
    assert cco("daemon", "start").returncode == 0
    before, python = home.record, tmp_path / "venv" / "bin" / "python"
    words = f"Error: {python} cannot be run: "
    if kind != "absent":
        make_venv(tmp_path / "venv")
        words = f"Error: the running daemon goes on: {python} says: {python}: No module named "
    failed = cco("replace", "--python", str(python))
    assert (failed.returncode, failed.stderr[: len(words)]) == (1, words)
    assert (home.record, workers(home)[0]["generation"]) == (before, 1)


def test_another_interpreter_takes_over(home: Home, cco: Cco, tmp_path: Path) -> None:
    assert cco("daemon", "start").returncode == 0
    python = make_venv(tmp_path / "venv", *site.getsitepackages())
    (python.parent / "python-next").symlink_to(python)
    python, path = python.parent / "python-next", f"{python.parent}:{os.environ['PATH']}"
    assert cco("replace", "--python", python.name, PATH=path).returncode == 0
    heir = home.process
    assert heir.cmdline()[0] == str(python)
    assert {worker.cmdline()[0] for worker in heir.children()} == {str(python)}
    assert workers(home)[0]["generation"] == 2


def test_replacement_without_a_daemon_is_an_error(home: Home, cco: Cco) -> None:
    failed = cco("replace")
    assert (failed.returncode, failed.stderr) == (1, f"Error: no daemon runs on {home.path}\n")


def make_venv(folder: Path, *packages: str) -> Path:
    """Return the interpreter of a new environment that sees these folders of packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (library,) = (folder / "lib").glob("python3*/site-packages")
    lines = "".join(f"import site; site.addsitedir({one!r})\n" for one in packages)
    (library / "borrowed.pth").write_text(lines)
    return folder / "bin" / "python"


# -- what is wrong with the machine


def spoil_token(home: Home) -> None:
    (home.path / "admin-token").chmod(0o644)


def spoil_key_files(home: Home) -> None:
    url = "http://127.0.0.1:1"
    reference = f"file:{home.path}/no-such-key"
    keyed = {"providerType": "anthropic", "baseUrl": url, "apiKeyRef": reference}
    home.provide(url, keyed=keyed)


@pytest.mark.parametrize("verb", ["reload", "replace"])
def test_token_that_others_can_read_is_refused_and_the_daemon_goes_on(
    home: Home, cco: Cco, verb: str
) -> None:
    assert cco("daemon", "start").returncode == 0
    before = home.record
    spoil_token(home)
    failed = cco(verb)
    token = home.path / "admin-token"
    words = f"Error: {token}: can be read by others; chmod 600 {token}\n"
    assert (failed.returncode, failed.stderr) == (1, words)
    assert (home.record, workers(home)[0]["generation"]) == (before, 1)


def test_key_file_that_cannot_be_read_costs_its_provider_alone(home: Home, cco: Cco) -> None:
    assert cco("daemon", "start").returncode == 0
    spoil_key_files(home)
    assert cco("reload").returncode == 0
    log = home.log
    assert (
        f"provider keyed: its key cannot be resolved: file:{home.path}/no-such-key cannot be read"
        in log
    )
    assert workers(home)[0]["generation"] == 2


@pytest.mark.parametrize("verb", [("daemon", "stop"), ("daemon", "restart"), ("reload",)])
def test_pid_file_that_names_another_process_harms_neither(
    home: Home, cco: Cco, verb: tuple[str, ...], until: Until
) -> None:
    assert cco("daemon", "start").returncode == 0
    pid, file = home.record["pid"], home.path / "daemon.pid"
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file.write_text(json.dumps({**home.record, "pid": stranger.pid}))
        until(lambda: home.record["pid"] == pid)  # the daemon sets it right
        assert cco(*verb).returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.communicate()
