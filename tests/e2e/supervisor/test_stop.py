"""Stop: streams are finished, a second signal cuts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.supervisor.conftest import Daemon


def test_stop_finishes_streams_and_removes_the_pid_file(daemon: Daemon) -> None:
    daemon.start()
    daemon.hold_streams()
    client = daemon.open_stream(5)
    daemon.process.terminate()
    daemon.until(lambda: "stopping" in daemon.log)
    daemon.release_streams()
    rest = client.rest()
    assert (rest.count(b"event: piece"), rest.endswith(b"0\r\n\r\n")) == (5, True)
    assert daemon.exit_code() == 0
    assert not daemon.has_record
    assert "closed " in daemon.log


@pytest.mark.parametrize("worker_is_busy", [False, True])
def test_second_stop_signal_cuts_what_is_open(daemon: Daemon, worker_is_busy: bool) -> None:
    daemon.start()
    client = daemon.open_stream(100_000)
    worker = psutil.Process(daemon.ask()["pid"])
    if worker_is_busy:
        worker.suspend()  # it sees both signals at once
    daemon.process.terminate()
    daemon.until(lambda: "stopping" in daemon.log)
    daemon.process.terminate()
    daemon.until(lambda: "cutting what is open" in daemon.log)
    if worker_is_busy:
        worker.resume()
    assert daemon.exit_code() == 0
    assert not client.rest().endswith(b"0\r\n\r\n")  # visibly unfinished
    assert "closed " in daemon.log
