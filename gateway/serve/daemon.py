"""Act on the recorded daemon of a state root: find it, stop it, make it reload."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError

from . import pidfile
from .pidfile import PidRecord

_POLL_S = 0.05
_HTTP_S = 10.0


def running(home: Path) -> PidRecord | None:
    """Return the daemon's record; None when none runs, whatever a stale file says."""
    record = pidfile.read(pidfile.path_in(home))
    return record if record is not None and pidfile.alive(record) else None


def stop(home: Path, timeout_s: float) -> PidRecord | None:
    """Ask the daemon to drain and wait for its end; return its record, None when none ran.

    Raises GatewayError when it still runs after `timeout_s`.
    """
    record = running(home)
    if record is None:
        return None
    os.kill(record.pid, signal.SIGTERM)
    until = time.monotonic() + timeout_s
    while pidfile.alive(record):
        if time.monotonic() > until:
            raise GatewayError(f"pid {record.pid} is still draining after {timeout_s:g} s")
        _pause()
    return record


def reload(home: Path, timeout_s: float) -> int:
    """Replace the workers and wait for the outcome; return the new generation.

    Raises GatewayError when no daemon runs, when the new set failed (in its words: the old one
    goes on), and when there is no outcome after `timeout_s`.
    """
    record = running(home)
    if record is None:
        raise GatewayError(f"no daemon runs on {home}")
    before = _last_reload(record)
    os.kill(record.pid, signal.SIGHUP)
    until = time.monotonic() + timeout_s
    while (outcome := _last_reload(record)) == before or outcome is None:
        if time.monotonic() > until or not pidfile.alive(record):
            raise GatewayError(f"pid {record.pid} told of no outcome of the reload")
        _pause()
    if outcome["error"] is not None:
        raise GatewayError(str(outcome["error"]))
    return int(outcome["generation"])


def _last_reload(record: PidRecord) -> dict[str, Any] | None:  # Any: parsed JSON
    connection = http.client.HTTPConnection("127.0.0.1", record.port, timeout=_HTTP_S)
    try:
        connection.request("GET", "/gateway/workers", headers={"connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise GatewayError(f"port {record.port} does not answer like a gateway") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise GatewayError(f"GET /gateway/workers on port {record.port}: status {answer.status}")
    found: dict[str, Any] | None = json.loads(body)["reload"]
    return found


def _pause() -> None:
    """Wait between two looks at another process, which offers nothing to wait on."""
    threading.Event().wait(_POLL_S)
