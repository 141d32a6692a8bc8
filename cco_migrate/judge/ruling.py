"""What evidence shows and what follows from it, in figures and in one sentence. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cco_migrate.judge.criterion import Criterion, Mode
from cco_migrate.judge.terms import Terms
from cco_migrate.verdict import Judgement, Verdict

MIN_COVERAGE = 0.99
"""Share of the planned probes that must have been made; a missing probe is unknown, not good."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What evidence proves about a quantity.

    Attributes:
        n: Samples; 0 when there is no evidence at all.
        low: The quantity is at least this, at the error the terms allow; may be -inf.
        high: The quantity is at most this; may be inf.
        said: The evidence in words, e.g. "5 of 100 requests failed".
        k: Samples that count against the criterion; None where nothing is counted.
        obstacle: Why nothing can be concluded yet; empty when something can.
        lacking: What would be enough evidence; empty when nobody can tell.
        reservation: Why a person has to look before a GO; empty when nobody has to.
        restart: Whether the evidence so far has to be thrown away: the window begins anew.
        facts: Further figures by name, JSON values only.
    """

    n: float
    low: float
    high: float
    said: str
    k: float | None = None
    obstacle: str = ""
    lacking: str = ""
    reservation: str = ""
    restart: bool = False
    facts: Mapping[str, object] = field(default_factory=dict)


class Evidence(Protocol):
    """Sufficient statistics of one criterion."""

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return what the samples prove about the criterion's quantity."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What else must hold before evidence may be judged.

    Attributes:
        age_s: Seconds since the newest sample; None when there never was one.
        coverage: Share of the planned probes that were made.
        doubt: Why the evidence cannot be trusted, in words; empty when it can.
    """

    age_s: float | None
    coverage: float = 1.0
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict with everything it rests on.

    Attributes:
        k: Samples that count against the criterion; None where nothing is counted.
        n: Samples; 0 when nothing was measured.
        interval: What the quantity is proved to lie in; None when nothing was measured.
        margin: Distance to the GO bound, negative on the wrong side; None without such a bound.
        terms: The sample plan: form, errors and family, frozen before the first sample.
        age_s: Seconds since the newest sample; None when there never was one.
        summary: The sentence a person needs.
        obstacle: Why the evidence could not be judged; empty when it was.
        restart: Whether the evidence has to begin anew.
    """

    criterion: Criterion
    verdict: Verdict
    summary: str
    k: float | None
    n: float
    interval: tuple[float, float] | None
    margin: float | None
    terms: Terms
    age_s: float | None
    obstacle: str = ""
    restart: bool = False
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def enforced(self) -> bool:
        """Whether the verdict counts for the gate; that of a guard does only as a NO-GO."""
        guards = self.criterion.mode is Mode.GUARD and self.verdict is Verdict.NO_GO
        return guards or self.criterion.mode is Mode.ENFORCE

    @property
    def in_the_way(self) -> bool:
        """Whether the gate cannot be GO with it.

        What can only ever say NO-GO is not in the way as long as it was judged and does not.
        """
        silent = self.criterion.bounds.go is None and not self.obstacle
        return self.verdict is Verdict.NO_GO or (self.verdict is not Verdict.GO and not silent)

    def judgement(self) -> Judgement:
        """Return the ruling as what a check says, its figures as JSON values."""
        low, high = self.interval or (None, None)
        facts: dict[str, object] = {
            "k": self.k,
            "n": self.n,
            "low": _finite(low),
            "high": _finite(high),
            "margin": _finite(self.margin),
            "unit": self.criterion.unit,
            "go": self.criterion.bounds.go,
            "no_go": self.criterion.bounds.no_go,
            "minimum_samples": self.criterion.minimum_samples,
            "form": self.terms.form.value,
            "alpha": self.terms.alpha,
            "alpha_no_go": self.terms.alpha_no_go,
            "age_s": self.age_s,
            "mode": self.criterion.mode.value,
            "restart": self.restart,
        }
        return Judgement(self.criterion.id, self.verdict, self.summary, {**facts, **self.facts})


def unmeasured(criterion: Criterion, terms: Terms, why: str) -> Ruling:
    """Return what follows from no evidence: INCONCLUSIVE, and why there is none."""
    return Ruling(
        criterion,
        Verdict.INCONCLUSIVE,
        f"{criterion.id}: not measured: {why}",
        k=None,
        n=0,
        interval=None,
        margin=None,
        terms=terms,
        age_s=None,
        obstacle=why,
    )


def rule(criterion: Criterion, evidence: Evidence, conditions: Conditions, terms: Terms) -> Ruling:
    """Return the verdict on evidence; what was not GO does not become GO by growing older."""
    estimate = evidence.estimate(criterion, terms)
    obstacle = _obstacle(criterion, estimate, conditions)
    verdict = (
        Verdict.INCONCLUSIVE if obstacle else criterion.bounds.decide(estimate.low, estimate.high)
    )
    if verdict is Verdict.GO and estimate.reservation:
        verdict = Verdict.HOLD
    return Ruling(
        criterion,
        verdict,
        _sentence(criterion, estimate, verdict, obstacle, terms),
        k=estimate.k,
        n=estimate.n,
        interval=(estimate.low, estimate.high),
        margin=criterion.bounds.margin(estimate.low, estimate.high),
        terms=terms,
        age_s=conditions.age_s,
        obstacle=obstacle,
        restart=estimate.restart,
        facts=estimate.facts,
    )


def _obstacle(criterion: Criterion, estimate: Estimate, conditions: Conditions) -> str:
    if conditions.doubt:
        return conditions.doubt
    if not estimate.n or conditions.age_s is None:
        return "there are no samples"
    if conditions.age_s > criterion.staleness_s:
        old, limit = conditions.age_s, criterion.staleness_s
        return f"the newest sample is {old:.0f} s old, the limit is {limit:.0f} s"
    if conditions.coverage < MIN_COVERAGE:
        return f"only {conditions.coverage:.1%} of the planned probes were made"
    if estimate.n < criterion.minimum_samples:
        return f"{estimate.n:g} samples, the plan asks for {criterion.minimum_samples}"
    return estimate.obstacle


def _sentence(
    criterion: Criterion, estimate: Estimate, verdict: Verdict, obstacle: str, terms: Terms
) -> str:
    said = f"{criterion.id}: {estimate.said}"
    if obstacle:
        return f"{said}; nothing follows: {obstacle}"
    if criterion.kind.statistical:
        said += f", {_proved(criterion, estimate, verdict, terms)}"
    match verdict:
        case Verdict.HOLD if estimate.reservation:
            return f"{said}; a person decides: {estimate.reservation}"
        case Verdict.HOLD:
            return f"{said}: between the bounds, a person decides"
        case Verdict.INCONCLUSIVE:
            lacking = f": {estimate.lacking}" if estimate.lacking else ""
            return f"{said}; allowed {_allowed(criterion)}; not enough evidence{lacking}"
        case _:
            return f"{said}; allowed {_allowed(criterion)}"


def _proved(criterion: Criterion, estimate: Estimate, verdict: Verdict, terms: Terms) -> str:
    low, high = (_shown(bound, criterion.unit) for bound in (estimate.low, estimate.high))
    at_least = criterion.bounds.at_least
    match verdict:
        case Verdict.GO:
            side = f"at least {low}" if at_least else f"at most {high}"
            return f"{side} with {_percent(1 - terms.alpha)} confidence"
        case Verdict.NO_GO:
            side = f"at most {high}" if at_least else f"at least {low}"
            return f"{side} with {_percent(1 - terms.alpha_no_go)} confidence"
        case _:
            return f"between {low} and {high}"


def _allowed(criterion: Criterion) -> str:
    bounds, side = criterion.bounds, "at least" if criterion.bounds.at_least else "at most"
    go, no_go = (
        None if bound is None else _shown(bound, criterion.unit)
        for bound in (bounds.go, bounds.no_go)
    )
    if go is None or no_go is None or go == no_go:
        return f"{side} {go or no_go}"
    return f"{side} {go}, rolled back beyond {no_go}"


def _shown(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value * 100:.3g} %"
    return f"{value:.4g}" if unit == "ratio" else f"{value:.5g} {unit}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
