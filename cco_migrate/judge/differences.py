"""New failure rate minus old, where a cause upstream hits both alike. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cco_migrate.judge.binomial import anytime_lower, anytime_upper, wilson
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Form, Terms


@dataclass(frozen=True, slots=True)
class RateDifference:
    """Failures and requests of the same time on both paths."""

    old: tuple[int, int]
    new: tuple[int, int]

    def __post_init__(self) -> None:
        if not all(0 <= k <= n for k, n in (self.old, self.new)):
            raise ValueError(f"{self}: not counts of requests")

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the interval of the new rate minus the old; n is that of the new path."""
        (old_k, old_n), (new_k, new_n) = self.old, self.new
        said = f"{new_k} of {new_n} against {old_k} of {old_n} requests"
        if not old_n or not new_n:
            why = "there is no baseline to compare with" if new_n else ""
            return Estimate(new_n, -1.0, 1.0, said, k=new_k, obstacle=why)
        below, above = terms.sides(at_least=criterion.bounds.at_least)
        interval = anytime_difference if terms.form is Form.ANYTIME else newcombe
        low, high = interval(self.old, self.new, below)[0], interval(self.old, self.new, above)[1]
        shift = new_k / new_n - old_k / old_n
        return Estimate(
            new_n, low, high, f"{said} ({shift:+.1%})", k=new_k, facts={"difference": shift}
        )


def newcombe(old: tuple[int, int], new: tuple[int, int], alpha: float) -> tuple[float, float]:
    """Return Newcombe's interval of the new rate minus the old, `alpha` on each side, for one look.

    Args:
        old: Failures and requests of the old path; at least one request.
        new: The same of the new path.
    """
    (old_low, old_high), (new_low, new_high) = (wilson(k, n, alpha) for k, n in (old, new))
    old_rate, new_rate = old[0] / old[1], new[0] / new[1]
    shift = new_rate - old_rate
    return (
        shift - math.hypot(new_rate - new_low, old_high - old_rate),
        shift + math.hypot(new_high - new_rate, old_rate - old_low),
    )


def anytime_difference(
    old: tuple[int, int], new: tuple[int, int], alpha: float
) -> tuple[float, float]:
    """Return an interval that holds at all times at once: each path's own, with half the error."""
    half = alpha / 2
    return (
        anytime_lower(*new, half) - anytime_upper(*old, half),
        anytime_upper(*new, half) - anytime_lower(*old, half),
    )
