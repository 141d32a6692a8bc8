"""Crashes: killed and hung workers are replaced, orphans finish and leave the port."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.e2e.supervisor.conftest import Daemon


def test_killed_worker_is_replaced(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.ask()["pid"]
    os.kill(before, signal.SIGKILL)
    after = daemon.until(lambda: who if (who := daemon.ask())["pid"] != before else None)
    assert after["generation"] == 1
    assert [(row["slot"], row["state"]) for row in daemon.workers()] == [(0, "serving")]


def test_streams_of_the_other_worker_outlive_a_killed_one(daemon: Daemon) -> None:
    daemon.start(workers=2)
    victim, other = daemon.children()
    victim.suspend()  # so that the other one takes the stream
    daemon.hold_streams()
    client = daemon.open_stream(5)
    victim.kill()
    daemon.until(
        lambda: (
            sorted((row["slot"], row["state"]) for row in daemon.workers())
            == [(0, "serving"), (1, "serving")]
        )
    )
    daemon.release_streams()
    assert client.read_to(b"0\r\n\r\n").count(b"event: piece") == 5
    assert other.is_running()


def test_hung_worker_is_noticed_and_replaced(daemon: Daemon) -> None:
    daemon.silent_s = 5
    daemon.start()
    hung = daemon.ask()["pid"]
    os.kill(hung, signal.SIGSTOP)
    after = daemon.ask()["pid"]  # waits in the queue of the socket
    assert after != hung
    silent = re.search(rf"killed a worker that hung pid={hung} silent_s=([\d.]+)", daemon.log)
    assert silent is not None
    assert float(silent[1]) >= 5


def test_workers_that_were_stopped_with_their_supervisor_are_not_taken_for_hung(
    daemon: Daemon,
) -> None:
    """A suspended machine, a frozen container: nobody was silent longer than anybody else."""
    daemon.silent_s = 10
    daemon.start()
    (worker,) = daemon.children()
    worker.suspend()
    daemon.current.suspend()
    begun = time.monotonic()
    daemon.until(lambda: time.monotonic() - begun > daemon.silent_s + 2)
    (daemon.home / "daemon.pid").unlink()
    os.kill(daemon.pid, signal.SIGCONT)
    daemon.until(lambda: daemon.has_record)  # it looks at its workers before it mends this
    worker.resume()
    assert daemon.ask()["pid"] == worker.pid
    assert "hung" not in daemon.log


def test_crash_loop_backs_off_and_recovers(daemon: Daemon) -> None:
    daemon.start()
    daemon.break_workers("exit")
    (child,) = daemon.children()
    child.kill()
    daemon.until(lambda: "restart_in_s=1:" in daemon.log)
    assert re.findall(r"restart_in_s=([\d.]+)", daemon.log)[:3] == ["0", "0.5", "1"]
    daemon.mend_workers()
    daemon.until(lambda: "worker replaced slot=0" in daemon.log)
    assert daemon.ask()["generation"] == 1


def test_orphaned_workers_finish_and_leave_the_port(daemon: Daemon) -> None:
    daemon.start(workers=2)
    workers = daemon.children()
    daemon.hold_streams()
    client = daemon.open_stream(5)
    daemon.process.kill()
    daemon.process.wait()

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", daemon.port), timeout=1).close()
        except OSError:
            return True
        return False

    daemon.until(refused)
    assert any(worker.is_running() for worker in workers)  # the stream is still open
    daemon.start()  # the stale PID file and the free port are no obstacle
    daemon.release_streams()
    rest = client.rest()
    assert rest.count(b"event: piece") == 5
    assert b"event: end" in rest
    assert len(workers) == 2
    daemon.await_end(*workers)


def test_new_start_on_the_port_of_a_killed_daemon_succeeds_at_once(daemon: Daemon) -> None:
    daemon.start(workers=2)
    daemon.hold_streams()
    client = daemon.open_stream(5)
    orphans = daemon.children()
    daemon.process.kill()
    daemon.process.wait()
    daemon.launch(daemon.port)  # the orphans may not have left the port yet
    daemon.until(lambda: daemon.loaded == 2 or daemon.process.poll() is not None)
    assert daemon.process.poll() is None, daemon.log
    assert daemon.ask()["pid"] not in {worker.pid for worker in orphans}
    daemon.release_streams()
    assert b"event: end" in client.rest()


def test_worker_that_starts_leaves_with_its_supervisor(daemon: Daemon) -> None:
    daemon.break_workers("hang")
    daemon.launch()
    workers = daemon.until(psutil.Process(daemon.pid).children)
    daemon.process.kill()
    daemon.process.wait()
    daemon.await_end(*workers)
