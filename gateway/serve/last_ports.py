"""Remember which ports the last run had: clients keep the address they were started with.

The PID file cannot tell: a clean stop removes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import state_file

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
    return LastPorts(_port(document.get("port")), _port(document.get("proxy_port")))


def remember(home: Path, ports: LastPorts) -> None:
    """Replace what is remembered."""
    state_file.write(home / FILE, {"port": ports.port, "proxy_port": ports.proxy_port})


def _port(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 65536 else None
