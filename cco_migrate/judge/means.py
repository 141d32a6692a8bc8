"""Means of a quantity window by window, and what they say about the mean of all. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.moments import Moments, radius_factor
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms


@dataclass(frozen=True, slots=True)
class CumulativeMean:
    """What an endpoint tells that averages over its lifetime."""

    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class WindowMeans:
    """Means of equally long windows, e.g. of one minute each."""

    windows: Moments

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the interval of the mean; one window has no spread and says nothing."""
        windows = self.windows
        said = f"mean {windows.mean:.5g} {criterion.unit} over {windows.n} windows"
        if windows.n < 2:
            why = "one window has no spread" if windows.n else ""
            return Estimate(windows.n, -math.inf, math.inf, said, obstacle=why)
        error, df = math.sqrt(windows.variance_of_mean), windows.n - 1
        below, above = (
            error * radius_factor(alpha, terms.form, windows.n, df)
            for alpha in terms.sides(at_least=criterion.bounds.at_least)
        )
        facts = {"mean": windows.mean}
        return Estimate(windows.n, windows.mean - below, windows.mean + above, said, facts=facts)


def window_mean(before: CumulativeMean, after: CumulativeMean) -> float | None:
    """Return the mean of what happened between two readings; None when nothing did.

    A lifetime average hides the present: 300 ms over 10,000 requests and 320 ms over 10,500 mean
    that the last 500 took 720 ms.

    Raises:
        ValueError: The counter went back: it was reset, and the readings do not belong together.
    """
    made = after.count - before.count
    if made < 0:
        raise ValueError(f"the counter went back from {before.count} to {after.count}")
    return (after.mean * after.count - before.mean * before.count) / made if made else None
