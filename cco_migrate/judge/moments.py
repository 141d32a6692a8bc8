"""Number, mean and spread of measurements, and how far the true mean may be from theirs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cco_migrate.judge.distributions import student_quantile
from cco_migrate.judge.terms import Form

TUNED_AT = 500
"""Samples at which the anytime interval is shortest; it holds at any number."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sufficient statistics of a mean.

    Attributes:
        squares: Sum of squared deviations from the mean.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Moments:
        """Return the moments of values."""
        given = tuple(values)
        if not given:
            return cls()
        mean = math.fsum(given) / len(given)
        return cls(len(given), mean, math.fsum((value - mean) ** 2 for value in given))

    @classmethod
    def of_logs(cls, values: Iterable[float]) -> Moments:
        """Return the moments of the logarithms of positive values; raises ValueError for others."""
        return cls.of(math.log(value) for value in values)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together."""
        n = self.n + other.n
        if not n:
            return self
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart * apart * self.n * other.n / n
        return Moments(n, self.mean + apart * other.n / n, squares)

    @property
    def variance(self) -> float:
        """Variance of one value, unbiased; nan below two values."""
        return self.squares / (self.n - 1) if self.n > 1 else math.nan

    @property
    def variance_of_mean(self) -> float:
        """Variance of the mean; nan below two values."""
        return self.variance / self.n if self.n > 1 else math.nan


def radius_factor(alpha: float, form: Form, n: float, df: float) -> float:
    """Return how many standard errors the true mean may be away on one side.

    One look: Student's t. Any number of looks: the asymptotic confidence sequence of Waudby-Smith
    and others ("Time-uniform central limit theory", 2021), half of its error on each side.

    Args:
        n: Samples, of each arm where two are compared.
        df: Degrees of freedom; used for one look.
    """
    if form is Form.FIXED:
        return student_quantile(alpha, df)
    both = 2 * alpha
    tuning = (-2 * math.log(both) + math.log(-2 * math.log(both) + 1)) / TUNED_AT
    t = n * tuning + 1
    return math.sqrt(2 * t / (n * tuning) * math.log(math.sqrt(t) / both))
