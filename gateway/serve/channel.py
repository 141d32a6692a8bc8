"""The supervisor's end of the control channel: JSON lines on a socket pair; never blocks.

Worker to supervisor: `ready`, `failed`, `draining`, `beat` each second, `query`, `shutdown`. Back:
`table`. The end of the channel is news too: to the supervisor that the worker died, to the worker
that it is an orphan.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from typing import Any

from gateway.wire.workers import ReloadOutcome, WorkerRecord, WorkerState

Message = dict[str, Any]  # Any: JSON; turned into the classes below where it is used

_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Table:
    """What the supervisor knows."""

    workers: tuple[WorkerRecord, ...]
    last_reload: ReloadOutcome | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker serves with, reported once when it is ready.

    Attributes:
        gateway_enabled: Whether clients are sent to the gateway.
        proxy_enabled: Whether the legacy proxy runs beside it.
    """

    fingerprint: str
    overrides_enabled: bool
    override_rules: int
    gateway_enabled: bool
    proxy_enabled: bool


class ControlChannel:
    """The supervisor's end. Never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._received = b""
        self._unsent = b""

    def read(self) -> tuple[list[Message], bool]:
        """Return the messages that have come, and whether the channel is still open."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return [], True
        except ConnectionError:
            data = b""
        messages, self._received = split_lines(self._received + data)
        return messages, bool(data) and len(self._received) <= _LINE_BYTES

    def send(self, message: Message) -> None:
        """Send, or keep for `flush` what the worker does not take; a stuck worker's is dropped."""
        if len(self._unsent) < _LINE_BYTES:
            self._unsent += line_of(message)
        self.flush()

    def flush(self) -> None:
        """Try again to send what is left."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            pass  # the worker is busy; the next beat tries again
        except OSError:
            self._unsent = b""  # it is gone, which reading will tell

    def close(self) -> None:
        """Close this end."""
        self.sock.close()


def table_message(table: Table) -> Message:
    """Return the answer to a query."""
    reload = None if table.last_reload is None else asdict(table.last_reload)
    return {"type": "table", "workers": [asdict(one) for one in table.workers], "reload": reload}


def table_of(message: Message) -> Table:
    """Return what an answer says."""
    workers = tuple(
        WorkerRecord(**{**row, "state": WorkerState(row["state"])}) for row in message["workers"]
    )
    reload = message["reload"]
    return Table(workers, None if reload is None else ReloadOutcome(**reload))


def line_of(message: Message) -> bytes:
    """Return a message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def split_lines(data: bytes) -> tuple[list[Message], bytes]:
    """Return the complete messages, and the beginning of the next."""
    *lines, rest = data.split(b"\n")
    return [json.loads(line) for line in lines if line], rest
