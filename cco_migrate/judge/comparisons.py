"""Tests of a few windows of the new path against a few of the old; they can prove NO-GO only. Pure.

Never GO: what cannot be shown to be worse is not thereby shown to be as good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cco_migrate.judge.distributions import log_beta_tails
from cco_migrate.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a test of two samples says.

    Attributes:
        p_value: Probability of evidence at least as bad when nothing changed.
    """

    verdict: Verdict
    p_value: float


def compare_windows(
    old: Sequence[float], new: Sequence[float], limit: float, alpha: float
) -> Comparison:
    """Compare how many windows exceed a limit, by Fisher's exact test."""
    bad_old, bad_new = (sum(value > limit for value in arm) for arm in (old, new))
    return _worse(fisher_p(bad_old, len(old), bad_new, len(new)), alpha)


def compare_counts(old: Sequence[int], new: Sequence[int], alpha: float) -> Comparison:
    """Compare events of windows of one length, by the conditional Poisson test."""
    share = len(new) / (len(old) + len(new))
    return _worse(poisson_p(sum(old), sum(new), share), alpha)


def compare_ranks(windows_old: int, windows_new: int, p_value: float, alpha: float) -> Comparison:
    """Judge a two-sided Mann-Whitney test; INCONCLUSIVE where so few windows could never fail."""
    if smallest_rank_p(windows_old, windows_new) > alpha:
        return Comparison(Verdict.INCONCLUSIVE, p_value)
    return _worse(p_value, alpha)


def fisher_p(bad_old: int, n_old: int, bad_new: int, n_new: int) -> float:
    """Return the one-sided p-value of "new is worse" in a table of two by two."""
    bad, total = bad_old + bad_new, n_old + n_new
    ways = sum(
        math.comb(n_new, k) * math.comb(n_old, bad - k) for k in range(bad_new, min(bad, n_new) + 1)
    )
    return ways / math.comb(total, bad)


def poisson_p(old: int, new: int, share: float) -> float:
    """Return the one-sided p-value of "new is worse" for counts.

    Args:
        share: Of the exposure that is the new side's.
    """
    return math.exp(log_beta_tails(new, old + 1, share)[0]) if new else 1.0


def smallest_rank_p(n_old: int, n_new: int) -> float:
    """Return the smallest two-sided p-value a Mann-Whitney test of so many windows can give."""
    return 2 / math.comb(n_old + n_new, n_old)


def _worse(p_value: float, alpha: float) -> Comparison:
    return Comparison(Verdict.NO_GO if p_value <= alpha else Verdict.INCONCLUSIVE, p_value)
