"""New against old of a positive quantity, compared on logarithms stratum by stratum. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.moments import Moments, radius_factor
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms

MAX_UNMATCHED_SHARE = 0.01
"""Share of new samples that may fall into strata the baseline does not have."""


@dataclass(frozen=True, slots=True)
class Arms:
    """Logarithms of one stratum, before and after."""

    old: Moments
    new: Moments

    @property
    def comparable(self) -> bool:
        """Whether both arms have a spread."""
        return self.old.n > 1 and self.new.n > 1


@dataclass(frozen=True, slots=True)
class Ratio:
    """New over old by stratum, e.g. "model, streaming, bucket of tokens".

    Only like is compared with like: a change of the mix alone is no change of the ratio.
    """

    strata: Mapping[str, Arms]

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the interval of the ratio of geometric means; n is that of the new arm."""
        usable = [arms for arms in self.strata.values() if arms.comparable]
        made = sum(arms.new.n for arms in self.strata.values())
        unmatched = made - sum(arms.new.n for arms in usable)
        if not usable:
            why = "there is no baseline to compare with" if made else ""
            return Estimate(made, 0.0, math.inf, f"{made} new samples", obstacle=why)
        shift, variance, df, n = _combined(usable)
        error = math.sqrt(variance)
        below, above = (
            error * radius_factor(alpha, terms.form, n, df)
            for alpha in terms.sides(at_least=criterion.bounds.at_least)
        )
        ratio = math.exp(shift)
        compared = sum(arms.old.n for arms in usable)
        return Estimate(
            made - unmatched,
            math.exp(shift - below),
            math.exp(shift + above),
            f"{ratio:.3f} × the baseline, {made - unmatched} samples against {compared}",
            obstacle=_unmatched(self.strata, unmatched, made),
            facts={
                "ratio": ratio,
                "strata": len(usable),
                "unmatched": unmatched,
                "arms": {name: asdict(arms) for name, arms in self.strata.items()},
            },
        )


def _combined(strata: list[Arms]) -> tuple[float, float, float, float]:
    """Return shift of the mean log, its variance, Welch's degrees of freedom, samples per arm.

    Strata weigh by what they tell: by the harmonic mean of their arms.
    """
    sizes = [2 / (1 / arms.old.n + 1 / arms.new.n) for arms in strata]
    total = math.fsum(sizes)
    shift = variance = spread = 0.0
    for arms, size in zip(strata, sizes, strict=True):
        weight = size / total
        shift += weight * (arms.new.mean - arms.old.mean)
        for arm in (arms.old, arms.new):
            part = weight * weight * arm.variance_of_mean
            variance += part
            spread += part * part / (arm.n - 1)
    return shift, variance, variance * variance / spread if spread else total, total


def _unmatched(strata: Mapping[str, Arms], unmatched: int, made: int) -> str:
    if unmatched <= MAX_UNMATCHED_SHARE * made:
        return ""
    names = sorted(name for name, arms in strata.items() if arms.new.n and not arms.comparable)
    return f"{unmatched} of {made} samples have no baseline: {', '.join(names[:3])}"
