"""One short look at a gateway: does it answer, and what has it counted? Kept as lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.counters import Counters, read_counters
from cco_migrate.probes.footprint import Footprint, footprint
from cco_migrate.probes.instances import look_at_health, processes
from cco_migrate.probes.site import Site
from cco_migrate.probes.tallies import Tally, tally_of


@dataclass(frozen=True, slots=True)
class Glance:
    """What was seen at one time.

    Attributes:
        at_s: Seconds since the epoch.
        up: Whether the health endpoint answered and called the gateway well.
        tally: None when its counters could not be read, or not as those of one set of processes.
        ours: Whether verification traffic ran since the glance before: its growth is not real.
        footprint: None when its state root is not on this machine, or not known.
    """

    at_s: float
    up: bool
    tally: Tally | None = None
    ours: bool = False
    footprint: Footprint | None = None

    def to_json(self) -> Mapping[str, object]:
        """Return JSON values."""
        row: dict[str, object] = {"at": time_text(self.at_s), "up": self.up}
        row |= dict(self.tally.to_json()) if self.tally else {}
        row |= dict(self.footprint.to_json()) if self.footprint else {}
        return row | ({"ours": True} if self.ours else {})

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Glance:  # Any: JSON
        """Rebuild a glance; raises KeyError, TypeError or ValueError for a row that is none."""
        tally = Tally.from_json(row) if "figures" in row else None
        up, ours = row["up"], row.get("ours", False)
        if not isinstance(up, bool) or not isinstance(ours, bool):
            raise TypeError("up and ours are true or false")
        takes = Footprint.from_json(row) if "memory_bytes" in row else None
        return cls(datetime.fromisoformat(row["at"]).timestamp(), up, tally, ours, takes)


def glance(site: Site, home: Path | None = None) -> Glance:
    """Look once; whatever does not answer is down or uncounted, never an error.

    Args:
        home: The gateway's state root on this machine; None when it is elsewhere.
    """
    health = look_at_health(site)
    at_s = site.world.clock.now().timestamp()
    takes = footprint(home, site.world) if home else None
    if isinstance(health, Unmeasured):
        return Glance(at_s, up=False, footprint=takes)
    counters = attributed_counters(site)
    tally = None if isinstance(counters, Unmeasured) else tally_of(counters)
    return Glance(at_s, health.status == "ok", tally, footprint=takes)


def attributed_counters(site: Site) -> Counters | Unmeasured:
    """Read the counters with the processes they belong to."""
    boots = _boots(site)
    counters = read_counters(site, boots)
    if _boots(site) != boots:
        return Unmeasured("workers were replaced while the counters were read")
    return counters


def time_text(at_s: float) -> str:
    """Return seconds since the epoch as RFC 3339, UTC, in milliseconds."""
    text = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _boots(site: Site) -> tuple[str, ...]:
    found = processes(site)
    return () if isinstance(found, Unmeasured) else tuple(one.boot_id for one in found)
