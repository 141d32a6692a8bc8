"""Daemons of other state roots, as PID files in the usual places tell them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.serve import pidfile
from gateway.serve.other_daemons import OtherDaemon, others
from gateway.serve.pidfile import PidRecord

RECORD = PidRecord(os.getpid(), pidfile.own_start(), 3000, None, None, "1")


@pytest.mark.parametrize(
    "place",
    [
        ".cco/daemon.pid",
        ".local/share/cco/pids/cco-3000.pid",
        "Library/Application Support/cco/pids/cco-3000.pid",
    ],
)
def test_living_daemon_in_a_usual_place_is_found(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    environ = {"HOME": str(tmp_path)}
    pidfile.write(path, replace(RECORD, started_at="2001-01-01T00:00:00Z"))
    assert others(tmp_path / "mine", environ) == ()
    pidfile.write(path, RECORD)
    assert others(tmp_path / "mine", environ) == (OtherDaemon(path, RECORD),)
    assert others(path.parent, environ) == ()  # that is this one


def test_folder_for_data_can_be_another(tmp_path: Path) -> None:
    path = tmp_path / "data" / "cco" / "pids" / "cco-1.pid"
    path.parent.mkdir(parents=True)
    pidfile.write(path, RECORD)
    environ = {"HOME": str(tmp_path / "user"), "XDG_DATA_HOME": str(tmp_path / "data")}
    assert others(tmp_path, environ) == (OtherDaemon(path, RECORD),)


def test_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".cco" / "daemon.pid").mkdir(parents=True)
    assert others(tmp_path / "mine", {"HOME": str(tmp_path)}) == ()
