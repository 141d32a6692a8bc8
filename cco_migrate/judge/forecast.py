"""How many samples, and how long, until a criterion can say GO. Pure.

The forecast is what the plan shows before a soak begins, and the live view while it runs. A
sequential test ends early or late by chance: the range says how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cco_migrate.judge.criterion import Criterion, Kind
from cco_migrate.judge.outages import DAY_S
from cco_migrate.judge.populations import clean_to_prove
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.stopping import Samples, rate_samples, samples_to_close
from cco_migrate.judge.terms import Terms


@dataclass(frozen=True, slots=True)
class Assumption:
    """What the forecast takes for granted; it decides nothing.

    Attributes:
        per_day: Samples of the criterion in a day, at the present rate.
        value: The true share, ratio, mean or difference.
        spread: Standard deviation of one value: of a logarithm for a ratio, of a window's mean, of
            new minus old for a difference, which is forecast by its normal approximation.
        population: Members in all; for a population only.
    """

    per_day: float
    value: float = 0.0
    spread: float = 0.0
    population: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a criterion can decide.

    Attributes:
        days: Expected; None when it never can.
        decidable: Whether that is within the soak.
        summary: The sentence a person needs.
    """

    criterion: Criterion
    samples: Samples
    days: float | None
    decidable: bool
    summary: str


def forecast(
    criterion: Criterion,
    assumed: Assumption,
    terms: Terms,
    soak_s: float,
    so_far: Rate | None = None,
) -> Forecast:
    """Return when a criterion can say GO, if the assumption holds.

    Args:
        soak_s: How long the soak may take, from now.
        so_far: What is counted already; for a rate only.
    """
    samples = _samples(criterion, assumed, terms, so_far or Rate())
    days = _days(criterion, samples.expected, assumed)
    decidable = days is not None and days * DAY_S <= soak_s
    summary = _summary(criterion, samples, days, assumed, soak_s)
    return Forecast(criterion, samples, days, decidable, summary)


def _samples(criterion: Criterion, assumed: Assumption, terms: Terms, so_far: Rate) -> Samples:
    bounds, least = criterion.bounds, criterion.minimum_samples
    if criterion.kind is Kind.RATIO and assumed.value <= 0:
        raise ValueError(f"{criterion.id}: a ratio is assumed to be {assumed.value}")
    if bounds.go is None:
        return Samples(None, None, None)
    if criterion.kind is Kind.RATE:
        p0, rate = bounds.go, assumed.value
        if bounds.at_least:
            p0, rate = 1 - p0, 1 - rate
            so_far = Rate(so_far.n - so_far.k, so_far.n)
        found = rate_samples(p0, rate, terms, so_far)
        return _at_least(found, least - so_far.n)
    if criterion.kind is Kind.POPULATION:
        return _same(max(clean_to_prove(assumed.population, bounds.go, terms), least))
    if criterion.kind in (Kind.RATIO, Kind.MEAN, Kind.DIFFERENCE):
        found = Samples(*(_proved(criterion, assumed, terms, power) for power in (0.5, 0.1, 0.9)))
        return _at_least(found, least)
    return _same(least)


def _proved(criterion: Criterion, assumed: Assumption, terms: Terms, power: float) -> int | None:
    go = criterion.bounds.go or 0.0
    ratio = criterion.kind is Kind.RATIO
    gap = math.log(go / assumed.value) if ratio else go - assumed.value
    spread = assumed.spread * (math.sqrt(2) if ratio else 1.0)
    return samples_to_close(-gap if criterion.bounds.at_least else gap, spread, terms, power)


def _same(samples: int) -> Samples:
    return Samples(samples, samples, samples)


def _at_least(samples: Samples, least: int) -> Samples:
    figures = (samples.expected, samples.earliest, samples.latest)
    return Samples(*(None if one is None else max(one, least) for one in figures))


def _days(criterion: Criterion, samples: int | None, assumed: Assumption) -> float | None:
    if samples is None:
        return None
    if criterion.window_s is not None:
        return criterion.window_s / DAY_S
    if not samples:
        return 0.0
    return samples / assumed.per_day if assumed.per_day else None


def _summary(
    criterion: Criterion, samples: Samples, days: float | None, assumed: Assumption, soak_s: float
) -> str:
    soak = soak_s / DAY_S
    if samples.expected is None:
        return f"{criterion.id} cannot say GO as things are assumed to be"
    need = f"{criterion.id} needs {samples.expected} more samples{samples.by_chance}"
    if criterion.window_s is not None:
        need = f"{criterion.id} needs a window of {criterion.window_s / DAY_S:.1f} days"
    if days is not None and days <= soak:
        return f"{need}, {days:.1f} days at the present rate"
    took = "and there are none" if days is None else f"{days:.1f} days at the present rate"
    said = f"{need}, {took}: this gate cannot be decided in your soak window of {soak:.1f} days"
    if criterion.kind is not Kind.RATE or not soak:
        return said
    rate = math.ceil(samples.expected / soak)
    return (
        f"{said}; it takes {rate} requests a day, or {samples.expected} test requests, "
        "which are counted apart from real ones"
    )
