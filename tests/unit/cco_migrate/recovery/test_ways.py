"""Percentiles that were measured, promises that are kept or not, and sums over all ways back."""

from __future__ import annotations

import pytest

from cco_migrate.recovery.ways import PROMISE_S, ROUNDS, Taken, Timing, Way, nearest_rank, timings
from cco_migrate.verdict import Verdict


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ((15, 20, 35, 40, 50), 5, 15),
        ((15, 20, 35, 40, 50), 30, 20),
        ((15, 20, 35, 40, 50), 40, 20),
        ((15, 20, 35, 40, 50), 50, 35),
        ((15, 20, 35, 40, 50), 100, 50),
        ((50, 15, 40, 20, 35), 50, 35),  # in any order
        (tuple(range(1, 11)), 50, 5),
        (tuple(range(1, 11)), 95, 10),  # of ten the longest
        (tuple(range(1, 21)), 95, 19),
        ((7,), 50, 7),
        ((7,), 0, 7),
    ],
)
def test_nearest_rank_is_a_value_that_was_measured(
    values: tuple[float, ...], percent: float, expected: float
) -> None:
    assert nearest_rank(values, percent) == expected


def test_nearest_rank_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        nearest_rank((), 50)


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        ((1.0,) * ROUNDS, Verdict.GO),
        ((30.0,) * ROUNDS, Verdict.GO),  # the promise is kept to the second
        ((*(1.0,) * (ROUNDS - 1), 30.1), Verdict.NO_GO),
        ((1.0,) * (ROUNDS - 1), Verdict.INCONCLUSIVE),
        ((31.0,), Verdict.NO_GO),  # one is enough to break it
    ],
)
def test_timing_is_judged_by_its_promise_and_its_number(
    seconds: tuple[float, ...], verdict: Verdict
) -> None:
    assert Timing(Way.FLAG, 30, seconds, (None,) * len(seconds)).verdict is verdict


def test_times_are_kept_by_way_in_the_order_they_were_taken() -> None:
    taken = (
        Taken(Way.BACKUP, 3.0),
        Taken(Way.FLAG, 2.0, recovered_s=1.5),
        Taken(Way.FLAG, 1.0),
        Taken(Way.GIT, faults=("a conflict",)),
    )
    found = timings(taken)
    assert [(one.way, one.seconds, one.recovered_s) for one in found] == [
        (Way.FLAG, (2.0, 1.0), (1.5, None)),
        (Way.BACKUP, (3.0,), (None,)),
    ]


def test_every_way_has_a_promise() -> None:
    assert set(PROMISE_S) == set(Way)
    assert (PROMISE_S[Way.FLAG], PROMISE_S[Way.GIT], PROMISE_S[Way.BUNDLE]) == (30, 60, 600)
