"""What a daemon's record of itself, `daemon.pid`, says of its ports. Reads one file."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from cco_migrate.config import ConfigName, Document
from cco_migrate.context import Context

CONNECT_S = 2.0


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """The ports of a daemon; None for one that is not served, 0 included.

    Attributes:
        port: Where the operator API answers.
        gateway_port: Where clients are sent.
        proxy_port: Where the old proxy serves.
    """

    port: int | None
    gateway_port: int | None
    proxy_port: int | None

    def to_json(self) -> dict[str, int | None]:
        """Return it as JSON values."""
        return asdict(self)


WHOLE = 100
"""The share of a gateway to which every launch goes."""
SHARE_KEY = "gatewayShare"


@dataclass(frozen=True, slots=True)
class Switches:
    """Where a daemon-config.json sends clients, defaults filled in.

    Attributes:
        gateway: `gatewayEnabled`.
        proxy: `proxyEnabled`.
        share: How many of a hundred launches go to the gateway: `gatewayShare` while both are true,
            which is when it has an effect, else WHOLE.
    """

    gateway: bool = True
    proxy: bool = False
    share: int = WHOLE

    @classmethod
    def of(cls, document: Document) -> Switches:
        """Read them from a checked document; an empty one is an absent file."""
        gateway = document.get("gatewayEnabled", True)
        proxy = document.get("proxyEnabled", False)
        share = document.get(SHARE_KEY, WHOLE) if gateway and proxy else WHOLE
        return cls(gateway, proxy, share)

    def __str__(self) -> str:
        """Return them as the file has them; the share only where it divides."""
        values = (str(value).lower() for value in (self.gateway, self.proxy))
        text = "gatewayEnabled {}, proxyEnabled {}".format(*values)
        return text if self.share == WHOLE else f"{text}, {SHARE_KEY} {self.share}"


SWITCH_KEYS: Mapping[str, str] = {
    "gatewayEnabled": "gateway_enabled",
    "proxyEnabled": "proxy_enabled",
}
"""The switches as they are written, and their old spelling, which is read."""


def read_record(context: Context) -> DaemonRecord | None:
    """Return the record; None when there is none, or it is torn or about something else."""
    data = context.world.files.read_if_there(record_path(context))
    try:
        row = json.loads(data or b"")
        ports = {name: _port(row.get(name)) for name in DaemonRecord.__slots__}
    except (ValueError, AttributeError):
        return None
    return DaemonRecord(**ports)


def record_path(context: Context) -> Path:
    """Return where the record is."""
    return context.instance.home / "daemon.pid"


def switches_path(context: Context) -> Path:
    """Return where the switches are."""
    return context.instance.config_dir / ConfigName.DAEMON.filename


def accepts(port: int) -> bool:
    """Return whether somebody accepts connections on this port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), CONNECT_S):
        return True
    return False


def _port(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 65536 else None
