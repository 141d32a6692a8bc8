"""Requests that failed, of those that were made. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cco_migrate.judge import binomial
from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Form, Terms

MAX_ABORTED_SHARE = 0.05
"""Share of requests that clients may end themselves before a person has to look at it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that ended in a stretch of time; retries of one request count once.

    Attributes:
        begin: Where the stretch begins, on a scale that only grows, e.g. milliseconds or a row id.
        end: Where it ends, exclusive.
        k: Requests of the counted kind: failures, or hits where more is better.
        n: Requests that succeeded or failed.
        aborted: Requests that ended by the client's doing: neither of the two.
    """

    begin: int
    end: int
    k: int
    n: int
    aborted: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.k <= self.n and self.aborted >= 0 and self.begin < self.end):
            raise ValueError(f"{self}: not a count of requests")


@dataclass(frozen=True, slots=True)
class Rate:
    """The counts of a whole window; what the journal keeps, so that a resumed soak goes on.

    Attributes:
        through: End of the last batch that was counted; None before the first.
        design_effect: How many requests of a correlated burst say as much as one; at least 1.
    """

    k: int = 0
    n: int = 0
    aborted: int = 0
    through: int | None = None
    design_effect: float = 1.0

    def __post_init__(self) -> None:
        counted = 0 <= self.k <= self.n and self.aborted >= 0
        if not counted or not self.design_effect >= 1:
            raise ValueError(f"{self}: not a count of requests")

    def add(self, batch: Batch) -> Rate:
        """Return the counts with a batch; unchanged when it was counted before.

        Raises:
            ValueError: The batch overlaps what was counted, so that requests would count twice.
        """
        if self.through is not None and batch.end <= self.through:
            return self
        if self.through is not None and batch.begin < self.through:
            raise ValueError(
                f"batch {batch.begin}..{batch.end} overlaps what is counted up to {self.through}"
            )
        return replace(
            self,
            k=self.k + batch.k,
            n=self.n + batch.n,
            aborted=self.aborted + batch.aborted,
            through=batch.end,
        )

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the interval of the rate by the terms; Wilson's two-sided 95 % is shown beside."""
        said = f"{self.k} of {self.n} requests" + (f" ({self.k / self.n:.2%})" if self.n else "")
        if not self.n:
            return Estimate(0, 0.0, 1.0, said, k=self.k)
        k, n = self.k / self.design_effect, self.n / self.design_effect
        below, above = terms.sides(at_least=criterion.bounds.at_least)
        anytime = terms.form is Form.ANYTIME
        lower = binomial.anytime_lower if anytime else binomial.exact_lower
        upper = binomial.anytime_upper if anytime else binomial.exact_upper
        aborted = self.aborted / (self.aborted + self.n)
        many = f"{aborted:.1%} of the requests ended by their clients' doing"
        return Estimate(
            self.n,
            lower(k, n, below),
            upper(k, n, above),
            said,
            k=self.k,
            lacking=self._lacking(criterion, terms),
            reservation=many if aborted > MAX_ABORTED_SHARE else "",
            facts={
                "aborted": self.aborted,
                "design_effect": self.design_effect,
                "wilson": list(binomial.wilson(k, n, 0.025)),
            },
        )

    def _lacking(self, criterion: Criterion, terms: Terms) -> str:
        bounds, bad = criterion.bounds, self.k
        if bounds.go is None:
            return ""
        p0, wanted = bounds.go, "without a failure"
        if bounds.at_least:
            p0, bad, wanted = 1 - p0, self.n - self.k, "of the wanted kind"
        enough = binomial.trials_to_prove_below(
            bad / self.design_effect, p0, terms.alpha, terms.form
        )
        more = math.ceil(enough * self.design_effect) - self.n
        return f"{more} more {wanted} would be GO" if more > 0 else ""


def design_effect(blocks: tuple[tuple[int, int], ...]) -> float:
    """Return how correlated the failures of requests in one block of time are; at least 1.

    The variance of the blocks' failures around the common rate, over that of independent requests.

    Args:
        blocks: Failures and requests of each block, e.g. of each minute.
    """
    k, n = sum(block[0] for block in blocks), sum(block[1] for block in blocks)
    counted = [block for block in blocks if block[1]]
    if len(counted) < 2 or not 0 < k < n:
        return 1.0
    rate = k / n
    spread = math.fsum((failed - rate * made) ** 2 for failed, made in counted)
    independent = n * rate * (1 - rate) * (len(counted) - 1) / len(counted)
    return max(spread / independent, 1.0)
