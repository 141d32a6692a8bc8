"""What a supervisor is to supervise, and the socket it listens on; opens that socket."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ListenError

from . import last_ports
from .listener import address_of, open_listener

log = logging.getLogger(__name__)

_POLL_S = 0.02
_ORPHANS_S = 1.0  # orphaned workers leave the port as soon as they are scheduled


@dataclass(frozen=True, slots=True)
class SupervisorPlan:
    """What to supervise.

    Attributes:
        port: 0 takes any free port.
        drain_s: What a worker may take to drain before it has said so itself, seconds.
        ready_timeout_s: How long a new set may take to become ready.
        silent_s: How long a serving worker may be silent before it is taken for hung.
        worker_module: Python module run as a worker.
        run: Id of the migration run that started this daemon; None when a person did.
        any_address: Whether others than loopback may be listened on: clients show tokens.
        port_optional: Whether another free port will do when `port` is taken.
        argv: Words after the interpreter that start this program again.
    """

    home: Path
    config_dir: Path
    host: str
    port: int
    workers: int
    drain_s: float
    version: str
    ready_timeout_s: float = 20.0
    silent_s: float = 10.0
    worker_module: str = "gateway.worker"
    run: str | None = None
    any_address: bool = False
    port_optional: bool = False
    argv: tuple[str, ...] = ()


def listen(plan: SupervisorPlan) -> socket.socket:
    """Return the listening socket of a first supervisor.

    Raises ListenError when there is none to be had, or the port is taken and no other will do.
    """
    try:
        return _listen(plan, plan.port)
    except ListenError as error:
        if not (plan.port_optional and plan.port):
            raise
        listener = _listen(plan, 0)
        taken = address_of(listener)[1]
        log.warning("%s: port %d is taken instead, restart the clients", error, taken)
        return listener


def _listen(plan: SupervisorPlan, port: int) -> socket.socket:
    """Listen; on the port of the last run, wait a moment for the workers of a killed daemon."""
    ours = port and port == last_ports.recall(plan.home).port
    until = time.monotonic() + (_ORPHANS_S if ours else 0.0)
    while True:
        try:
            return open_listener(plan.host, port, os.environ, any_address=plan.any_address)
        except ListenError as error:
            if not _is_taken(error) or time.monotonic() > until:
                raise
        threading.Event().wait(_POLL_S)  # nothing tells when another process closes a port


def _is_taken(error: ListenError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
