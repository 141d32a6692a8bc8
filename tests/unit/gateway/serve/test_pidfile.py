"""The PID file and the lock: what readers may find, and who may write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import AlreadyRunning
from gateway.serve import pidfile
from gateway.serve.pidfile import HomeLock, PidRecord

RECORD = PidRecord(os.getpid(), pidfile.own_start(), 4321, None, 4321, "1.0")


def test_written_record_is_read_back_with_exactly_its_fields(tmp_path: Path) -> None:
    path = pidfile.path_in(tmp_path)
    pidfile.write(path, RECORD)
    assert pidfile.read(path) == RECORD
    assert list(json.loads(path.read_text())) == [
        "pid",
        "started_at",
        "port",
        "proxy_port",
        "gateway_port",
        "version",
    ]
    pidfile.write(path, replace(RECORD, run="run-1"))
    assert json.loads(path.read_text())["run"] == "run-1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["daemon.pid"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", "null", "{}", '{"pid": 0, "port": 1, "started_at": ""}', "\x00\x00"],
)
def test_torn_or_foreign_content_is_no_record(tmp_path: Path, content: str) -> None:
    path = pidfile.path_in(tmp_path)
    path.write_text(content)
    assert pidfile.read(path) is None


def test_absent_file_is_no_record(tmp_path: Path) -> None:
    assert pidfile.read(pidfile.path_in(tmp_path)) is None


def test_process_is_told_from_another_of_the_same_pid() -> None:
    assert pidfile.alive(RECORD)
    assert not pidfile.alive(replace(RECORD, started_at="2001-01-01T00:00:00Z"))
    assert not pidfile.alive(replace(RECORD, started_at="yesterday"))


def test_ended_process_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    assert not pidfile.alive(replace(RECORD, pid=process.pid))


def test_only_the_own_file_is_removed(tmp_path: Path) -> None:
    path = pidfile.path_in(tmp_path)
    pidfile.write(path, replace(RECORD, pid=1))
    pidfile.remove_own(path)
    assert path.exists()
    pidfile.write(path, RECORD)
    pidfile.remove_own(path)
    assert not path.exists()


def test_second_lock_names_the_holder(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    first, second = HomeLock(home), HomeLock(home)
    first.acquire()
    with pytest.raises(AlreadyRunning, match="starting or stopping"):
        second.acquire()
    pidfile.write(pidfile.path_in(home), RECORD)
    with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}, port 4321"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()
