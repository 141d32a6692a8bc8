"""The daemon's PID file and the lock that makes it the only one on a state root."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.errors import AlreadyRunning

_SAME_START_S = (
    5.0  # the system's boot time, which start times count from, is corrected now and then
)


@dataclass(frozen=True, slots=True)
class PidRecord:
    """What `daemon.pid` says.

    Attributes:
        started_at: RFC 3339 start time of the process: with the pid, its identity.
        proxy_port: None when the legacy proxy is not running.
        run: Id of the migration run that started the daemon; None when a person did.
    """

    pid: int
    started_at: str
    port: int
    proxy_port: int | None
    gateway_port: int | None
    version: str
    run: str | None = None


def path_in(home: Path) -> Path:
    """Return where the PID file of a state root is."""
    return home / "daemon.pid"


def write(path: Path, record: PidRecord) -> None:
    """Replace the file in one step; a reader sees the old record or the new one."""
    document: dict[str, object] = {
        "pid": record.pid,
        "started_at": record.started_at,
        "port": record.port,
        "proxy_port": record.proxy_port,
        "gateway_port": record.gateway_port,
        "version": record.version,
    }
    if record.run is not None:
        document["run"] = record.run
    descriptor, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read(path: Path) -> PidRecord | None:
    """Return the record; None when there is none or it is torn."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return _record(document) if isinstance(document, dict) else None


def alive(record: PidRecord) -> bool:
    """Return whether the recorded process still runs: same pid and same start time."""
    import psutil  # noqa: PLC0415 - 20 ms that a starting daemon spends while its workers start

    try:
        process = psutil.Process(record.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        started = datetime.fromisoformat(record.started_at).timestamp()
        return abs(process.create_time() - started) <= _SAME_START_S
    except (psutil.Error, ValueError):
        return False


def own_start() -> str:
    """Return this process's start time, RFC 3339."""
    import psutil  # noqa: PLC0415 - as above

    moment = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def remove_own(path: Path) -> None:
    """Remove the file if it is about this process."""
    record = read(path)
    if record is not None and record.pid == os.getpid():
        path.unlink(missing_ok=True)


class HomeLock:
    """Held by the one daemon of a state root for its whole life, also when it is killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, creating the state root. Raises AlreadyRunning naming who has it."""
        self._home.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._home / "daemon.lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(self._holder()) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _holder(self) -> str:
        record = read(path_in(self._home))
        if record is None:
            return f"another daemon is starting or stopping on {self._home}"
        return f"a daemon runs on {self._home} already: pid {record.pid}, port {record.port}"


def _record(document: dict[str, Any]) -> PidRecord | None:  # Any: parsed JSON
    pid, port, started = document.get("pid"), document.get("port"), document.get("started_at")
    if not (isinstance(pid, int) and pid > 0 and isinstance(port, int) and port > 0):
        return None
    if not isinstance(started, str):
        return None
    return PidRecord(
        pid,
        started,
        port,
        document.get("proxy_port"),
        document.get("gateway_port"),
        str(document.get("version", "")),
        document.get("run"),
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
