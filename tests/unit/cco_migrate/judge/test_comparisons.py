"""Old and new side by side, and Wald's test between two named rates."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from scipy import stats

from cco_migrate.criteria import CRITERIA
from cco_migrate.judge.comparisons import (
    compare_counts,
    compare_ranks,
    compare_windows,
    fisher_p,
    poisson_p,
    smallest_rank_p,
)
from cco_migrate.judge.criterion import Bounds, Criterion, Kind
from cco_migrate.judge.differences import RateDifference, anytime_difference, newcombe
from cco_migrate.judge.ruling import Conditions, rule
from cco_migrate.judge.sprt import Sprt
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.verdict import Verdict

FIXED, ANYTIME = Terms(Form.FIXED), Terms(Form.ANYTIME)


@pytest.fixture
def worse() -> Criterion:
    """Streaming may fail at most five points more often than on the old path."""
    known = CRITERIA["streaming-failures"]
    return replace(known, kind=Kind.DIFFERENCE, bounds=Bounds(0.05, 0.05), depends_on=())


@pytest.mark.parametrize(
    ("old", "new", "interval", "verdict"),
    [
        ((8, 100), (12, 100), (-0.031, 0.112), Verdict.INCONCLUSIVE),
        ((10, 500), (60, 500), (0.0745, 0.127), Verdict.NO_GO),
        ((10, 5000), (10, 5000), (-0.0015, 0.0015), Verdict.GO),
        ((0, 0), (10, 50), (-1.0, 1.0), Verdict.INCONCLUSIVE),
        ((0, 10), (0, 0), (-1.0, 1.0), Verdict.INCONCLUSIVE),
    ],
)
def test_difference_gives_the_published_verdict(
    old: tuple[int, int],
    new: tuple[int, int],
    interval: tuple[float, float],
    verdict: Verdict,
    worse: Criterion,
    fresh: Conditions,
) -> None:
    ruling = rule(worse, RateDifference(old, new), fresh, FIXED)
    assert ruling.interval == pytest.approx(interval, abs=5e-4)
    assert ruling.verdict is verdict


def test_causes_upstream_hit_both_paths_alike(worse: Criterion, fresh: Conditions) -> None:
    ruling = rule(worse, RateDifference((900, 3000), (905, 3000)), fresh, ANYTIME)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert rule(worse, RateDifference((300, 30_000), (310, 30_000)), fresh, ANYTIME).verdict is (
        Verdict.GO
    )


def test_looking_at_any_time_costs_width() -> None:
    old, new = (8, 100), (12, 100)
    once, always = newcombe(old, new, 0.05), anytime_difference(old, new, 0.05)
    assert always[0] < once[0] < once[1] < always[1]


def test_impossible_difference_is_refused() -> None:
    with pytest.raises(ValueError, match="not counts of requests"):
        RateDifference((2, 1), (0, 1))


def test_windows_that_exceed_the_old_ones_are_no_go() -> None:
    found = compare_windows([1] * 10, [100] * 7 + [1] * 3, limit=1, alpha=0.05)
    assert (found.verdict, round(found.p_value, 5)) == (Verdict.NO_GO, 0.00155)


@pytest.mark.parametrize(
    ("old", "new", "p_value", "verdict"),
    [
        ((0,) * 6, (0, 1, 2, 1, 0, 0), 0.0625, Verdict.INCONCLUSIVE),
        ((0,) * 5, (1, 4, 2, 3, 1), 0.00049, Verdict.NO_GO),
        ((0,) * 5, (0,) * 5, 1.0, Verdict.INCONCLUSIVE),
    ],
)
def test_rare_events_are_compared_by_their_sum(
    old: tuple[int, ...], new: tuple[int, ...], p_value: float, verdict: Verdict
) -> None:
    found = compare_counts(old, new, alpha=0.05)
    assert (round(found.p_value, 5), found.verdict) == (p_value, verdict)


def test_too_few_windows_for_a_rank_test_are_inconclusive() -> None:
    assert round(smallest_rank_p(4, 4), 4) == 0.0286
    assert round(smallest_rank_p(5, 5), 4) == 0.0079
    assert compare_ranks(4, 4, 0.0286, 0.02).verdict is Verdict.INCONCLUSIVE
    assert compare_ranks(5, 5, 0.0079, 0.02).verdict is Verdict.NO_GO
    assert compare_ranks(5, 5, 0.5, 0.02).verdict is Verdict.INCONCLUSIVE


def test_p_values_agree_with_scipy() -> None:
    drawn = random.Random(8)
    for _ in range(100):
        n_old, n_new = drawn.randint(1, 30), drawn.randint(1, 30)
        old, new = drawn.randint(0, n_old), drawn.randint(0, n_new)
        table = [[new, n_new - new], [old, n_old - old]]
        exact = stats.fisher_exact(table, alternative="greater")
        assert fisher_p(old, n_old, new, n_new) == pytest.approx(exact.pvalue)
        share = drawn.uniform(0.1, 0.9)
        tail = stats.binom.sf(new - 1, old + new, share)
        assert poisson_p(old, new, share) == pytest.approx(tail)


@pytest.mark.parametrize(
    ("good", "bad", "steps", "clean", "expected"),
    [
        (0.02, 0.10, (1.6094, -0.0852), 35, (52, 31)),
        (0.0005, 0.002, (1.3863, -0.0015), 1961, (3280, 2081)),
        (0.0005, 0.001, (0.6931, -0.0005), 5885, (17_258, 13_711)),
    ],
)
def test_sequential_test_between_two_rates_is_the_published_one(
    good: float,
    bad: float,
    steps: tuple[float, float],
    clean: int,
    expected: tuple[int, int],
) -> None:
    test = Sprt(good, bad)
    assert (test.per_failure, test.per_success) == pytest.approx(steps, abs=5e-5)
    assert test.limits == pytest.approx((-2.9444, 2.9444), abs=5e-5)
    assert test.decide(0, clean - 1) is Verdict.INCONCLUSIVE
    assert test.decide(0, clean) is Verdict.GO
    assert tuple(round(test.expected_trials(good=which)) for which in (True, False)) == expected


def test_two_straight_failures_stop_a_rate_of_ten_percent() -> None:
    assert Sprt(0.02, 0.10).decide(1, 1) is Verdict.INCONCLUSIVE
    assert Sprt(0.02, 0.10).decide(2, 2) is Verdict.NO_GO


def test_rates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="need 0 < good < bad < 1"):
        Sprt(0.1, 0.02)
