"""What a gate asks: one question with its bounds, frozen before the first sample. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from cco_migrate.verdict import Verdict


class Kind(StrEnum):
    """What a criterion measures, and so which evidence answers it."""

    RATE = "rate"
    DIFFERENCE = "difference"
    POPULATION = "population"
    OUTAGE = "outage"
    RATIO = "ratio"
    MEAN = "mean"
    RECORDS = "records"
    CHARGES = "charges"
    INVARIANT = "invariant"
    COUNT = "count"
    ATTESTATION = "attestation"

    @property
    def statistical(self) -> bool:
        """Whether chance can make it say NO-GO, so that it shares alpha with its like."""
        return self in _STATISTICAL


_STATISTICAL = frozenset({Kind.RATE, Kind.DIFFERENCE, Kind.POPULATION, Kind.RATIO, Kind.MEAN})
_SHARES = frozenset({Kind.RATE, Kind.POPULATION, Kind.OUTAGE})


class Mode(StrEnum):
    """Whether a verdict counts for the gate or is only shown."""

    ENFORCE = "enforce"
    GUARD = "guard"  # a proved NO-GO counts; GO does not wait for it
    OBSERVE = "observe"


class Traffic(StrEnum):
    """Which requests are counted; the two are never mixed."""

    REAL = "real"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a quantity is held against.

    Attributes:
        go: GO once the quantity is proved to be no worse; None when it can never say GO.
        no_go: NO-GO once it is proved to be worse; None when it can never say NO-GO.
        at_least: Whether more is better. Between two bounds a person decides.
    """

    go: float | None
    no_go: float | None
    at_least: bool = False

    def __post_init__(self) -> None:
        if self.go is None and self.no_go is None:
            raise ValueError("a criterion without bounds decides nothing: give go, no_go or both")
        given = [bound for bound in (self.go, self.no_go) if bound is not None]
        if not all(math.isfinite(bound) for bound in given):
            raise ValueError("bounds must be finite numbers")
        ordered = given if not self.at_least else given[::-1]
        if ordered != sorted(ordered):
            side = "below" if self.at_least else "above"
            raise ValueError(f"no_go {self.no_go:g} must not lie {_other(side)} go {self.go:g}")

    def decide(self, low: float, high: float) -> Verdict:
        """Return the verdict on a quantity that is proved to lie in [low, high]."""
        if self.at_least:
            mirrored = Bounds(_negated(self.go), _negated(self.no_go))
            return mirrored.decide(-high, -low)
        if self.no_go is not None and low > self.no_go:
            return Verdict.NO_GO
        if self.go is None:
            return Verdict.INCONCLUSIVE
        if high <= self.go:
            return Verdict.GO
        grey = self.no_go is not None and self.go <= low and high <= self.no_go
        return Verdict.HOLD if grey else Verdict.INCONCLUSIVE

    def margin(self, low: float, high: float) -> float | None:
        """Return how far [low, high] is on the good side of `go`; negative when it is not.

        None when the criterion has no bound that could say GO.
        """
        if self.go is None:
            return None
        return low - self.go if self.at_least else self.go - high


@dataclass(frozen=True, slots=True)
class Criterion:
    """One question of a gate.

    Attributes:
        id: Stable and unique in the gate, e.g. "error-rate".
        quantity: What is measured, named so that nobody can mistake it.
        unit: Of bounds and figures: "share", "ratio", "ms", "requests", …
        source: The document that asks for it.
        staleness_s: Seconds after which evidence is too old to judge by.
        minimum_samples: Fewer say nothing, whatever they look like; at least 1.
        depends_on: Ids of criteria without whose GO this one's evidence cannot be trusted.
        window_s: Length of the window an outage budget is for; None for other kinds.
        counts_planned_work: Whether announced restarts use up an outage budget.
    """

    id: str
    kind: Kind
    bounds: Bounds
    quantity: str
    unit: str
    source: str
    mode: Mode = Mode.ENFORCE
    traffic: Traffic = Traffic.REAL
    staleness_s: float = 300.0
    minimum_samples: int = 1
    depends_on: tuple[str, ...] = ()
    window_s: float | None = None
    counts_planned_work: bool = True

    def __post_init__(self) -> None:
        if self.minimum_samples < 1 or self.staleness_s <= 0:
            raise ValueError(f"{self.id}: minimum_samples and staleness_s must be positive")
        if (self.window_s is None) is (self.kind is Kind.OUTAGE):
            raise ValueError(f"{self.id}: window_s belongs to every outage budget, and only there")
        given = [bound for bound in (self.bounds.go, self.bounds.no_go) if bound is not None]
        if self.kind in _SHARES and not all(0 < bound < 1 for bound in given):
            raise ValueError(f"{self.id}: bounds are shares between 0 and 1: 5 % is 0.05")
        if self.kind is Kind.RATIO and not all(bound > 0 for bound in given):
            raise ValueError(
                f"{self.id}: bounds are ratios, more than 0: half as much again is 1.5"
            )


def _negated(bound: float | None) -> float | None:
    return None if bound is None else -bound


def _other(side: str) -> str:
    return "above" if side == "below" else "below"
