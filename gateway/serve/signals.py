"""The signals between supervisor and workers, and signals as something a selector can wait for."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Iterable
from types import FrameType

# What a supervisor sends to its processes. Two signals, not one sent twice: the kernel keeps one
# pending signal of a kind, so a busy process would see one of the two.
FINISH = signal.SIGTERM  # take nothing new, finish what is open
CUT = signal.SIGQUIT  # cut what is open


class SignalInbox:
    """Collects the signals of this process; made once, for its whole life.

    Args:
        selector: Woken by each signal; what it is told to call empties the wake-up socket.
    """

    def __init__(self, selector: selectors.BaseSelector, numbers: Iterable[int]) -> None:
        self._numbers: list[int] = []
        # select goes on after a signal (PEP 475): only this descriptor wakes it.
        self._wake, write = socket.socketpair()
        self._wake.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.detach(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, self._note)
        selector.register(self._wake, selectors.EVENT_READ, lambda: self._wake.recv(4096))

    def take(self) -> list[int]:
        """Return what has come since the last call, oldest first."""
        taken: list[int] = []
        while self._numbers:
            taken.append(self._numbers.pop(0))
        return taken

    def _note(self, number: int, _: FrameType | None) -> None:
        self._numbers.append(number)
