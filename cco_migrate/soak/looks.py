"""One look of a soak at its gateway: a line of the evidence file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from cco_migrate.judge.charges import ChargeTotals
from cco_migrate.judge.integrity import Invariant
from cco_migrate.model import JsonObject
from cco_migrate.soak.counted import Numbered, charges_json, charges_of


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests that ended since the look before.

    Attributes:
        k: Failures.
        n: Requests that succeeded or failed.
        aborted: Requests that ended by the client's doing: broken off, or refused for its fault.
    """

    k: int = 0
    n: int = 0
    aborted: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of what only grows.

    Attributes:
        values: By name of the counter; empty when there was none to read.
        boots: The processes they are summed over; empty when nobody says.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    boots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one time; a line of the evidence file.

    Attributes:
        at: Time of day, UTC: it has to mean the same to the process that goes on after a kill.
        up: Whether the health endpoint answered well.
        tallies: By criterion; one that is not there was not measured.
        through: Id of the newest audit record that was counted.
        loaded: Whether every worker has the planned configuration; None when nobody said.
        integrity: Whether the counters fit those of the look before; None when they were not read.
        counters: The newest reading there is, from now or before.
        missing: Why something was not measured, by criterion.
        charges: Of the requests that ended since the look before; None when nobody could tell.
        numbered: Of the requests since the look before; None when nobody could tell.
    """

    at: datetime
    up: bool
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    through: int = 0
    loaded: Invariant | None = None
    integrity: Invariant | None = None
    counters: Reading = Reading()
    missing: Mapping[str, str] = field(default_factory=dict)
    charges: ChargeTotals | None = None
    numbered: Numbered | None = None

    def to_json(self) -> Mapping[str, object]:
        """Return it as JSON values."""
        return {
            "at": self.at.isoformat(),
            "up": self.up,
            "tallies": {name: asdict(one) for name, one in self.tallies.items()},
            "through": self.through,
            "loaded": invariant_json(self.loaded),
            "integrity": invariant_json(self.integrity),
            "counters": {**self.counters.values},
            "boots": list(self.counters.boots),
            "missing": dict(self.missing),
            "charges": charges_json(self.charges),
            "numbered": None if self.numbered is None else asdict(self.numbered),
        }

    @classmethod
    def from_json(cls, row: JsonObject) -> Look:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        return cls(
            datetime.fromisoformat(row["at"]),
            row["up"],
            {name: Tally(**one) for name, one in row["tallies"].items()},
            row["through"],
            invariant_of(row["loaded"]),
            invariant_of(row["integrity"]),
            Reading(row["counters"], tuple(row["boots"])),
            row["missing"],
            # A line of an earlier version has neither.
            charges_of(row.get("charges")),
            _numbered(row.get("numbered")),
        )


def _numbered(row: JsonObject | None) -> Numbered | None:
    return None if row is None else Numbered(**row)


def invariant_json(found: Invariant | None) -> JsonObject | None:
    """Return JSON values."""
    return None if found is None else asdict(found)


def invariant_of(row: JsonObject | None) -> Invariant | None:
    """Rebuild it; raises KeyError or TypeError for a row of another shape."""
    if row is None:
        return None
    return Invariant(row["checked"], tuple(row["broken"]), tuple(row["explained"]))
