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
from gateway.serve.pidfile import HomeLock, PidFileFault, PidRecord

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


def test_birth_tells_a_process_whatever_the_clock_says(tmp_path: Path) -> None:
    """A start time that a stepped clock has moved is not looked at when the birth is known."""
    stepped = replace(RECORD, started_at="2001-01-01T00:00:00Z", birth=pidfile.birth(RECORD.pid))
    pidfile.write(pidfile.path_in(tmp_path), stepped)
    found = pidfile.read(pidfile.path_in(tmp_path))
    assert found == stepped
    assert pidfile.alive(stepped)
    assert not pidfile.alive(replace(stepped, birth=f"{pidfile.birth(RECORD.pid)}1"))
    assert not pidfile.alive(replace(stepped, pid=1))


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


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, RECORD),
        ({"gateway_port": 0, "port": 0}, replace(RECORD, port=None, gateway_port=None)),
        ({"gateway_port": None, "port": None}, replace(RECORD, port=None, gateway_port=None)),
        ({"proxy_port": 4444}, replace(RECORD, proxy_port=4444)),
        ({"proxy_port": "4444", "gateway_port": True}, replace(RECORD, gateway_port=None)),
        ({"host": "::1", "run": 7}, replace(RECORD, host="::1")),
    ],
)
def test_ports_that_are_not_told_yet_are_none(
    tmp_path: Path, change: dict[str, object], expected: PidRecord
) -> None:
    path = pidfile.path_in(tmp_path)
    pidfile.write(path, RECORD)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert pidfile.examine(path) == expected


def test_original_servers_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cco-3000.pid"
    moment = "2025-12-04T10:11:12.123456789+00:00"
    path.write_text(json.dumps({"pid": 7, "port": 3000, "started_at": moment, "version": "1"}))
    assert pidfile.examine(path) == PidRecord(7, moment, 3000, None, None, "1")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, PidFileFault.ABSENT),
        ("", PidFileFault.TORN),
        ('{"pid": 12, "por', PidFileFault.TORN),
        ("\x00\x00", PidFileFault.TORN),
        ("[1]", PidFileFault.FOREIGN),
        ("4711", PidFileFault.FOREIGN),
        ('{"pid": true, "port": 1, "started_at": ""}', PidFileFault.FOREIGN),
        ('{"pid": 12, "port": 1}', PidFileFault.FOREIGN),
        ('{"pid": 12, "started_at": ""}', PidFileFault.FOREIGN),
    ],
)
def test_file_that_tells_nothing_says_why(
    tmp_path: Path, content: str | None, fault: PidFileFault
) -> None:
    path = pidfile.path_in(tmp_path)
    if content is not None:
        path.write_text(content)
    assert pidfile.examine(path) is fault


def test_file_that_cannot_be_read_is_no_absent_one(tmp_path: Path) -> None:
    pidfile.path_in(tmp_path).mkdir()
    with pytest.raises(IsADirectoryError):
        pidfile.read(pidfile.path_in(tmp_path))


def test_host_is_written_only_when_readers_cannot_guess_it(tmp_path: Path) -> None:
    path = pidfile.path_in(tmp_path)
    pidfile.write(path, replace(RECORD, host="::1"))
    assert json.loads(path.read_text())["host"] == "::1"
    assert pidfile.read(path) == replace(RECORD, host="::1")


def test_holder_of_the_lock_is_known_without_a_pid_file(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.acquire()
    pidfile.path_in(tmp_path).write_text('{"pid": 1')
    found = pidfile.running(tmp_path)
    assert found is not None
    assert (found.pid, found.port) == (os.getpid(), None)
    assert pidfile.alive(found)
    with pytest.raises(AlreadyRunning, match=f"starting or stopping .*: pid {os.getpid()}"):
        HomeLock(tmp_path).acquire()
    lock.release()
    assert pidfile.running(tmp_path) is None


def test_lock_of_a_killed_daemon_names_no_later_process_of_its_pid(tmp_path: Path) -> None:
    lock = tmp_path / "daemon.lock"
    lock.write_text(f"{os.getpid()}\n")
    assert pidfile.lock_holder(tmp_path) is not None
    os.utime(lock, (1_000_000_000, 1_000_000_000))  # written long before this process began
    assert pidfile.lock_holder(tmp_path) is None
    lock.write_text("not a pid")
    assert pidfile.lock_holder(tmp_path) is None


def test_recorded_daemon_comes_before_the_holder_of_the_lock(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.acquire()
    pidfile.write(pidfile.path_in(tmp_path), RECORD)
    assert pidfile.running(tmp_path) == RECORD
    pidfile.write(pidfile.path_in(tmp_path), replace(RECORD, started_at="2001-01-01T00:00:00Z"))
    assert pidfile.running(tmp_path) == pidfile.lock_holder(tmp_path)
    lock.release()
