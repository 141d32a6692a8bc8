"""What k of n says about a rate: for one declared look, and for any number of looks. Pure.

One look: Clopper-Pearson. Any number: an e-process, the likelihood averaged over the alternative
divided by that of the bound. While the truth is on the bound's side it is a supermartingale, so by
Ville's inequality it ever reaches 1/α with probability α at most, however often somebody looks.
Counts may be fractions: correlated requests count as less than one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from cco_migrate.judge.distributions import (
    beta_quantile,
    log_beta_density,
    log_beta_tails,
    normal_quantile,
)
from cco_migrate.judge.search import first_true_from
from cco_migrate.judge.terms import Form


def exact_lower(k: float, n: float, alpha: float) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a rate; 0 without a failure."""
    return beta_quantile(alpha, k, n - k + 1) if k else 0.0


def exact_upper(k: float, n: float, alpha: float) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a rate; 1 when everything failed."""
    return beta_quantile(alpha, k + 1, n - k, upper=True) if k < n else 1.0


def wilson(k: float, n: float, alpha: float) -> tuple[float, float]:
    """Return Wilson's interval with `alpha` on each side: for display, too short to judge by."""
    z = normal_quantile(alpha)
    centre, shrink = (k + z * z / 2) / n, 1 + z * z / n
    radius = z / n * math.sqrt(k * (n - k) / n + z * z / 4)
    return max((centre - radius) / shrink, 0.0), min((centre + radius) / shrink, 1.0)


def log_e_above(k: float, n: float, p0: float) -> float:
    """Return the log e-value against "the rate is at most p0"."""
    _, upper = log_beta_tails(k + 1, n - k + 1, p0)
    return upper + math.log(p0) - log_beta_density(k + 1, n - k + 1, p0)


def log_e_below(k: float, n: float, p0: float) -> float:
    """Return the log e-value against "the rate is at least p0"."""
    lower, _ = log_beta_tails(k + 1, n - k + 1, p0)
    return lower + math.log1p(-p0) - log_beta_density(k + 1, n - k + 1, p0)


def anytime_lower(k: float, n: float, alpha: float) -> float:
    """Return the lower bound of a rate that holds at all times at once, with error alpha."""
    if not k:
        return 0.0
    return _crossing(lambda p: log_e_above(k, n, p) < -math.log(alpha), 0.0, k / n)


def anytime_upper(k: float, n: float, alpha: float) -> float:
    """Return the upper bound of a rate that holds at all times at once, with error alpha."""
    if k >= n:
        return 1.0
    return _crossing(lambda p: log_e_below(k, n, p) >= -math.log(alpha), k / n, 1.0)


def proves_below(k: float, n: float, p0: float, alpha: float, form: Form) -> bool:
    """Return whether k of n proves a rate below p0; cheaper than the bound itself."""
    if not n or k >= n:
        return False
    if form is Form.ANYTIME:
        return log_e_below(k, n, p0) >= -math.log(alpha)
    # UCB < p0 exactly when P(Binomial(n, p0) ≤ k) < α.
    return log_beta_tails(k + 1, n - k, p0)[1] < math.log(alpha)


def proves_above(k: float, n: float, p0: float, alpha: float, form: Form) -> bool:
    """Return whether k of n proves a rate above p0; cheaper than the bound itself."""
    if not k:
        return False
    if form is Form.ANYTIME:
        return log_e_above(k, n, p0) >= -math.log(alpha)
    return log_beta_tails(k, n - k + 1, p0)[0] < math.log(alpha)


def trials_to_prove_below(k: float, p0: float, alpha: float, form: Form) -> int:
    """Return the least n at which k failures prove a rate below p0."""
    return first_true_from(lambda n: proves_below(k, n, p0, alpha, form), max(math.ceil(k), 1))


def trials_that_prove_above(k: int, p0: float, alpha: float, form: Form) -> int | None:
    """Return the largest n at which k failures prove a rate above p0; None when no n does."""
    first_not = first_true_from(lambda n: not proves_above(k, n, p0, alpha, form), max(k, 1))
    return first_not - 1 if first_not > max(k, 1) else None


def _crossing(inside: Callable[[float], bool], low: float, high: float) -> float:
    """Return where `inside` turns from false to true between low and high, from the outside."""
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if inside(middle) else (middle, high)
    return low
