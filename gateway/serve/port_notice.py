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
        self._home, self._host, self._port = home, _reached_at(host), port
        self._version, self._run = version, run
        self._told: PidRecord | None = None

    def tell(self, *, gateway_enabled: bool, proxy_port: int | None) -> None:
        """Bring the PID file up to date; what has not changed is not written again.

        Args:
            gateway_enabled: Whether clients are sent to the workers.
            proxy_port: None while the legacy proxy does not serve.
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
        )
        if record == before:
            return
        self._write(record)
        if before is None or before.gateway_port != record.gateway_port:
            self._log_gateway(record.gateway_port)
        if proxy_port is not None and (before is None or before.proxy_port != proxy_port):
            log.info("Proxy server started on port %d", proxy_port)
            log.info("PID file updated with proxy port: %d", proxy_port)
        self._told = record

    def _write(self, record: PidRecord) -> None:
        pidfile.write(pidfile.path_in(self._home), record)
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


def _reached_at(host: str) -> str:
    """Return the address at which a listener is reached from this machine."""
    address = ipaddress.ip_address(host)
    if not address.is_unspecified:
        return host
    return pidfile.LOOPBACK if address.version == 4 else "::1"
