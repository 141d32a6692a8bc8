"""A trial gateway whose command was killed is ended by the next; one that is in use is not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate import config
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.demo import OLD_PATH
from cco_migrate.drivers import orphans
from cco_migrate.planning import trial

GONE = "4194305/0:0"  # one more than a pid can be


@pytest.fixture
def context(context_at: Callable[[str], Context], closed_port: int) -> Context:
    return context_at(f"http://127.0.0.1:{closed_port}")


@pytest.fixture
def started(context: Context, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start what looks like the trial of some owner, in a folder, and ignores SIGTERM if asked."""
    with ExitStack() as stack:

        def start(
            owner: str, folder: str = "", *, stubborn: bool = False
        ) -> subprocess.Popen[bytes]:
            mark = {"CCO_MIGRATE_RUN": trial.RUN, "CCO_MIGRATE_HOME": str(context.instance.home)}
            deaf = tmp_path / "deaf"
            command = ["sh", "-c", f"trap '' TERM; touch {deaf}; sleep 60"]
            command = command if stubborn else ["sleep", "60"]
            more = {"CCO_MIGRATE_OWNER": owner, "CCO_MIGRATE_TRIAL": folder}
            process = context.world.processes.spawn(command, tmp_path / "log", {**mark, **more})
            stack.callback(process.wait)
            stack.callback(process.kill)
            found = context.world.processes.carrying
            assert context.world.clock.wait_until(
                lambda: process.pid in found(mark) and (deaf.exists() or not stubborn), 10
            )
            return process

        yield start


def test_trial_of_a_killed_command_is_ended_and_its_folder_removed(
    context: Context, started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = tmp_path / "cco-migrate-scratch-trial-x"
    folder.mkdir()
    process = started(GONE, str(folder))
    assert trial.end_abandoned(context) == 1
    assert process.wait(60) == -15
    assert not folder.exists()
    assert trial.end_abandoned(context) == 0


def test_trial_that_does_not_heed_the_signal_is_killed(
    context: Context,
    started: Callable[..., subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orphans, "STOP_TIMEOUT_S", 0.2)
    process = started(GONE, stubborn=True)
    assert trial.end_abandoned(context) >= 1
    assert process.wait(60) == -9


def test_trial_of_a_command_that_lives_or_of_another_state_root_is_left_alone(
    context: Context, started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    birth = context.world.processes.birth(os.getpid())
    process = started(f"{os.getpid()}/{birth}", str(kept))
    assert trial.end_abandoned(context) == 0
    other = started(GONE, str(kept))
    elsewhere = replace(context, instance=replace(context.instance, home=tmp_path / "other"))
    assert trial.end_abandoned(elsewhere) == 0
    assert (process.poll(), other.poll()) == (None, None)
    assert trial.end_abandoned(context) == 1
    assert process.poll() is None
    assert kept.exists()  # a folder that no trial makes


def test_trial_of_a_gateway_that_is_switched_off_answers_and_its_proxy_serves(
    context_at: Callable[[str], Context],
) -> None:
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: OLD_PATH}
    health = trial.health_with(files, context_at("http://127.0.0.1:1"), proxy=True)
    assert health.fingerprint == config.fingerprint(files)
