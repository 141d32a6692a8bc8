"""Prints the ports of a PID file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PORTS = ("port", "proxy_port", "gateway_port")


def ports(text: str) -> dict[str, int]:
    """Return the ports a PID file names."""
    row = json.loads(text)
    return {name: row[name] for name in PORTS if row.get(name) is not None}


if __name__ == "__main__":
    print(ports(Path(sys.argv[1]).read_text()))
