"""Hooks of a real migration: told in order; a wrong file stops a new run, and no way back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

TELL = "import os, sys; open(sys.argv[1], 'a').write(os.environ['CCO_HOOK_EVENT'] + chr(10))"


POINTS = '["gate", "rollback", "finished"]'


@pytest.fixture
def told(demo: Any) -> Path:  # Any: the conftest's Folder, which tests cannot import
    """A demo whose hook appends every event it is told to this file."""
    path: Path = demo.path / "told.jsonl"
    command = json.dumps([sys.executable, "-c", TELL, str(path)])
    demo.config.with_name("migrate.toml").write_text(
        f"[[hooks.command]]\non = {POINTS}\nrun = {command}\ntimeout_s = 20\n"
    )
    return path


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_hook_is_told_the_gates_of_a_run_and_its_way_back(demo: Any, told: Path) -> None:
    done = demo.run("step.validate", "--yes", "--fix")
    assert done.code == 0, done.err
    assert [event["verdict"] for event in events(told)] == ["GO"] * 3
    back = demo.run("rollback", "--yes")
    assert back.code == 0, back.err
    seen = events(told)[3:]
    assert [event["event"] for event in seen] == ["rolling-back", "judged", "rolled-back"]
    log = next((demo.home / "migrate" / "runs").glob("*/journal.jsonl"))
    rows = [row for row in map(json.loads, log.read_text().splitlines()) if row["event"] == "told"]
    ids = [f"{row['run']}/{row['data']['seq']}" for row in rows]
    assert ids == [event["id"] for event in events(told)]
    assert {hook["fault"] for row in rows for hook in row["data"]["hooks"]} == {None}


def test_wrong_file_stops_a_new_run_and_no_way_back(demo: Any, told: Path) -> None:
    path = demo.config.with_name("migrate.toml")
    good = path.read_text()
    path.write_text('[[hooks.command]]\non = ["gates"]\n')
    refused = demo.run("migrate", "--yes", "--fix")
    assert refused.code == 8
    assert "migrate.toml:2" in refused.err
    assert not told.exists()
    assert not list((demo.home / "migrate").glob("runs/*"))
    path.write_text(good)
    assert demo.run("step.enable", "--yes", "--fix").code == 0
    seen = len(events(told))
    path.write_text("[hook]\n")
    back = demo.run("rollback", "--yes")
    assert back.code == 0, back.err
    assert "nobody is told" in back.err
    assert len(events(told)) == seen
