"""Wald's sequential test between a good and a bad rate, for operators who name both. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cco_migrate.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Sprt:
    """Decides between two rates; what lies between them it may decide either way.

    Attributes:
        good: The rate that must be let through.
        bad: The rate that must be stopped, more than `good`.
        alpha: Probability to stop the good rate.
        beta: Probability to let the bad rate through.
    """

    good: float
    bad: float
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.good < self.bad < 1:
            raise ValueError(f"good {self.good}, bad {self.bad}: need 0 < good < bad < 1")

    @property
    def per_failure(self) -> float:
        """What one failure adds to the log-likelihood ratio."""
        return math.log(self.bad / self.good)

    @property
    def per_success(self) -> float:
        """What one success adds, a negative number."""
        return math.log((1 - self.bad) / (1 - self.good))

    @property
    def limits(self) -> tuple[float, float]:
        """Log-likelihood ratios at which the good and the bad rate are accepted."""
        return math.log(self.beta / (1 - self.alpha)), math.log((1 - self.beta) / self.alpha)

    def decide(self, k: int, n: int) -> Verdict:
        """Return the verdict on k failures of n, looked at after every request."""
        low, high = self.limits
        score = k * self.per_failure + (n - k) * self.per_success
        if score >= high:
            return Verdict.NO_GO
        return Verdict.GO if score <= low else Verdict.INCONCLUSIVE

    def expected_trials(self, *, good: bool) -> float:
        """Return the expected number of requests (Wald) at the good or at the bad rate."""
        rate, chance_low = (self.good, 1 - self.alpha) if good else (self.bad, self.beta)
        low, high = self.limits
        drift = rate * self.per_failure + (1 - rate) * self.per_success
        return (chance_low * low + (1 - chance_low) * high) / drift
