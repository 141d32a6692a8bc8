"""Act on the daemon of a state root: start it detached, find it, stop it, make it reload."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from gateway.errors import AlreadyRunning, GatewayError
from gateway.operator.admin import FILE as ADMIN_TOKEN

from . import handover, log_file, operator_client, pidfile, run_words
from .handover import Request
from .pidfile import PidRecord, running

__all__ = ["Stopped", "reload", "replace", "running", "start", "stop"]

_POLL_S = 0.05
_KILLED_S = 5.0
_CHECK_S = 60.0
_LOG_LINES = 12


def start(home: Path, words: Sequence[str], timeout_s: float, *, proxy: bool) -> PidRecord:
    """Start the daemon in a session of its own and wait until it serves; return its record.

    Args:
        words: Arguments of `run`, beside the state root.
        proxy: Whether the legacy proxy has to serve, too.

    Raises AlreadyRunning, and GatewayError with its last log lines when it ends or is not ready
    after `timeout_s`: in the second case it is stopped unless it serves without its proxy.
    """
    if running(home) is not None:
        raise AlreadyRunning(pidfile.holder_text(home))
    with log_file.open_for_daemon(home) as log:
        offset = log.seek(0, os.SEEK_END)
        process = _spawn(home, words, log)
    until = time.monotonic() + timeout_s
    while (record := _serving(home, process.pid, proxy=proxy)) is None:
        code = process.poll()
        if code is not None:
            if running(home) is not None:  # two starts at the same time: the other came first
                raise AlreadyRunning(pidfile.holder_text(home))
            raise GatewayError(_ended_text(home, code, offset))
        if time.monotonic() > until:
            raise GatewayError(_late_text(home, process, timeout_s, offset))
        _pause()
    return record


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a daemon ended.

    Attributes:
        killed: Whether it had to be killed, with what was still open.
    """

    pid: int
    killed: bool


def stop(home: Path, timeout_s: float) -> Stopped | None:
    """Ask the daemon to drain and wait for its end; None when none ran.

    Only the recorded process is signalled, and only while it is the one that was recorded. It is
    killed when it still runs after `timeout_s`; its workers then finish what they have.

    Raises GatewayError when it runs even then.
    """
    record = running(home)
    if record is None:
        return None
    os.kill(record.pid, signal.SIGTERM)
    if _ends(record, timeout_s):
        return Stopped(record.pid, killed=False)
    os.kill(record.pid, signal.SIGKILL)
    if not _ends(record, _KILLED_S):
        raise GatewayError(f"pid {record.pid} was killed and is still there")
    _forget(home, record.pid)
    return Stopped(record.pid, killed=True)


def reload(home: Path, timeout_s: float) -> int:
    """Replace the workers and wait for the outcome; return the new generation.

    Raises GatewayError when no daemon runs, when the new set failed (in its words: the old one
    goes on), and when there is no outcome after `timeout_s`.
    """
    return _replaced(home, signal.SIGHUP, timeout_s)


def replace(home: Path, request: Request, timeout_s: float) -> PidRecord:
    """Replace supervisor and workers by new processes; return the new record.

    The command returns when the new ones serve alone; the old ones finish what they have.

    Raises GatewayError when no daemon runs, when the new one failed (the old one goes on), and
    when there is no outcome after `timeout_s`.
    """
    if request.python is not None:
        _check_interpreter(home, request)
    handover.write_request(home, request)
    _replaced(home, signal.SIGUSR2, timeout_s)
    return _required(home)


def _replaced(home: Path, number: signal.Signals, timeout_s: float) -> int:
    """Send a signal that replaces something, and return the generation that serves then."""
    record = _required(home)
    until = time.monotonic() + timeout_s
    before = _last_reload(home, record, until)
    os.kill(record.pid, number)
    heir = number == signal.SIGUSR2
    while (outcome := _last_reload(home, record, until, heir=heir)) == before or outcome is None:
        if time.monotonic() > until or running(home) is None:
            raise GatewayError(f"pid {record.pid} told of no outcome; see: cco-gateway daemon logs")
        _pause()
    if outcome["error"] is not None:
        raise GatewayError(str(outcome["error"]))
    return int(outcome["generation"])


def _check_interpreter(home: Path, request: Request) -> None:
    """Raise GatewayError when its version of the gateway does not read the configuration."""
    argv = [str(request.python), "-m", "gateway", "check-config", "--home", str(home)]
    words = (*run_words.of_process(_required(home).pid), *request.words)
    config_dir = run_words.option(words, "--config-dir")
    argv += () if config_dir is None else ("--config-dir", config_dir)
    try:
        found = subprocess.run(
            argv, capture_output=True, text=True, timeout=_CHECK_S, check=False, cwd=home
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GatewayError(f"{request.python} cannot be run: {error}") from error
    if found.returncode != 0:
        said = found.stderr.strip() or f"exit code {found.returncode}"
        raise GatewayError(f"the running daemon goes on: {request.python} says: {said}")


def _required(home: Path) -> PidRecord:
    record = running(home)
    if record is None:
        raise GatewayError(f"no daemon runs on {home}")
    return record


def _spawn(home: Path, words: Sequence[str], log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "--home", str(home), *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd=home,  # no folder is kept in use, and none of its modules shadows ours
    )


def _serving(home: Path, pid: int, *, proxy: bool) -> PidRecord | None:
    """Return the record of the started process once it serves what it is to serve."""
    record = pidfile.read(pidfile.path_in(home))
    if record is None or record.pid != pid or record.port is None:
        return None
    if proxy and record.proxy_port is None:
        return None
    return record if _healthy(home, record) else None


def _healthy(home: Path, record: PidRecord) -> bool:
    try:
        return _ask(home, record, "/health").status == 200
    except OSError:
        return False


def _ended_text(home: Path, code: int, offset: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"the daemon {how} before it served; its log says:\n{_log(home, offset)}"


def _late_text(home: Path, process: subprocess.Popen[bytes], timeout_s: float, offset: int) -> str:
    """Say what is missing; a daemon that serves nothing is stopped."""
    if _serving(home, process.pid, proxy=False) is not None:
        what = f"pid {process.pid} serves, but its proxy did not start within {timeout_s:g} s"
    else:
        process.terminate()
        what = f"the daemon did not serve within {timeout_s:g} s and was told to stop"
    return f"{what}; its log says:\n{_log(home, offset)}"


def _log(home: Path, offset: int) -> str:
    return log_file.since(log_file.path_in(home), offset, _LOG_LINES) or "(nothing)"


def _ends(record: PidRecord, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while pidfile.alive(record):
        if time.monotonic() > until:
            return False
        _pause()
    return True


def _forget(home: Path, pid: int) -> None:
    """Remove the PID file that a killed daemon could not."""
    path = pidfile.path_in(home)
    record = pidfile.read(path)
    if record is not None and record.pid == pid:
        path.unlink(missing_ok=True)


def _last_reload(
    home: Path, record: PidRecord, until: float, *, heir: bool = False
) -> dict[str, Any] | None:  # Any: parsed JSON
    """Return how the last replacement ended; None when there was none. Asks until then.

    Args:
        heir: Whether a supervisor that has taken over from the recorded one may tell, too.
    """
    while (told := _told_of_workers(home, record, heir=heir)) is None:
        if time.monotonic() > until:
            raise GatewayError(
                f"pid {record.pid} is too busy to tell; see: cco-gateway daemon logs"
            )
        if running(home) is None:
            raise GatewayError(f"pid {record.pid} has ended; see: cco-gateway daemon logs")
        _pause()
    found: dict[str, Any] | None = told["reload"]
    return found


def _told_of_workers(
    home: Path, record: PidRecord, *, heir: bool
) -> dict[str, Any] | None:  # Any: parsed JSON
    """Return an answer; None when nobody has the time for it, or it is another supervisor's.

    A supervisor that starts processes on a busy machine keeps the worker waiting that asks it for
    their table: that worker answers 503 after a few seconds. The workers of one that was replaced
    still answer for a moment, with its table. Older versions do not say whose table it is.

    Raises GatewayError for an answer that is none, and when another has taken over unasked.
    """
    try:
        reply = _ask(home, record, "/gateway/workers")
    except TimeoutError:
        return None
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return None
    if reply.status != HTTPStatus.OK or reply.document is None:
        raise GatewayError(f"GET /gateway/workers on port {record.port}: status {reply.status}")
    supervisor = reply.document.get("supervisor")
    if supervisor in (None, record.pid):
        return reply.document
    now = running(home)
    if now is None or now.pid != supervisor:
        return None
    if not heir:
        raise GatewayError(f"pid {record.pid} was replaced by pid {now.pid} meanwhile; ask again")
    return reply.document


def _ask(home: Path, record: PidRecord, path: str) -> operator_client.Reply:
    if record.port is None:
        raise GatewayError(f"pid {record.pid} runs, but no PID file tells its port")
    return operator_client.get(record.host, record.port, path, _token(home))


def _token(home: Path) -> str | None:
    """Return what a daemon that listens beyond loopback wants to see; None when there is none."""
    try:
        return (home / ADMIN_TOKEN).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _pause() -> None:
    """Wait between two looks at another process, which offers nothing to wait on."""
    threading.Event().wait(_POLL_S)
