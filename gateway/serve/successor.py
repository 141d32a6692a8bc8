"""The supervisor that is to take over, as the one that runs holds it."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from .channel import ControlChannel
from .handover import ENVIRONMENT, Estate, Phase, variable
from .notify import for_successor

_TAKE_S = 10.0
_KILL_S = 5.0
_LAUNCH_S = 10.0
# Nobody's child: systemd takes a main process for its own, and waits for it, only if it is the
# parent by the time it hears of it.
_ORPHANED = ("/bin/sh", "-c", '"$@" &', "sh")


class Successor:
    """A started supervisor that has not served alone yet.

    It lives as long as its channel is open: nobody else has that.

    Attributes:
        phase: How far it has come.
        pid: None until it has said so.
        error: Why it failed; None while it has not.

    Args:
        selector: Told of the channel to it, with `hear` as data.
        argv: Its command line, the interpreter first.
        within_s: How long it may take until its workers serve.

    Raises OSError when it cannot be started.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        argv: Sequence[str],
        estate: Estate,
        within_s: float,
    ) -> None:
        self.phase = Phase.STARTING
        self.pid: int | None = None
        self.error: str | None = None
        self._selector, self._within_s = selector, within_s
        self._until, self._kill_at = time.monotonic() + within_s, float("inf")
        ours, theirs = socket.socketpair()
        try:
            _launch(argv, estate, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._channel = ControlChannel(ours)
        self._is_open = True
        selector.register(ours, selectors.EVENT_READ, self.hear)

    def hear(self) -> None:
        """Note what it says, and its end."""
        messages, is_open = self._channel.read()
        for message in messages:
            match (message["type"], self.phase):
                case ("started", _):
                    self.pid = int(message["pid"])
                case ("ready", Phase.STARTING):
                    self.phase = Phase.READY
                case ("taken", Phase.TAKING):
                    self.phase = Phase.TAKEN
                case ("failed", _):
                    self._fail(str(message["error"]))
        if not is_open:
            self._close()
            self._fail("the new supervisor ended before it took over; the log has its last words")

    def take(self) -> None:
        """Let it write the PID file: from now on that is not ours."""
        self.phase, self._until = Phase.TAKING, time.monotonic() + _TAKE_S
        self._channel.send({"type": "take"})

    def leave(self) -> None:
        """Tell it that it is the service; the end of this process ends the channel."""
        self.phase = Phase.LEFT
        self._channel.send({"type": "left"})

    def check(self, now: float) -> None:
        """Give up on one that is late."""
        if self.phase is Phase.STARTING and now > self._until:
            self._fail(f"the new supervisor was not ready within {self._within_s:g} s")
        elif self.phase is Phase.TAKING and now > self._until:
            self._fail(f"the new supervisor did not take over within {_TAKE_S:g} s")

    def dismiss(self) -> None:
        """Ask it to end: its workers finish what they have begun."""
        self._kill_at = time.monotonic() + _KILL_S
        if self._is_open:
            self._channel.send({"type": "dismissed"})

    def is_gone(self, now: float) -> bool:
        """Return whether one that was dismissed has ended; it is killed when it takes too long."""
        if self._is_open and now > self._kill_at:
            if self.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    # Its workers see that and finish by themselves.
                    os.kill(self.pid, signal.SIGKILL)
            self._close()
        return not self._is_open

    def _close(self) -> None:
        self._selector.unregister(self._channel.sock)
        self._channel.close()
        self._is_open = False

    def _fail(self, error: str) -> None:
        if self.phase not in (Phase.LEFT, Phase.FAILED):
            self.phase, self.error = Phase.FAILED, error


def _launch(argv: Sequence[str], estate: Estate, channel: socket.socket) -> None:
    inherited = (*estate.descriptors, channel.fileno())
    left = {ENVIRONMENT: variable(estate, channel.fileno())}
    subprocess.run(
        [*_ORPHANED, *argv],
        stdin=subprocess.DEVNULL,
        pass_fds=inherited,
        env={**for_successor(os.environ), **left},
        check=True,
        timeout=_LAUNCH_S,
    )
