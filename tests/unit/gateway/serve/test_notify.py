"""What the service manager is told, read from a socket such as it has."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.serve.notify import ServiceManager, for_children, for_successor

Act = Callable[[ServiceManager], None]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Return a service manager's socket and how NOTIFY_SOCKET names it."""
    folder = os.open(tmp_path, os.O_RDONLY)
    # The path through /proc is short enough for any temporary folder.
    path = f"/proc/self/fd/{folder}/notify"
    name = f"@cco-test-{os.getpid()}" if request.param == "abstract" else path
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind("\0" + name[1:] if name[0] == "@" else name)
        sock.setblocking(False)
        yield sock, name
    os.close(folder)


@pytest.mark.parametrize(
    ("act", "lines"),
    [
        (lambda told: told.ready("serves well"), ["READY=1", "STATUS=serves well"]),
        (lambda told: told.stopping(), ["STOPPING=1", "STATUS=finishing what is open"]),
        (lambda told: told.main_pid(17), ["MAINPID=17"]),
    ],
)
def test_state_is_told_in_one_datagram(
    manager: tuple[socket.socket, str], act: Act, lines: list[str]
) -> None:
    sock, name = manager
    act(ServiceManager({"NOTIFY_SOCKET": name}))
    assert sock.recv(4096).decode().split("\n") == lines


def test_reload_is_told_with_the_managers_clock(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    ServiceManager({"NOTIFY_SOCKET": name}).reloading()
    first, stamp, status = sock.recv(4096).decode().split("\n")
    assert (first, status) == ("RELOADING=1", "STATUS=reloading")
    key, _, value = stamp.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_watchdog_hears_of_us_twice_in_its_time(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    told = ServiceManager({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"})
    assert told.tick_s == 1.5
    beats = []
    for now in (100.0, 101.0, 101.5, 102.0, 103.0):
        told.beat(now)
        try:
            beats.append((now, sock.recv(64)))
        except BlockingIOError:
            continue
    assert beats == [(now, b"WATCHDOG=1") for now in (100.0, 101.5, 103.0)]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_watchdog_nobody_waits(
    manager: tuple[socket.socket, str], environ: dict[str, str]
) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": manager[1], **environ})
    told.beat(1.0)
    assert told.tick_s == float("inf")
    with pytest.raises(BlockingIOError):
        manager[0].recv(64)


def test_manager_that_does_not_listen_is_complained_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    told = ServiceManager({"NOTIFY_SOCKET": "/nobody/listens/here"})
    told.ready("up")
    told.stopping()
    ServiceManager({}).ready("up")
    assert caplog.messages == [
        "the service manager cannot be told how the daemon is: "
        "No such file or directory: /nobody/listens/here"
    ]


def test_children_do_not_speak_for_the_daemon() -> None:
    environ = {
        "PATH": "/bin", "LISTEN_FDS": "1", "LISTEN_PID": "2", "LISTEN_FDNAMES": "gateway",
        "NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "2",
    }  # fmt: skip
    assert for_children(environ) == {"PATH": "/bin"}
    assert for_successor(environ) == {"PATH": "/bin", "NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "9"}
