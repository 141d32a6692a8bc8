"""A migration that is killed in the middle ends in the new state or the old, never between."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

SCRIPT = str(Path(sys.executable).parent / "cco-migrate")
DEADLINE_S = 120.0
EVENTS = [
    ("backup", "applying"),
    ("enable", "prepared"),
    ("restart", "applying"),
    ("traffic", "prepared"),
]


def overrides_enabled(folder: Any) -> bool:
    with httpx.Client(trust_env=False) as client:
        return bool(client.get(f"{folder.url}/health").json()["overrides_enabled"])


def seen(folder: Any, step: str, event: str) -> bool:
    for path in (folder.home / "migrate" / "runs").glob("*/journal.jsonl"):
        if f'"event":"{event}"' in "".join(
            line for line in path.read_text().splitlines() if f'"step":"{step}"' in line
        ):
            return True
    return False


def stopped(folder: Any, signum: int, when: Callable[[], bool]) -> int:
    """Start a migration, send it a signal when something is true, return its exit status."""
    process = subprocess.Popen(
        [SCRIPT, "migrate", "--yes", "--fix"], cwd=folder.path, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + DEADLINE_S
    while not when() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signum)
    return process.wait(DEADLINE_S)


@pytest.mark.parametrize(("step", "event"), EVENTS)
def test_killed_run_goes_on_and_can_be_rolled_back(demo: Any, step: str, event: str) -> None:
    before = demo.config.read_bytes()
    stopped(demo, signal.SIGKILL, lambda: seen(demo, step, event))
    rest = demo.run("migrate", "--yes", "--fix")
    assert rest.code == 0, rest.err
    assert overrides_enabled(demo)
    assert len({line["run"] for line in demo.journal()}) == 1
    back = demo.run("rollback", "--yes")
    assert back.code == 0, back.err
    assert demo.config.read_bytes() == before
    assert not overrides_enabled(demo)


@pytest.mark.parametrize(("step", "event"), EVENTS[1:3])
def test_killed_run_is_rolled_back_at_once(demo: Any, step: str, event: str) -> None:
    before = demo.config.read_bytes()
    stopped(demo, signal.SIGKILL, lambda: seen(demo, step, event))
    back = demo.run("rollback", "--yes")
    assert back.code == 0, back.err
    assert demo.config.read_bytes() == before
    assert not overrides_enabled(demo)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_leaves_the_run_open_and_says_so(demo: Any, signum: int, code: int) -> None:
    assert stopped(demo, signum, lambda: seen(demo, "enable", "applied")) in {code, 0}
    rest = demo.run("migrate", "--yes", "--fix")
    assert rest.code == 0, rest.err


def test_demo_whose_folder_was_removed_while_it_ran_is_made_anew(demo: Any) -> None:
    assert demo.run("migrate", "--yes", "--fix").code == 0
    shutil.rmtree(demo.home.parent, ignore_errors=True)  # its gateway writes a file meanwhile
    again = demo.run("migrate", "--yes", "--fix")
    assert again.code == 0, again.err
    assert "3 processes of an earlier demo whose folder was removed" in again.out + again.err
    assert overrides_enabled(demo)


def test_new_run_over_an_unfinished_rollback_is_refused(demo: Any) -> None:
    stopped(demo, signal.SIGKILL, lambda: seen(demo, "enable", "applied"))
    process = subprocess.Popen(
        [SCRIPT, "rollback", "--yes"], cwd=demo.path, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + DEADLINE_S
    while not seen(demo, "enable", "undoing") and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    process.kill()
    process.wait()
    refused = demo.run("migrate", "--yes", "--fix")
    if refused.code == 0:  # the rollback had ended before the kill: then this was a new run
        assert len({p.name for p in (demo.home / "migrate" / "runs").iterdir()}) == 2
        return
    assert refused.code == 8, refused.err
    assert "in the middle of a rollback" in refused.err
    assert demo.run("rollback", "--yes").code == 0
    assert not overrides_enabled(demo)


def test_two_operators_at_once_have_one_winner(demo: Any) -> None:
    both = [
        subprocess.Popen(
            [SCRIPT, "migrate", "--yes", "--fix"], cwd=demo.path, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]  # fmt: skip
    codes = sorted(process.wait(DEADLINE_S) for process in both)
    # One that comes when the other has ended finds nothing to do.
    assert codes in ([0, 11], [0, 0])
    assert len(list((demo.home / "migrate" / "runs").iterdir())) == 1
