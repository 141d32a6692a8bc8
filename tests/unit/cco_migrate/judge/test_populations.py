"""Shares of a fleet and of users: known numbers, of which some have been seen."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from scipy import stats

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.populations import Population, clean_to_prove, fewest_bad, most_bad
from cco_migrate.judge.ruling import Conditions, rule
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.verdict import Verdict

Alone = Callable[..., Criterion]
FIXED = Terms(Form.FIXED)


@pytest.mark.parametrize(
    ("population", "verdict"),
    [
        (Population(19, 19, 1), Verdict.NO_GO),
        (Population(19, 1, 1), Verdict.NO_GO),
        (Population(20, 20, 1), Verdict.GO),
        (Population(40, 40, 2), Verdict.GO),
        (Population(40, 40, 3), Verdict.NO_GO),
        (Population(100, 96, 1), Verdict.GO),
        (Population(100, 30, 4), Verdict.NO_GO),
        (Population(100, 20, 3), Verdict.INCONCLUSIVE),
        (Population(100, 39, 0), Verdict.GO),
        (Population(100, 38, 0), Verdict.INCONCLUSIVE),
        (Population(12, 6, 0), Verdict.INCONCLUSIVE),
        (Population(12, 0, 0), Verdict.INCONCLUSIVE),
    ],
)
def test_fleet_gives_the_published_verdict(
    population: Population, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    assert rule(alone("start-failures"), population, fresh, FIXED).verdict is verdict


def test_bounds_are_the_published_ones() -> None:
    assert fewest_bad(100, 30, 4, 0.05) == 6
    assert fewest_bad(100, 20, 3, 0.05) == 5
    assert most_bad(100, 39, 0, 0.05) == 5
    assert most_bad(12, 6, 0, 0.05) == 3


@pytest.mark.parametrize(
    ("size", "hosts"), [(20, 16), (40, 25), (60, 31), (100, 39), (200, 47), (1000, 56)]
)
def test_clean_hosts_needed_are_the_published_ones(size: int, hosts: int) -> None:
    assert clean_to_prove(size, 0.05, FIXED) == hosts


@pytest.mark.parametrize("form", list(Form))
def test_bounds_are_certain_when_all_have_been_seen(form: Form) -> None:
    for bad in range(8):
        assert fewest_bad(7, 7, bad, 0.05, form) == most_bad(7, 7, bad, 0.05, form) == bad


def test_fixed_bounds_agree_with_scipy() -> None:
    drawn = random.Random(5)
    for _ in range(300):
        size = drawn.randint(1, 300)
        count, seen = drawn.randint(0, size), drawn.randint(1, size)
        bad = int(stats.hypergeom.rvs(size, count, seen, random_state=drawn.randint(0, 9999)))
        fewest, most = fewest_bad(size, seen, bad, 0.05), most_bad(size, seen, bad, 0.05)
        assert stats.hypergeom.sf(bad - 1, size, fewest, seen) >= 0.05
        assert fewest == bad or stats.hypergeom.sf(bad - 1, size, fewest - 1, seen) < 0.05
        assert stats.hypergeom.cdf(bad, size, most, seen) >= 0.05
        last = size - seen + bad
        assert most == last or stats.hypergeom.cdf(bad, size, most + 1, seen) < 0.05


def test_anytime_bounds_keep_their_error_when_looking_after_every_host() -> None:
    drawn, size, bad = random.Random(6), 40, 2
    hosts = [True] * bad + [False] * (size - bad)
    too_high = {
        (seen, k): fewest_bad(size, seen, k, 0.05, Form.ANYTIME) > bad
        for k in range(bad + 1)
        for seen in range(max(k, 1), size - bad + k + 1)
    }
    wrong = 0
    for _ in range(2_000):
        drawn.shuffle(hosts)
        seen_bad = 0
        for seen, failed in enumerate(hosts, 1):
            seen_bad += failed
            if too_high[seen, seen_bad]:
                wrong += 1
                break
    assert 0 < wrong / 2_000 <= 0.05


@pytest.mark.parametrize(
    ("users", "complaints", "verdict"),
    [
        (9, 1, Verdict.NO_GO),
        (10, 1, Verdict.INCONCLUSIVE),
        (100, 11, Verdict.NO_GO),
        (100, 0, Verdict.INCONCLUSIVE),
        (0, 0, Verdict.INCONCLUSIVE),
    ],
)
def test_complaints_prove_no_go_but_never_go(
    users: int, complaints: int, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    evidence = Population(users, users, complaints, only_reports=True)
    assert rule(alone("complaints"), evidence, fresh, FIXED).verdict is verdict


def test_more_bad_members_than_seen_are_refused() -> None:
    with pytest.raises(ValueError, match="not a part of a population"):
        Population(10, 2, 3)
