"""How many samples a test takes until it says GO, and how much chance has to do with it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cco_migrate.judge import binomial
from cco_migrate.judge.distributions import normal_quantile
from cco_migrate.judge.moments import radius_factor
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.search import first_true_from
from cco_migrate.judge.terms import Form, Terms

_MAX_STEPS = 150  # failures more than the evidence has now; beyond, it takes too long to matter
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True, slots=True)
class Samples:
    """How many samples it takes; None where it is too many to be of use.

    Attributes:
        expected: As many or fewer in half of all cases.
        earliest: As many or fewer in a tenth.
        latest: As many or fewer in nine tenths.
    """

    expected: int | None
    earliest: int | None
    latest: int | None

    @property
    def by_chance(self) -> str:
        """How far chance may move it, in words; empty where it cannot, or nobody can tell."""
        if self.expected is None or self.earliest == self.latest:
            return ""
        latest = "many more" if self.latest is None else str(self.latest)
        return f" ({self.earliest} to {latest} by chance)"


def rate_samples(p0: float, rate: float, terms: Terms, so_far: Rate | None = None) -> Samples:
    """Return how many more requests prove a failure rate below p0, when it truly is `rate`."""
    have = so_far or Rate()
    if rate >= p0:
        return Samples(None, None, None)  # GO would be an error
    if terms.form is Form.FIXED:
        looks = (_first_powerful(p0, rate, terms, chance) for chance in (0.5, 0.1, 0.9))
        return Samples(*(None if n is None else max(n - have.n, 0) for n in looks))
    found: dict[float, int] = {}
    for n, chance in _stopping_times(p0, rate, terms, have):
        for quantile in (0.1, 0.5, 0.9):
            if chance >= quantile - _NEGLIGIBLE:
                found.setdefault(quantile, n)
        if chance >= 0.9:
            break
    return Samples(found.get(0.5), found.get(0.1), found.get(0.9))


def trials_for_power(p0: float, rate: float, terms: Terms, power: float) -> int | None:
    """Return the least n at which one look says GO with probability `power`; None beyond reach.

    Between two numbers of failures more requests only make them likelier: the first request at
    which a number is allowed is the best for it.
    """
    return _first_powerful(p0, rate, Terms(Form.FIXED, terms.alpha), power)


def pairs_to_prove(gap: float, spread: float, terms: Terms, power: float) -> int | None:
    """Return the samples per arm that prove a mean of logarithms, `gap` away from its bound.

    Args:
        gap: Distance of the true log-ratio from the bound; None is returned unless positive.
        spread: Standard deviation of the logarithms, the same in both arms.
        power: Probability that so many suffice.
    """
    return samples_to_close(gap, spread * math.sqrt(2), terms, power)


def samples_to_close(gap: float, spread: float, terms: Terms, power: float) -> int | None:
    """Return the samples that prove a mean of values of some spread, `gap` away from its bound."""
    if gap <= 0:
        return None
    luck = -normal_quantile(power)  # so many standard errors is the estimate nearer to the bound

    def enough(n: int) -> bool:
        once, looked = normal_quantile(terms.alpha), terms.form is Form.ANYTIME
        factor = radius_factor(terms.alpha, terms.form, n, n) if looked else once
        return (factor + luck) * spread <= gap * math.sqrt(n)

    return first_true_from(enough, 2)


def _stopping_times(
    p0: float, rate: float, terms: Terms, have: Rate
) -> Iterator[tuple[int, float]]:
    """Yield how many more requests may end the test, and the probability that so many suffice.

    It can only end where a number of failures begins to be few enough: exact, by the distribution
    of the failures of the runs that go on.
    """
    going_on, ended, at = [1.0], 0.0, have.n
    for failures, n in _grid(p0, terms, have):
        going_on = _convolved(going_on, n - at, rate)
        few = failures - have.k + 1
        ended += math.fsum(going_on[:few])
        going_on, at = [0.0] * few + going_on[few:], n
        yield n - have.n, ended


def _grid(p0: float, terms: Terms, have: Rate) -> Iterator[tuple[int, int]]:
    """Yield (failures, least n at which they leave the rate proved), from what there is now."""
    for failures in range(have.k, have.k + _MAX_STEPS):
        n = binomial.trials_to_prove_below(failures, p0, terms.alpha, terms.form)
        yield failures, max(n, have.n)


def _first_powerful(p0: float, rate: float, terms: Terms, power: float) -> int | None:
    for failures, n in _grid(p0, terms, Rate()):
        if math.fsum(_chances(n, rate, failures)) >= power:
            return n
    return None


def _convolved(known: list[float], trials: int, rate: float) -> list[float]:
    """Return the distribution of failures after more trials."""
    added = _chances(trials, rate, None)
    total = [0.0] * (len(known) + len(added) - 1)
    for i, weight in enumerate(known):
        if weight > _NEGLIGIBLE:
            for j, chance in enumerate(added, i):
                total[j] += weight * chance
    return total


def _chances(n: int, rate: float, last: int | None) -> list[float]:
    """Return P(0), P(1), … of a binomial, up to `last` or to where the rest is negligible."""
    if not rate or not n:
        return [1.0]
    chances: list[float] = []
    for k in range((n if last is None else min(n, last)) + 1):
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        chances.append(math.exp(ways + k * math.log(rate) + (n - k) * math.log1p(-rate)))
        if k > n * rate and chances[-1] < _NEGLIGIBLE:
            break
    return chances
