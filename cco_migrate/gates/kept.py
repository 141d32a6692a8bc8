"""What a gate keeps from run to run: looks, and what verification traffic showed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cco_migrate.judge.moments import Moments
from cco_migrate.model import JsonObject
from cco_migrate.probes.glances import Glance, time_text


@dataclass(frozen=True, slots=True)
class Run:
    """Verification traffic of one run that has ended.

    Attributes:
        at_s: Seconds since the epoch.
        sound: Whether the planned configuration was loaded: else it is evidence about another.
        streams: Streams that were answered or broke, none of them for a refused credential.
        broken: Those of them that broke the protocol.
        first_token: Logarithms of the seconds to the first token, by stratum.
        found: What stays true whatever later runs see, by criterion, in words.
        throughput: Logarithms of the streams a second of whole bursts, by stratum.
    """

    at_s: float
    sound: bool
    streams: int
    broken: int
    first_token: Mapping[str, Moments] = field(default_factory=dict)
    found: Mapping[str, str] = field(default_factory=dict)
    throughput: Mapping[str, Moments] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return JSON values."""
        return {
            "at": time_text(self.at_s),
            "sound": self.sound,
            "streams": self.streams,
            "broken": self.broken,
            "first_token": moments_json(self.first_token),
            "throughput": moments_json(self.throughput),
            "found": dict(self.found),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Run:  # Any: JSON
        """Rebuild a run; raises KeyError, TypeError or ValueError for a row that is none."""
        streams, broken = int(row["streams"]), int(row["broken"])
        if not 0 <= broken <= streams:
            raise ValueError(f"{broken} of {streams} streams")
        at_s = datetime.fromisoformat(row["at"]).timestamp()
        found = {str(name): str(words) for name, words in row["found"].items()}
        first_token = moments_of(row["first_token"])
        paced = moments_of(row.get("throughput", {}))  # a line of an earlier version has none
        return cls(at_s, row["sound"] is True, streams, broken, first_token, found, paced)


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that was kept, in the order of time."""

    glances: tuple[Glance, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def sound(self) -> Iterator[Run]:
        """The runs that are evidence about the planned configuration."""
        return (run for run in self.runs if run.sound)


def moments_json(strata: Mapping[str, Moments]) -> JsonObject:
    """Return moments by stratum as JSON values."""
    return {
        name: {"n": one.n, "mean": one.mean, "squares": one.squares} for name, one in strata.items()
    }


def moments_of(row: Mapping[str, Any]) -> dict[str, Moments]:  # Any: JSON
    """Rebuild moments by stratum; raises KeyError, TypeError or ValueError."""
    return {
        str(name): Moments(int(one["n"]), float(one["mean"]), float(one["squares"]))
        for name, one in row.items()
    }


def together(*parts: Mapping[str, Moments]) -> Mapping[str, Moments]:
    """Return the moments of all parts, by stratum."""
    total: dict[str, Moments] = {}
    for part in parts:
        for name, moments in part.items():
            total[name] = total.get(name, Moments()) + moments
    return total
