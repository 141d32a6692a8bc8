"""Find the gateway of a state root, prove that it lives, or explain why there is none.

The PID file alone proves nothing: the process may be dead or another one by now, its port may not
be served yet or no longer, and the original gateway wrote the file in several steps. So the process
is identified by its start time, and the port is asked `GET /gateway/health`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from gateway.errors import GatewayError

from . import operator_client, pidfile
from .listener import url_host
from .operator_client import Reply
from .pidfile import PidFileFault, PidRecord

_POLL_S = 0.05
_CONNECT_S = 2.0
_STATUSES = ("healthy", "degraded", "unhealthy")


class Fault(StrEnum):
    """Why no gateway, or no proxy, was found."""

    ABSENT = "absent"  # no PID file, no daemon
    TORN = "torn"  # a PID file cut off while it was written
    FOREIGN = "foreign"  # a PID file about something else
    DEAD = "dead"  # the recorded process has ended
    REUSED = "reused"  # its pid is another process's by now
    SEVERAL = "several"  # two daemons on one state root
    STARTING = "starting"  # no port yet
    SWITCHED_OFF = "switched off"
    SILENT = "silent"  # nobody answers on the recorded port
    MIXED_UP = "mixed up"  # `port` and `gateway_port`
    STRANGER = "stranger"  # something else answers on the recorded port


# What a daemon that starts or is being replaced passes through.
_PASSING = frozenset((Fault.TORN, Fault.STARTING, Fault.SILENT))


@dataclass(frozen=True, slots=True)
class Found:
    """A gateway that answers.

    Attributes:
        url: Without a path; what `ANTHROPIC_BASE_URL` is set to.
        status: "healthy", "degraded" or "unhealthy", in its own words.
        down: Providers that it cannot reach.
    """

    record: PidRecord
    url: str
    status: str
    down: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundProxy:
    """A legacy proxy that accepts connections."""

    record: PidRecord
    url: str


@dataclass(frozen=True, slots=True)
class Missing:
    """None was found.

    Attributes:
        text: What is there instead, in one sentence without a full stop.
    """

    fault: Fault
    text: str


_Finding = TypeVar("_Finding", Found, FoundProxy)


def find(home: Path, deadline_s: float = 0) -> Found | Missing:
    """Find the gateway; one that is just starting is waited for, at most `deadline_s` seconds.

    Raises OSError when the PID file cannot be read.
    """
    return _poll(lambda: _look(home), deadline_s)


def find_proxy(home: Path, deadline_s: float = 0) -> FoundProxy | Missing:
    """Find the legacy proxy, in the same way."""
    return _poll(lambda: _look_for_proxy(home), deadline_s)


def is_served(port: int) -> bool:
    """Return whether anybody listens on this port of loopback."""
    try:
        socket.create_connection((pidfile.LOOPBACK, port), _CONNECT_S).close()
    except OSError:
        return False
    return True


def _poll(look: Callable[[], _Finding | Missing], deadline_s: float) -> _Finding | Missing:
    until = time.monotonic() + deadline_s
    while True:
        found = look()
        if not isinstance(found, Missing) or found.fault not in _PASSING:
            return found
        if time.monotonic() >= until:
            return found
        threading.Event().wait(_POLL_S)  # another process offers nothing to wait on


def _look(home: Path) -> Found | Missing:
    record = _daemon(home)
    if isinstance(record, Missing):
        return record
    if record.gateway_port is None:
        return _without_gateway_port(record)
    reply = _health(record, record.gateway_port)
    if reply is None or not _is_gateway(reply):
        return _unanswered(record, record.gateway_port, reply)
    return _found(record, record.gateway_port, reply)


def _look_for_proxy(home: Path) -> FoundProxy | Missing:
    record = _daemon(home)
    if isinstance(record, Missing):
        return record
    port = record.proxy_port
    if port is None:
        text = f"pid {record.pid} runs, but no proxy of it: proxy_port is not set in the PID file"
        return Missing(Fault.STARTING, text)
    if not is_served(port):
        return Missing(Fault.SILENT, f"nobody listens on proxy_port {port} of pid {record.pid}")
    return FoundProxy(record, f"http://{pidfile.LOOPBACK}:{port}")


# -- the process


def _daemon(home: Path) -> PidRecord | Missing:
    """Return the record of the PID file if that very process lives."""
    path = pidfile.path_in(home)
    record, holder = pidfile.examine(path), pidfile.lock_holder(home)
    if isinstance(record, PidFileFault):
        return _without_record(path, record, holder)
    if pidfile.alive(record):
        if holder is None or holder.pid == record.pid:
            return record
        text = (
            f"several daemons run on {home}: pid {record.pid} is in the PID file, "
            f"pid {holder.pid} holds the lock"
        )
        return Missing(Fault.SEVERAL, text)
    if holder is not None:
        return Missing(Fault.STARTING, f"pid {holder.pid} is starting, {path} is of a run before")
    return _ended(path, record)


def _without_record(path: Path, fault: PidFileFault, holder: PidRecord | None) -> Missing:
    match fault:
        case PidFileFault.ABSENT if holder is not None:
            text = f"pid {holder.pid} is starting or stopping: it has no PID file {path}"
            return Missing(Fault.STARTING, text)
        case PidFileFault.ABSENT:
            return Missing(Fault.ABSENT, f"no daemon runs: there is no PID file {path}")
        case PidFileFault.TORN:
            found, text = Fault.TORN, f"the PID file {path} is cut off"
        case PidFileFault.FOREIGN:
            found, text = Fault.FOREIGN, f"the PID file {path} is not about a daemon"
    runs = "no daemon holds the lock" if holder is None else f"but pid {holder.pid} runs"
    return Missing(found, f"{text}, {runs}")


def _ended(path: Path, record: PidRecord) -> Missing:
    """Tell a dead daemon from another process of its pid, and who serves its port now."""
    started = pidfile.start_time(record.pid)
    if started is None:
        fault, text = Fault.DEAD, f"the daemon of {path}, pid {record.pid}, has ended"
    else:
        since = datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds")
        fault = Fault.REUSED
        text = (
            f"pid {record.pid} of {path} is another process by now: it runs since {since}, "
            f"the daemon began {record.started_at}"
        )
    port = record.gateway_port
    reply = None if port is None else _health(record, port)
    if reply is not None and _is_gateway(reply):
        text += f"; port {port} is served all the same, by a daemon of another state root"
    return Missing(fault, text)


# -- the port


def _without_gateway_port(record: PidRecord) -> Missing:
    reply = None if record.port is None else _health(record, record.port)
    if reply is not None and _is_gateway(reply):
        text = (
            f"pid {record.pid} sends no clients to its gateway (gatewayEnabled is false); "
            f"port {record.port} passes on what still comes"
        )
        return Missing(Fault.SWITCHED_OFF, text)
    text = f"pid {record.pid} has not told a gateway_port: it starts, or its gateway did not"
    return Missing(Fault.STARTING, text)


def _unanswered(record: PidRecord, port: int, reply: Reply | None) -> Missing:
    """Explain a gateway port on which no gateway answers."""
    other = record.port
    if other is not None and other != port:
        swapped = _health(record, other)
        if swapped is not None and _is_gateway(swapped):
            text = f"port and gateway_port are mixed up: the gateway answers on {other}, not {port}"
            return Missing(Fault.MIXED_UP, text)
    if reply is None:
        text = f"nobody answers on gateway_port {port} of pid {record.pid}: it starts or stops"
        return Missing(Fault.SILENT, text)
    if _is_daemon(record, port):
        text = f"gateway_port {port} is a daemon's own port: it has no /gateway/health"
        return Missing(Fault.MIXED_UP, text)
    text = f"what answers on gateway_port {port} is no gateway (status {reply.status})"
    return Missing(Fault.STRANGER, text)


def _found(record: PidRecord, port: int, reply: Reply) -> Found:
    document = reply.document or {}
    providers = document.get("providers")
    rows = providers.items() if isinstance(providers, dict) else ()
    down = tuple(str(name) for name, healthy in rows if healthy is False)
    return Found(record, f"http://{url_host(record.host)}:{port}", document["status"], down)


def _health(record: PidRecord, port: int) -> Reply | None:
    """Ask for `/gateway/health`; None when nobody answers."""
    return _ask(record, port, "/gateway/health")


def _is_gateway(reply: Reply) -> bool:
    document = reply.document or {}
    return reply.status == 200 and document.get("status") in _STATUSES and "providers" in document


def _is_daemon(record: PidRecord, port: int) -> bool:
    """Return whether the port answers `/health` as the original's daemon does."""
    reply = _ask(record, port, "/health")
    return reply is not None and reply.status == 200 and "status" in (reply.document or {})


def _ask(record: PidRecord, port: int, path: str) -> Reply | None:
    try:
        return operator_client.get(record.host, port, path)
    except GatewayError:
        return Reply(0, None)
    except OSError:
        return None
