"""Systems of a known number, of which some have been seen: hypergeometric, not binomial. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.search import first_true
from cco_migrate.judge.terms import Form, Terms

_ROUNDING = 1e-9  # 0.05 × 60 in floats may come out just below 3


@dataclass(frozen=True, slots=True)
class Population:
    """What was seen of a population.

    Attributes:
        size: Members in all.
        seen: Members that have been looked at.
        bad: Members of these that count against the criterion.
        only_reports: Whether nobody looks: members report themselves, and silence says nothing.
    """

    size: int
    seen: int
    bad: int
    only_reports: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.seen <= self.size:
            raise ValueError(f"{self}: not a part of a population")

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the share of bad members among all; reports prove a lower bound only."""
        if self.only_reports:
            said = f"{self.bad} of {self.size} reported it"
            # Everybody could have: the population is the sample, and silence proves nothing.
            low = self.bad / self.size if self.size else 0.0
            return Estimate(self.size, low, 1.0, said, k=self.bad)
        said = f"{self.bad} of {self.seen} seen, of {self.size} in all"
        if not self.seen:
            return Estimate(0, 0.0, 1.0, said, k=0)
        below, above = terms.sides(at_least=criterion.bounds.at_least)
        fewest = fewest_bad(self.size, self.seen, self.bad, below, terms.form)
        most = most_bad(self.size, self.seen, self.bad, above, terms.form)
        facts = {"size": self.size, "fewest": fewest, "most": most}
        return Estimate(
            self.seen, fewest / self.size, most / self.size, said, k=self.bad, facts=facts
        )


def fewest_bad(size: int, seen: int, bad: int, alpha: float, form: Form = Form.FIXED) -> int:
    """Return the least number of bad members that `bad` of `seen` does not refute."""
    refuted = _refuter(size, seen, bad, alpha, form)
    return first_true(lambda count: not refuted(count), bad, size - seen + bad)


def most_bad(size: int, seen: int, bad: int, alpha: float, form: Form = Form.FIXED) -> int:
    """Return the largest number of bad members that `bad` of `seen` does not refute."""
    # Seen from the other side: the fewest good members.
    return size - fewest_bad(size, seen, seen - bad, alpha, form)


def clean_to_prove(size: int, share: float, terms: Terms) -> int:
    """Return how many members must be seen, all good, to prove that at most `share` are bad."""
    allowed = math.floor(share * size + _ROUNDING)
    return first_true(
        lambda seen: most_bad(size, seen, 0, terms.alpha, terms.form) <= allowed, 1, size
    )


def _refuter(size: int, seen: int, bad: int, alpha: float, form: Form) -> Callable[[int], bool]:
    """Return the test that a number of bad members is too small for what was seen."""
    limit = math.log(alpha)
    if form is Form.FIXED:
        return lambda count: _log_tail(size, count, seen, bad) < limit
    likely = [_log_chance(size, count, seen, bad) for count in range(size + 1)]
    # The likelihood averaged over all larger numbers, as for rates; summed from the top down.
    larger = [-math.inf] * (size + 1)
    for count in range(size - 1, -1, -1):
        larger[count] = _log_sum([larger[count + 1], likely[count + 1]])
    return lambda count: (
        count < size and larger[count] - math.log(size - count) - likely[count] >= -limit
    )


def _log_tail(size: int, count: int, seen: int, bad: int) -> float:
    return _log_sum([_log_chance(size, count, seen, j) for j in range(bad, seen + 1)])


def _log_chance(size: int, count: int, seen: int, bad: int) -> float:
    """Return the log probability of `bad` among `seen` when `count` of `size` are bad."""
    if not max(0, seen - (size - count)) <= bad <= min(seen, count):
        return -math.inf
    return _log_choose(count, bad) + _log_choose(size - count, seen - bad) - _log_choose(size, seen)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _log_sum(logs: list[float]) -> float:
    top = max(logs)
    return (
        top if top == -math.inf else top + math.log(math.fsum(math.exp(one - top) for one in logs))
    )
