"""What a gateway on this machine leaves behind: its record, memory, files and log lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.probes.site import Site, ask
from cco_migrate.world import World

RECORD = "daemon.pid"
LOG = "daemon.log"
MAX_LOG_BYTES = 64 << 20

_ERROR = re.compile(rb"\b(?:ERROR|CRITICAL)\b|Traceback \(most recent")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What it takes at one time, in bytes."""

    memory_bytes: int
    disk_bytes: int

    def to_json(self) -> Mapping[str, int]:
        """Return JSON values."""
        return {"memory_bytes": self.memory_bytes, "disk_bytes": self.disk_bytes}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Footprint:  # Any: JSON
        """Rebuild it; raises KeyError, TypeError or ValueError for a row that has none."""
        return cls(int(row["memory_bytes"]), int(row["disk_bytes"]))


def footprint(home: Path, world: World) -> Footprint | None:
    """Return what the daemon, its children and its state root take; None when no daemon runs."""
    import psutil  # noqa: PLC0415  # 20 ms that only a gate has to pay

    record = _record(home, world)
    if isinstance(record, Unmeasured):
        return None
    try:
        daemon = psutil.Process(record["pid"])
        family = (daemon, *daemon.children(recursive=True))
        memory = sum(one.memory_info().rss for one in family)
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None  # it ended meanwhile: the next look tells
    return Footprint(memory, sum(_sizes(home)))


def record_faults(site: Site, home: Path | None) -> Invariant | Unmeasured:
    """Return what is wrong with the daemon's record of itself."""
    if home is None:
        return Unmeasured(f"the state root is not known: give --home to look at its {RECORD}")
    record = _record(home, site.world)
    if isinstance(record, Unmeasured):
        return record
    faults = [fault for fault in (_process(record, site.world), *_ports(record, site)) if fault]
    return Invariant(3, tuple(f"{home / RECORD}: {fault}" for fault in faults))


def recorded_gateway(home: Path, world: World) -> str | None:
    """Return the URL of the gateway that the daemon's record names; None when it names none."""
    record = _record(home, world)
    port = None if isinstance(record, Unmeasured) else record.get("gateway_port")
    known = isinstance(port, int) and not isinstance(port, bool) and port > 0
    return f"http://127.0.0.1:{port}" if known else None


def log_errors(home: Path | None, begin: int) -> Invariant | Unmeasured:
    """Return the errors in the log's bytes from `begin` on; a log that shrank is read whole."""
    if home is None:
        return Unmeasured(f"the state root is not known: give --home to look at its {LOG}")
    try:
        with (home / LOG).open("rb") as file:
            file.seek(begin if log_size(home) >= begin else 0)
            lines = file.read(MAX_LOG_BYTES).splitlines()
    except OSError as error:
        return Unmeasured(f"{home / LOG}: {error.strerror}")
    # The words themselves stay where they are: they may hold what nobody should pass on.
    faults = sum(bool(_ERROR.search(line)) for line in lines)
    return Invariant(len(lines) + 1, (f"{faults} lines of {home / LOG}",) if faults else ())


def log_size(home: Path | None) -> int:
    """Return the size of the log in bytes; 0 when there is none."""
    try:
        return (home / LOG).stat().st_size if home else 0
    except OSError:
        return 0


def _record(home: Path, world: World) -> Mapping[str, Any] | Unmeasured:  # Any: JSON
    try:
        row = json.loads(world.files.read(home / RECORD))
    except OSError as error:
        return Unmeasured(f"{home / RECORD}: {error.strerror}")
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _process(record: Mapping[str, Any], world: World) -> str:  # Any: JSON
    try:
        started_at = datetime.fromisoformat(record["started_at"])
        lives = world.processes.same_process(record["pid"], started_at)
    except (KeyError, TypeError, ValueError):
        return "it names no process with the time of its start"
    return "" if lives else f"process {record['pid']} is gone, or another one"


def _ports(record: Mapping[str, Any], site: Site) -> tuple[str, str]:  # Any: JSON
    """Return the faults of the gateway's port and of the old proxy's; empty where there is none."""
    port, old = record.get("gateway_port"), record.get("proxy_port")
    legacy = f"it names the old proxy on port {old}" if old is not None else ""
    if not isinstance(port, int) or isinstance(port, bool) or port <= 0:
        return "it names no gateway port", legacy
    answer = ask(Site(f"http://127.0.0.1:{port}", site.world), "/ready")
    return (answer.why if isinstance(answer, Unmeasured) else ""), legacy


def _sizes(home: Path) -> list[int]:
    found = []
    for path in home.rglob("*"):
        try:
            status = path.lstat()
        except OSError:
            continue  # it was removed while we looked
        found.append(status.st_size)
    return found
