"""The daemon's PID file, and the lock that makes it the only one on a state root."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.errors import AlreadyRunning

from . import state_file
from .timestamps import time_text

LOOPBACK = "127.0.0.1"

# Start times count from the system's boot time, which is corrected now and then.
_SAME_START_S = 5.0


@dataclass(frozen=True, slots=True)
class PidRecord:
    """What `daemon.pid` says.

    Attributes:
        started_at: RFC 3339 start time of the process: with the pid, its identity.
        port: Where the operator API answers; None while the daemon has not told it.
        proxy_port: None when the legacy proxy is not running.
        gateway_port: Where clients are sent; None while there is no gateway to send them to.
        run: Id of the migration run that started the daemon; None when a person did.
        host: Address at which the ports are reached from this machine.
        birth: As `birth` tells it; None in a file of the original gateway, or beyond Linux.
    """

    pid: int
    started_at: str
    port: int | None
    proxy_port: int | None
    gateway_port: int | None
    version: str
    run: str | None = None
    host: str = LOOPBACK
    birth: str | None = None


class PidFileFault(StrEnum):
    """Why a PID file tells nothing."""

    ABSENT = "absent"
    TORN = "torn"  # empty, cut off, or otherwise no JSON
    FOREIGN = "foreign"  # JSON, but not about a daemon


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
    if record.host != LOOPBACK:
        document["host"] = record.host
    if record.birth is not None:
        document["birth"] = record.birth
    state_file.write(path, document)


def read(path: Path) -> PidRecord | None:
    """Return the record; None when there is none to be had. Raises OSError as `examine`."""
    found = examine(path)
    return found if isinstance(found, PidRecord) else None


def examine(path: Path) -> PidRecord | PidFileFault:
    """Return the record, or why there is none; the original gateway's files are read, too.

    Raises OSError when the file is there and cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return PidFileFault.ABSENT
    except ValueError:
        return PidFileFault.TORN
    if not isinstance(document, dict):
        return PidFileFault.FOREIGN
    return _record(document) or PidFileFault.FOREIGN


def port_or_none(value: object) -> int | None:
    """Return a port as a file has it; 0, null and whatever else is none mean that there is none."""
    return value if type(value) is int and 0 < value < 65536 else None


def alive(record: PidRecord) -> bool:
    """Return whether the recorded process still runs: same pid and same birth, or start time."""
    if record.birth is not None:
        return birth(record.pid) == record.birth
    try:
        recorded = datetime.fromisoformat(record.started_at).timestamp()
    except ValueError:
        return False
    started = start_time(record.pid)
    return started is not None and abs(started - recorded) <= _SAME_START_S


def birth(pid: int) -> str | None:
    """Return what tells a live process from others of its pid: this boot, and its clock ticks then.

    Unlike a start time it stays the same when the system's clock is stepped. None when no such
    process runs, or where there is no /proc.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else f"{boot}:{fields[19]}"


def start_time(pid: int) -> float | None:
    """Return when the process started, seconds since the epoch; None when no such one runs."""
    import psutil  # noqa: PLC0415 - 20 ms that a starting daemon spends while its workers start

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except psutil.Error:
        return None


def own_start() -> str:
    """Return this process's start time, RFC 3339."""
    import psutil  # noqa: PLC0415 - as above

    return time_text(psutil.Process().create_time())


def remove_own(path: Path) -> None:
    """Remove the file if it is about this process."""
    record = read(path)
    if record is not None and record.pid == os.getpid():
        path.unlink(missing_ok=True)


def running(home: Path) -> PidRecord | None:
    """Return the record of the daemon that runs on a state root; None when none does.

    Without a PID file that tells it, the holder of the lock is returned, its ports unknown.
    """
    record = read(path_in(home))
    return record if record is not None and alive(record) else lock_holder(home)


class HomeLock:
    """Held by the one daemon of a state root for its whole life, also when it is killed.

    It is held as long as any process has the descriptor open: that is how it is handed over.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor: int | None = None
        self._named = False  # whether this process is named in it

    @property
    def descriptor(self) -> int:
        """The open file, to be handed over. Raises ValueError when the lock is not held."""
        if self._descriptor is None:
            raise ValueError("the lock is not held")
        return self._descriptor

    def acquire(self) -> None:
        """Take the lock, creating the state root. Raises AlreadyRunning naming who has it."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(_lock_path(self._home), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(holder_text(self._home)) from error
        self._descriptor = descriptor
        self.name_holder()

    def inherit(self, descriptor: int) -> None:
        """Hold the lock that another process holds, without being named in it yet."""
        self._descriptor = descriptor

    def name_holder(self) -> None:
        """Write that this process is the daemon."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, b"%d\n" % os.getpid(), 0)
        self._named = True

    def let_go(self) -> None:
        """Leave it to the process it was handed over to. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        if self._descriptor is not None and self._named:
            os.ftruncate(self._descriptor, 0)
        self.let_go()


def lock_holder(home: Path) -> PidRecord | None:
    """Return who wrote its pid into the lock and still runs, without ports; None for nobody.

    Whoever started after the file was written is another process that was given the same pid.
    """
    path = _lock_path(home)
    try:
        pid, written = int(path.read_bytes()), path.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    started = start_time(pid)
    if started is None or started > written + _SAME_START_S:
        return None
    return PidRecord(pid, time_text(started), None, None, None, "")


def _lock_path(home: Path) -> Path:
    return home / "daemon.lock"


def holder_text(home: Path) -> str:
    """Say which daemon keeps another from starting."""
    record = running(home)
    if record is None:
        return f"another daemon is starting or stopping on {home}"
    if record.port is None:
        return f"another daemon is starting or stopping on {home}: pid {record.pid}"
    return f"a daemon runs on {home} already: pid {record.pid}, port {record.port}"


def _record(document: dict[str, Any]) -> PidRecord | None:  # Any: parsed JSON
    pid, started, run = document.get("pid"), document.get("started_at"), document.get("run")
    host, born = document.get("host", LOOPBACK), document.get("birth")
    if not (type(pid) is int and pid > 0 and isinstance(started, str)):
        return None
    if "port" not in document or not isinstance(host, str):
        return None
    return PidRecord(
        pid,
        started,
        port_or_none(document["port"]),
        port_or_none(document.get("proxy_port")),
        port_or_none(document.get("gateway_port")),
        str(document.get("version", "")),
        run if isinstance(run, str) else None,
        host,
        born if isinstance(born, str) else None,
    )
