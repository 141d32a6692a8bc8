"""Tell the world which ports serve: the PID file, the memory of the last run, the log."""

from __future__ import annotations

import ipaddress
import logging
import os
from pathlib import Path

from . import last_ports, pidfile
from .last_ports import LastPorts
from .pidfile import PidRecord

log = logging.getLogger(__name__)


class PortNotice:
    """What readers may know of a supervisor's ports: what serves, and nothing else.

    Args:
        host, port: Where the workers listen.
        run: Id of the migration run that started this daemon; None when a person did.
    """

    def __init__(self, home: Path, host: str, port: int, version: str, run: str | None) -> None:
        self._home, self._host, self._port = home, reached_at(host), port
        self._version, self._run = version, run
        self._told: PidRecord | None = None
        self._file: tuple[int, int] | None = None  # which file was written last
        self._problem: str | None = None  # why it could not be written again

    def forget(self) -> None:
        """Take the file for another's: the next telling writes it."""
        self._file = None

    def tell(self, *, gateway_enabled: bool, proxy_port: int | None) -> None:
        """Bring the PID file up to date; what is as it was written is not written again.

        A file that somebody has removed or replaced is written anew.

        Args:
            gateway_enabled: Whether clients are sent to the workers.
            proxy_port: None while the legacy proxy does not serve.

        Raises OSError when it cannot be written the first time; later that is logged.
        """
        before = self._told
        record = PidRecord(
            pid=os.getpid(),
            started_at=pidfile.own_start() if before is None else before.started_at,
            port=self._port,
            proxy_port=proxy_port,
            gateway_port=self._port if gateway_enabled else None,
            version=self._version,
            run=self._run,
            host=self._host,
            birth=pidfile.birth(os.getpid()),
        )
        if record == before and self._is_in_place():
            return
        if not self._written(record):
            return
        if before is None or before.gateway_port != record.gateway_port:
            self._log_gateway(record.gateway_port)
        if proxy_port is not None and (before is None or before.proxy_port != proxy_port):
            log.info("Proxy server started on port %d", proxy_port)
            log.info("PID file updated with proxy port: %d", proxy_port)
        self._told = record

    def _is_in_place(self) -> bool:
        return self._file is not None and self._file == _identity(pidfile.path_in(self._home))

    def _written(self, record: PidRecord) -> bool:
        """Write, and return whether that went well; a gateway that serves goes on without."""
        lost = record == self._told and self._file is not None
        try:
            self._write(record)
        except OSError as error:
            if self._told is None:
                raise
            if error.strerror != self._problem:
                log.warning("the PID file cannot be written, the gateway goes on: %s", error)
            self._problem = error.strerror
            return False
        self._problem = None
        if lost:
            log.warning("the PID file was removed or replaced; written again")
        return True

    def _write(self, record: PidRecord) -> None:
        path = pidfile.path_in(self._home)
        pidfile.write(path, record)
        self._file = _identity(path)
        last = last_ports.recall(self._home)
        now = LastPorts(record.port, record.proxy_port or last.proxy_port)
        if now != last:
            last_ports.remember(self._home, now)

    def _log_gateway(self, port: int | None) -> None:
        if port is None:
            text = "LLM Gateway switched off by gatewayEnabled: port %d passes on what still comes"
            log.warning(text, self._port)
            return
        log.info("LLM Gateway initialized successfully")
        log.info("LLM Gateway started on port %d", port)
        log.info("PID file updated with gateway port: %d", port)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what another file at the same place would not have; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def reached_at(host: str) -> str:
    """Return the address at which a listener is reached from this machine.

    Raises ValueError when the host is no address.
    """
    address = ipaddress.ip_address(pidfile.LOOPBACK if host == "localhost" else host)
    if not address.is_unspecified:
        return str(address)
    return pidfile.LOOPBACK if address.version == 4 else "::1"
