"""Tell the service manager how the daemon is: systemd's notification protocol, sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

_FOR_ONE_PROCESS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID")
_FOR_THE_SERVICE = ("NOTIFY_SOCKET", "WATCHDOG_USEC")


class ServiceManager:
    """Who started this process, if it wants to know; never raises.

    Args:
        environ: NOTIFY_SOCKET names where to write to; without it nothing is written.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._watchdog_s = _watchdog_s(environ) if self._address else None
        self._beat_due = 0.0
        self._told: str | None = None

    @property
    def tick_s(self) -> float:
        """How often `beat` is to be called at least, seconds; infinite when nobody waits for it."""
        return float("inf") if self._watchdog_s is None else self._watchdog_s / 2

    def ready(self, status: str) -> None:
        """Report that the daemon serves, after its start and after each reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Report that a reload has begun; `ready` ends it, however it went."""
        # The clock of systemd's own stamps: an older READY is told from this reload's by it.
        stamp_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={stamp_us}", "STATUS=reloading")

    def stopping(self) -> None:
        """Report that what is open is being finished."""
        self._send("STOPPING=1", "STATUS=finishing what is open")

    def main_pid(self, pid: int) -> None:
        """Name the process that is the service from now on."""
        self._send(f"MAINPID={pid}")

    def beat(self, now: float) -> None:
        """Report life to the watchdog when it is time.

        Args:
            now: Monotonic time, seconds.
        """
        if self._watchdog_s is not None and now >= self._beat_due:
            self._beat_due = now + self._watchdog_s / 2
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # systemd's names of abstract sockets begin with an @.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.connect(address)
                sock.send("\n".join(lines).encode())
        except OSError as error:
            self._complain(f"{error.strerror}: {self._address}")

    def _complain(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            log.warning("the service manager cannot be told how the daemon is: %s", problem)


def for_successor(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what is meant for this process alone."""
    return {name: value for name, value in environ.items() if name not in _FOR_ONE_PROCESS}


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what a service manager says to the daemon itself."""
    dropped = (*_FOR_ONE_PROCESS, *_FOR_THE_SERVICE)
    return {name: value for name, value in environ.items() if name not in dropped}


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return within which time the watchdog wants to hear of us; None when it does not."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    value = environ.get("WATCHDOG_USEC", "")
    return int(value) / 1e6 if value.isdecimal() and int(value) > 0 else None
