"""Replacement of the supervisor itself: who is in charge when, whatever goes wrong."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.supervisor.conftest import Daemon

HANG_S = 10.0  # how long a worker that hangs is waited for, and others may take to start


def test_new_supervisor_takes_over_everything(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.record
    daemon.hold_streams()
    client = daemon.open_stream(5)
    assert daemon.reload(signal.SIGUSR2)["error"] is None
    after = daemon.record
    assert after["pid"] != before["pid"]
    assert {k: v for k, v in after.items() if k not in ("pid", "started_at", "birth")} == {
        k: v for k, v in before.items() if k not in ("pid", "started_at", "birth")
    }
    assert (daemon.home / "daemon.lock").read_text() == f"{after['pid']}\n"
    assert daemon.process.poll() is None  # the stream is still open
    assert daemon.run_beside() == 1  # the state root is still held
    assert f"pid {after['pid']}, port {daemon.port}" in daemon.log
    daemon.release_streams()
    rest = client.rest()
    assert rest.count(b"event: piece") == 5
    assert b"event: end" in rest
    assert daemon.exit_code() == 0
    assert daemon.ask()["generation"] == 2
    daemon.current.terminate()
    daemon.until(lambda: not daemon.has_record)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "worker 0 exited with code 7 before it was ready"),
        ("hang", "worker 0 was not ready in time"),
        ("raise", "RuntimeError: the tiny application is out of order"),
    ],
)
def test_new_supervisor_that_fails_leaves_the_old_one_in_charge(
    daemon: Daemon, fault: str, words: str
) -> None:
    daemon.ready_s = HANG_S if fault == "hang" else daemon.ready_s
    daemon.start()
    before = daemon.record
    daemon.break_workers(fault)
    outcome = daemon.reload(signal.SIGUSR2)
    assert (outcome["generation"], outcome["error"]) == (2, words)
    assert f"replacement failed, this supervisor goes on: {words}" in daemon.log
    daemon.until(lambda: len(daemon.children()) == 1)
    assert (daemon.record, daemon.ask()["generation"]) == (before, 1)
    assert (daemon.home / "daemon.lock").read_text() == f"{before['pid']}\n"
    daemon.mend_workers()
    assert daemon.reload(signal.SIGUSR2)["error"] is None


def test_new_supervisor_that_is_killed_leaves_the_old_one_in_charge(daemon: Daemon) -> None:
    daemon.start()
    daemon.break_workers("hang")
    heir = daemon.heir()
    workers = daemon.until(heir.children)
    heir.kill()
    outcome = daemon.until(daemon.last_reload)
    assert "the new supervisor ended before it took over" in outcome["error"]
    daemon.await_end(*workers)  # they leave the port, ready or not
    assert daemon.ask()["generation"] == 1


def test_supervisor_killed_in_the_handover_leaves_all_to_the_new_one(daemon: Daemon) -> None:
    daemon.start()
    heir = daemon.heir()
    daemon.process.kill()
    daemon.until(lambda: daemon.record["pid"] == heir.pid)
    assert daemon.ask()["generation"] == 2


def test_stop_in_the_handover_ends_both(daemon: Daemon) -> None:
    daemon.start()
    daemon.break_workers("hang")
    heir = daemon.heir()
    daemon.until(heir.children)
    daemon.process.terminate()
    assert daemon.exit_code() == 0
    daemon.await_end(heir)
    ends = re.findall(r" stopped pid=(\d+)", daemon.log)
    assert ends == [str(heir.pid), str(daemon.pid)]  # neither had to be killed
    assert not daemon.has_record


def test_stop_after_a_replacement_waits_for_the_streams_of_the_old_one(daemon: Daemon) -> None:
    daemon.start()
    daemon.hold_streams()
    client = daemon.open_stream(5)
    assert daemon.reload(signal.SIGUSR2)["error"] is None
    heir = daemon.current
    heir.terminate()
    daemon.until(lambda: "stopping" in daemon.log)
    daemon.release_streams()
    rest = client.rest()
    assert b"event: end" in rest
    daemon.await_end(heir)
    ends = re.findall(r" stopped pid=(\d+)", daemon.log)
    assert ends == [str(daemon.pid), str(heir.pid)]  # a service ends with its main process
