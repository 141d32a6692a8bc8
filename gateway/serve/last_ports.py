"""Remember which ports the last run had: clients keep the address they were started with.

The PID file cannot tell: a clean stop removes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import state_file
from .pidfile import port_or_none

FILE = "last-ports.json"


@dataclass(frozen=True, slots=True)
class LastPorts:
    """The ports of the last run.

    Attributes:
        port: None when there was no run.
        proxy_port: The legacy proxy's in the last run that had one; None when none had.
    """

    port: int | None = None
    proxy_port: int | None = None


def recall(home: Path) -> LastPorts:
    """Return the ports; without a readable file none, which costs the preference and no more."""
    try:
        document = json.loads((home / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return LastPorts()
    if not isinstance(document, dict):
        return LastPorts()
    port, proxy_port = document.get("port"), document.get("proxy_port")
    return LastPorts(port_or_none(port), port_or_none(proxy_port))


def remember(home: Path, ports: LastPorts) -> None:
    """Replace what is remembered."""
    state_file.write(home / FILE, {"port": ports.port, "proxy_port": ports.proxy_port})
