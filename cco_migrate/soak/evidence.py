"""What a soak has seen so far: looks, folded into the evidence of each criterion. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.outages import Outages, Probe, watch
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ruling import Conditions
from cco_migrate.model import JsonObject
from cco_migrate.soak.terms import AVAILABILITY, INTEGRITY, LOADED, Soak


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
    """

    at: datetime
    up: bool
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    through: int = 0
    loaded: Invariant | None = None
    integrity: Invariant | None = None
    counters: Reading = Reading()
    missing: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Mapping[str, object]:
        """Return it as JSON values."""
        return {
            "at": self.at.isoformat(),
            "up": self.up,
            "tallies": {name: asdict(one) for name, one in self.tallies.items()},
            "through": self.through,
            "loaded": _listed(self.loaded),
            "integrity": _listed(self.integrity),
            "counters": {**self.counters.values},
            "boots": list(self.counters.boots),
            "missing": dict(self.missing),
        }

    @classmethod
    def from_json(cls, row: JsonObject) -> Look:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        return cls(
            datetime.fromisoformat(row["at"]),
            row["up"],
            {name: Tally(**one) for name, one in row["tallies"].items()},
            row["through"],
            _invariant(row["loaded"]),
            _invariant(row["integrity"]),
            Reading(row["counters"], tuple(row["boots"])),
            row["missing"],
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """All looks of a soak together.

    Attributes:
        begun_at: When the first window began: requests that arrived before do not count.
        window_at: When this window began; the budget of time away is that of a window.
        rates: Requests by criterion, over all windows.
        probes: Of this window.
        loaded: As last seen; a worker with other files is a fault while it serves.
        integrity: Over all windows: a contradiction stays one.
        measured_at: When each criterion was measured last.
        looks: How many there were.
        last: The newest look; None before the first.
    """

    begun_at: datetime
    window_at: datetime
    rates: Mapping[str, Rate] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    loaded: Invariant | None = None
    integrity: Invariant | None = None
    measured_at: Mapping[str, datetime] = field(default_factory=dict)
    looks: int = 0
    last: Look | None = None

    def add(self, look: Look) -> Evidence:
        """Return the evidence with one more look.

        Counters that fell with a new process begin the evidence of requests anew.
        """
        restarted = look.integrity is not None and bool(look.integrity.explained)
        rates = dict(self.rates)
        for name, tally in look.tallies.items():
            rates[name] = Rate() if restarted else _counted(rates.get(name, Rate()), tally)
        seen = {*look.tallies, AVAILABILITY}
        seen |= {LOADED} if look.loaded is not None else set()
        seen |= {INTEGRITY} if look.integrity is not None else set()
        return replace(
            self,
            rates=rates,
            probes=(*self.probes, Probe(self._moment(look), look.up)),
            loaded=look.loaded or self.loaded,
            integrity=_joined(self.integrity, look.integrity),
            measured_at={**self.measured_at, **dict.fromkeys(seen, look.at)},
            looks=self.looks + 1,
            last=look,
        )

    def _moment(self, look: Look) -> float:
        """Return when it was, on a scale on which a clock that is set back stands still."""
        before = self.probes[-1].at_s if self.probes else self.window_at.timestamp()
        return max(before, look.at.timestamp())

    def new_window(self, at: datetime) -> Evidence:
        """Return the evidence at the beginning of another window, which goes on with it."""
        return replace(self, window_at=at, probes=())

    def statistics(self, soak: Soak, now: datetime) -> JsonObject:
        """Return the sufficient statistics of each criterion as JSON values: what is journaled."""
        spacing_s = soak.interval_s
        outages = watch(self.probes, spacing_s, self.window_at.timestamp())
        return {
            "rates": {name: asdict(rate) for name, rate in self.rates.items()},
            "outages": asdict(outages),
            "loaded": _listed(self.loaded),
            "integrity": _listed(self.integrity),
            "age_s": {name: (now - at).total_seconds() for name, at in self.measured_at.items()},
            "missing": dict(self.last.missing) if self.last else {},
        }


def samples(soak: Soak, statistics: JsonObject) -> Mapping[str, Sample | Unmeasured]:
    """Return what the judge is given of each criterion."""
    found: dict[str, Sample | Unmeasured] = {}
    for criterion in soak.criteria:
        age_s = statistics["age_s"].get(criterion.id)
        evidence = _evidence(criterion.id, statistics)
        if evidence is None or age_s is None:
            why = statistics["missing"].get(criterion.id, "nobody looked yet")
            found[criterion.id] = Unmeasured(why)
        else:
            found[criterion.id] = Sample(evidence, Conditions(age_s))
    return found


def _evidence(name: str, statistics: JsonObject) -> Rate | Outages | Invariant | None:
    if name == AVAILABILITY:
        return Outages(**statistics["outages"])
    if name in {LOADED, INTEGRITY}:
        return _invariant(statistics["loaded" if name == LOADED else "integrity"])
    rate = statistics["rates"].get(name)
    return None if rate is None else Rate(**rate)


def _counted(rate: Rate, tally: Tally) -> Rate:
    return Rate(rate.k + tally.k, rate.n + tally.n, rate.aborted + tally.aborted)


def _joined(known: Invariant | None, now: Invariant | None) -> Invariant | None:
    if known is None or now is None:
        return now or known
    broken = tuple(dict.fromkeys((*known.broken, *now.broken)))
    return Invariant(known.checked + now.checked, broken, now.explained)


def _listed(found: Invariant | None) -> JsonObject | None:
    return None if found is None else asdict(found)


def _invariant(row: JsonObject | None) -> Invariant | None:
    if row is None:
        return None
    return Invariant(row["checked"], tuple(row["broken"]), tuple(row["explained"]))
