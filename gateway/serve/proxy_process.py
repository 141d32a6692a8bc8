"""The legacy proxy as the supervisor holds it: its socket, its process, its restarts."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import subprocess
import sys
import time

from gateway.errors import ListenError

from . import backoff
from .listener import address_of, open_listener
from .notify import for_children
from .pidfile import LOOPBACK
from .signals import CUT, FINISH

log = logging.getLogger(__name__)

_MODULE = "gateway.serve.forward_proxy"
_READY_S = 20.0
_GRACE_S = 5.0  # beyond the drain, for the process's own end


class LegacyProxy:
    """Keeps one proxy process serving while it is wanted; never blocks, never raises.

    The process is a child of its own, so that its end leaves the gateway alone. The listening
    socket stays here: who connects while a crashed process is replaced waits and is served. Whoever
    reads the port somewhere has to be told before it is stopped that it is gone.

    Args:
        selector: Told of each process's lifeline, with `hear` as data.
        drain_s: What the open tunnels may take when it is stopped, seconds.
    """

    def __init__(self, selector: selectors.BaseSelector, drain_s: float) -> None:
        self._selector, self._drain_s = selector, drain_s
        self._preferred: int | None = None
        self._listener: socket.socket | None = None
        self._current: _Process | None = None
        self._leaving: list[_Process] = []
        self._failures = 0  # since it was last stable
        self._start_at: float | None = None  # None: it runs, or is not wanted

    @property
    def port(self) -> int | None:
        """Where it serves; None while it is off, or has not proved itself."""
        if self._listener is None or self._current is None or not self._current.ready:
            return None
        return address_of(self._listener)[1]

    @property
    def settled(self) -> bool:
        """Whether it serves, is off, or has failed: nothing is to be waited for."""
        off = self._current is None and self._start_at is None
        return off or self.port is not None or self._failures > 0

    @property
    def descriptor(self) -> int | None:
        """The listening socket's, to be handed over; None while it is off."""
        return None if self._listener is None else self._listener.fileno()

    @property
    def ended(self) -> bool:
        """Whether no process is left."""
        return self._current is None and not self._leaving

    def inherit(self, descriptor: int) -> None:
        """Listen on a socket handed over by another supervisor, once it is started."""
        self._listener = socket.socket(fileno=descriptor)

    def start(self, preferred: int | None) -> None:
        """Have the next tick start it, on the preferred port if it is free. Idempotent."""
        if self._current is None and self._start_at is None:
            self._preferred, self._failures, self._start_at = preferred, 0, 0.0

    def stop(self, *, hurry: bool = False) -> None:
        """Take no more connections and let the open ones end; a hurry cuts them. Idempotent."""
        self._start_at = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._current is not None:
            self._current.leave(FINISH, self._drain_s + _GRACE_S)
            self._leaving.append(self._current)
            self._current = None
        if hurry:
            for process in self._leaving:
                process.leave(CUT, _GRACE_S)

    def kill(self) -> None:
        """End what is left at once."""
        for process in self._processes():
            process.kill()

    def hear(self) -> None:
        """Note who has become ready."""
        for process in self._processes():
            if process.hear() and process.lifeline in self._selector.get_map():
                self._selector.unregister(process.lifeline)

    def tick(self, now: float) -> None:
        """Reap, kill what is late, start what is due."""
        for process in self._processes():
            if process.popen.poll() is not None:
                self._bury(process, now)
            elif process.kill_at is not None and now > process.kill_at:
                log.warning("killed a proxy that was late pid=%d", process.popen.pid)
                process.kill()
        # One that has not let go of the port yet would drive its successor to another.
        taken = any(process.listens for process in self._leaving)
        if self._start_at is not None and now >= self._start_at and not taken:
            self._start_at = None
            try:
                self._spawn()
            except (ListenError, OSError) as error:
                self._retry(now, str(error))

    def _processes(self) -> list[_Process]:
        return [*self._leaving, *([] if self._current is None else [self._current])]

    def _spawn(self) -> None:
        if self._listener is None:
            self._listener = _listen(self._preferred)
        self._current = _Process(self._listener, self._drain_s)
        self._selector.register(self._current.lifeline, selectors.EVENT_READ, self.hear)

    def _bury(self, process: _Process, now: float) -> None:
        if process.lifeline in self._selector.get_map():
            self._selector.unregister(process.lifeline)
        process.lifeline.close()
        if process is not self._current:
            self._leaving.remove(process)
            return
        self._current = None
        if process.ready and now - process.started > backoff.STABLE_S:
            self._failures = 0
        self._retry(now, f"code={process.popen.returncode}")

    def _retry(self, now: float, why: str) -> None:
        delay_s = backoff.delay_s(self._failures)
        self._failures += 1
        self._start_at = now + delay_s
        log.error("proxy down, the gateway goes on: restart_in_s=%g %s", delay_s, why)


class _Process:
    """One proxy process; mutable, because it follows a process.

    Attributes:
        lifeline: The process says on it that it serves, and that it listens no more; our end tells
            the process that we died.
        kill_at: Monotonic time at which it is killed if it still lives; None while it may stay.
    """

    def __init__(self, listener: socket.socket, drain_s: float) -> None:
        self.lifeline, theirs = socket.socketpair()
        self.lifeline.setblocking(False)
        self.ready, self.listens = False, True
        self.started = time.monotonic()
        self.kill_at: float | None = self.started + _READY_S
        words = ("--listen-fd", listener.fileno(), "--lifeline-fd", theirs.fileno())
        argv = [sys.executable, "-m", _MODULE, *map(str, words), "--drain-s", str(drain_s)]
        try:
            self.popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                pass_fds=(listener.fileno(), theirs.fileno()),
                env=for_children(os.environ),
            )
        except BaseException:
            self.lifeline.close()
            raise
        finally:
            theirs.close()

    def hear(self) -> bool:
        """Read; return whether the process has closed its end."""
        try:
            data = self.lifeline.recv(64)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if data.startswith(b"ready"):
            self.ready, self.kill_at = True, None
        if data.endswith(b"closed\n"):
            self.listens = False
        return not data

    def leave(self, number: int, within_s: float) -> None:
        """Ask it to end, by the signal that finishes or the one that cuts what is open."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        self.kill_at = time.monotonic() + within_s

    def kill(self) -> None:
        """End it at once."""
        if self.popen.poll() is None:
            self.popen.kill()


def _listen(preferred: int | None) -> socket.socket:
    """Listen on loopback, whatever the gateway does: the proxy knows no credentials."""
    if preferred is not None:
        try:
            return open_listener(LOOPBACK, preferred, {})
        except ListenError as error:
            log.warning("proxy: %s; a free one is taken, restart its clients", error)
    return open_listener(LOOPBACK, 0, {})
