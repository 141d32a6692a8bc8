"""What a soak is told: bake time, criteria, and what a NO-GO leads to; frozen in its step. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from cco_migrate import criteria
from cco_migrate.durations import show_duration
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.criterion import Bounds, Criterion, Kind, Mode, Traffic
from cco_migrate.judge.gate import terms_of
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.model import JsonObject, OnNoGo

USES = "soak.judged"
"""The check that carries a soak out."""

LOADED, INTEGRITY, AVAILABILITY = "config-loaded", "evidence-integrity", "availability"
SYNTHETIC = "synthetic-failures"
OVERHEAD, CHARGED, GAPS = GUARDS = ("latency-average", "cost-accuracy", "audit-gaps")
"""Criteria that stop a soak when harm is proved, and that GO waits for only if a file names them.

They rest on the traffic there is: who soaks without any need not waive them one by one. GAPS is
only shown: a soak reads the records of a quarter of an hour, and an answer may stream for longer.
"""
SOAKED = (LOADED, INTEGRITY, AVAILABILITY, "error-rate", "streaming-failures", *GUARDS)
"""The criteria a soak measures, beside that of its own requests."""

_LONGEST_INTERVAL_S, _LOOKS = 30.0, 120
_OWN = Criterion(
    SYNTHETIC, Kind.RATE, Bounds(0.10, 0.10),
    "requests of the soak itself that were not answered whole", "share",
    "cco-migrate: offered where real traffic is too thin", traffic=Traffic.SYNTHETIC,
    depends_on=(LOADED, INTEGRITY),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waiver:
    """A criterion that is only observed, because a person said so before the first sample.

    Attributes:
        by: Who said so, user@host.
        why: In their words.
    """

    criterion: str
    by: str
    why: str

    def __str__(self) -> str:
        return f"waived: {self.criterion}, by {self.by}: {self.why}"


@dataclass(frozen=True, slots=True)
class Offer:
    """Requests of our own, sent evenly over the bake time and counted apart from real ones.

    Attributes:
        requests: How many at most; 0 sends none.
        models: Asked for in turn; empty when none are sent.
        credential: Reference to the key they carry.
    """

    requests: int = 0
    models: tuple[str, ...] = ()
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Soak:
    """One soak.

    Attributes:
        bake_s: How long it takes; it ends earlier only with a NO-GO.
        interval_s: Between two looks.
        criteria: With their bounds; waived ones are observed.
        fingerprint: What every worker must have loaded; "" in a plan that does not know it yet.
    """

    bake_s: float
    interval_s: float
    on_no_go: OnNoGo
    criteria: tuple[Criterion, ...]
    waivers: tuple[Waiver, ...] = ()
    offer: Offer = Offer()
    fingerprint: str = ""

    @property
    def terms(self) -> Terms:
        """It looks again and again: bounds that hold at any time."""
        return terms_of(self.criteria, Form.ANYTIME)

    def to_json(self) -> Mapping[str, object]:
        """Return the parameters of its step."""
        return {
            "bake_s": self.bake_s,
            "interval_s": self.interval_s,
            "on_no_go": self.on_no_go.value,
            "criteria": {one.id: criteria.to_json(one) for one in self.criteria},
            "waivers": [asdict(one) for one in self.waivers],
            "offer": {**asdict(self.offer), "models": list(self.offer.models)},
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_json(cls, row: JsonObject) -> Soak:
        """Rebuild it; raises KeyError, TypeError or ValueError for a row of another shape."""
        return cls(
            row["bake_s"],
            row["interval_s"],
            OnNoGo(row["on_no_go"]),
            tuple(criteria.from_json(name, one) for name, one in row["criteria"].items()),
            tuple(Waiver(**one) for one in row["waivers"]),
            Offer(**{**row["offer"], "models": tuple(row["offer"]["models"])}),
            row["fingerprint"],
        )


def make_soak(
    bake_s: float,
    interval_s: float | None,
    on_no_go: str,
    known: Mapping[str, Criterion],
    waivers: tuple[Waiver, ...],
    offer: Offer,
) -> Soak:
    """Return the soak that was asked for.

    Args:
        interval_s: None for one that fits the bake time.
        known: The criteria with what the operator changed.

    Raises:
        InvalidInput: It would never look, or what is to happen on a NO-GO is unknown.
    """
    interval_s = interval_s or min(_LONGEST_INTERVAL_S, bake_s / _LOOKS)
    if interval_s > bake_s:
        raise InvalidInput(
            f"--soak-interval {show_duration(interval_s)}: longer than the bake time of "
            f"{show_duration(bake_s)}"
        )
    if on_no_go not in tuple(OnNoGo):
        raise InvalidInput(f"--on-no-go {on_no_go}: unknown; there is: {', '.join(OnNoGo)}")
    asked = [_fitted(known[name], bake_s) for name in SOAKED]
    asked += [known.get(SYNTHETIC, _OWN)] if offer.requests else []
    names = {one.criterion for one in waivers}
    kept = tuple(replace(c, mode=Mode.OBSERVE) if c.id in names else c for c in asked)
    return Soak(bake_s, interval_s, OnNoGo(on_no_go), kept, waivers, offer)


def _fitted(criterion: Criterion, bake_s: float) -> Criterion:
    """Return the criterion as a soak asks it: its budget is for the bake time, if it has one."""
    if criterion.id in GUARDS and criterion == criteria.CRITERIA[criterion.id]:
        return replace(criterion, mode=Mode.OBSERVE if criterion.id == GAPS else Mode.GUARD)
    return replace(criterion, window_s=bake_s) if criterion.kind is Kind.OUTAGE else criterion
