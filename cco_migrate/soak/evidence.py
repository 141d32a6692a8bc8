"""What a soak has seen so far: its looks folded into the evidence of each criterion. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from cco_migrate.judge.charges import ChargeTotals
from cco_migrate.judge.gate import Sample, Unmeasured
from cco_migrate.judge.integrity import Invariant
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.outages import Outages, Probe, watch
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.ruling import Conditions
from cco_migrate.judge.ruling import Evidence as Statistics
from cco_migrate.model import JsonObject
from cco_migrate.soak.counted import Numbered, Overhead, charges_json, charges_of
from cco_migrate.soak.looks import Look, Tally, invariant_json, invariant_of
from cco_migrate.soak.terms import (
    AVAILABILITY,
    CHARGED,
    GAPS,
    INTEGRITY,
    LOADED,
    OVERHEAD,
    SYNTHETIC,
    Soak,
)

OVERHEAD_S, OVERHEADS = "gateway_overhead_seconds_sum", "gateway_overhead_seconds_count"
"""Counters of what the gateway itself took, and of how many requests."""
OVERRIDDEN = "cco_overrides_total"
"""Counter of the requests whose model was overridden: shown over time, judged by nobody."""


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
        overhead: Of the gateway itself, over all windows; begins anew with a new process.
        charges: Over all windows.
        numbered: Over all windows.
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
    overhead: Overhead = field(default_factory=Overhead)
    charges: ChargeTotals = field(default_factory=ChargeTotals)
    numbered: Numbered = field(default_factory=Numbered)

    def add(self, look: Look) -> Evidence:
        """Return the evidence with one more look.

        Counters that fell with a new process begin the evidence of requests anew.
        """
        restarted = look.integrity is not None and bool(look.integrity.explained)
        rates = dict(self.rates)
        for name, tally in look.tallies.items():
            rates[name] = Rate() if restarted else _counted(rates.get(name, Rate()), tally)
        seen = {
            *look.tallies,
            AVAILABILITY,
            *(name for name, one in _parts(look) if one is not None),
        }
        return replace(
            self,
            rates=rates,
            probes=(*self.probes, Probe(self._moment(look), look.up)),
            loaded=look.loaded or self.loaded,
            integrity=_joined(self.integrity, look.integrity),
            measured_at={**self.measured_at, **dict.fromkeys(seen, look.at)},
            looks=self.looks + 1,
            last=look,
            overhead=Overhead() if restarted else self._overhead(look),
            charges=self.charges + (look.charges or ChargeTotals()),
            numbered=self.numbered + (look.numbered or Numbered()),
        )

    def _overhead(self, look: Look) -> Overhead:
        """Return it with the growth since the look before, unless requests of our own are in it."""
        before = self.last.counters.values if self.last else {}
        growth = [
            look.counters.values[name] - before[name]
            for name in (OVERHEAD_S, OVERHEADS)
            if name in before and name in look.counters.values
        ]
        ours = look.tallies.get(SYNTHETIC, Tally()).n
        if len(growth) < 2 or ours or growth[1] <= 0:
            return self.overhead
        return self.overhead.add(look.at.timestamp(), *growth)

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
            "loaded": invariant_json(self.loaded),
            "integrity": invariant_json(self.integrity),
            "overhead": asdict(self.overhead.ended),
            "charges": charges_json(self.charges),
            "numbered": asdict(self.numbered),
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


def _evidence(name: str, statistics: JsonObject) -> Statistics | None:
    if name == AVAILABILITY:
        return Outages(**statistics["outages"])
    if name in {LOADED, INTEGRITY}:
        return invariant_of(statistics["loaded" if name == LOADED else "integrity"])
    if name in _ADDED_UP:
        # A journal of an earlier version has none of them.
        return _ADDED_UP[name](statistics) if "charges" in statistics else None
    rate = statistics["rates"].get(name)
    return None if rate is None else Rate(**rate)


_ADDED_UP: Mapping[str, Callable[[JsonObject], Statistics | None]] = {
    OVERHEAD: lambda row: WindowMeans(Moments(**row["overhead"])),
    CHARGED: lambda row: charges_of(row["charges"]),
    GAPS: lambda row: Numbered(**row["numbered"]).sequences,
}


def _parts(look: Look) -> tuple[tuple[str, object], ...]:
    """Return what one look measured beside rates, by criterion; None for what it did not."""
    return (
        (LOADED, look.loaded),
        (INTEGRITY, look.integrity),
        (OVERHEAD, look.counters.values.get(OVERHEADS)),
        (CHARGED, look.charges),
        (GAPS, look.numbered),
    )


def _counted(rate: Rate, tally: Tally) -> Rate:
    return Rate(rate.k + tally.k, rate.n + tally.n, rate.aborted + tally.aborted)


def _joined(known: Invariant | None, now: Invariant | None) -> Invariant | None:
    if known is None or now is None:
        return now or known
    broken = tuple(dict.fromkeys((*known.broken, *now.broken)))
    return Invariant(known.checked + now.checked, broken, now.explained)
