"""Looking after every request: how often chance alone gives a verdict."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from cco_migrate.judge import binomial
from cco_migrate.judge.terms import Form

P0, ALPHA, REQUESTS, RUNS = 0.10, 0.05, 500, 20_000
Counts = npt.NDArray[np.int64]


def failures(seed: int) -> Counts:
    """Return the failures so far of each run after each request, at exactly the threshold."""
    drawn = np.random.default_rng(seed).random((RUNS, REQUESTS)) < P0
    return np.cumsum(drawn, axis=1)


def fewest(form: Form) -> Counts:
    """Return the least failures that are NO-GO after each request; more than there are, if none."""

    def no_go(k: int, n: int) -> bool:
        return binomial.proves_above(k, n, P0, ALPHA, form)

    return np.array([first(no_go, n) for n in range(1, REQUESTS + 1)])


def most(form: Form) -> Counts:
    """Return the most failures that are GO after each request; -1 when none are."""

    def not_go(k: int, n: int) -> bool:
        return not binomial.proves_below(k, n, P0, ALPHA, form)

    return np.array([first(not_go, n) - 1 for n in range(1, REQUESTS + 1)])


def first(holds: Callable[[int, int], bool], n: int) -> int:
    """Return the least number of failures of n at which a monotone test holds; n + 1 if none."""
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle, n) else (middle + 1, high)
    return low


@pytest.fixture(scope="module")
def no_go_runs() -> Counts:
    return failures(20251202)


@pytest.fixture(scope="module")
def go_runs() -> Counts:
    return failures(7)


def test_false_no_go_stays_below_its_error_when_looking_after_every_request(
    no_go_runs: Counts,
) -> None:
    shares = {form: (no_go_runs >= fewest(form)).any(axis=1).mean() for form in Form}
    assert shares[Form.ANYTIME] == pytest.approx(0.028, abs=5e-4)
    assert shares[Form.FIXED] > 0.25  # what the form for one look would have done


def test_false_go_stays_below_its_error_when_looking_after_every_request(go_runs: Counts) -> None:
    shares = {form: (go_runs <= most(form)).any(axis=1).mean() for form in Form}
    assert shares[Form.ANYTIME] == pytest.approx(0.034, abs=5e-4)
    assert shares[Form.FIXED] == pytest.approx(0.226, abs=5e-4)  # the form for one look


def test_one_look_at_the_end_keeps_its_error(no_go_runs: Counts) -> None:
    share = (no_go_runs[:, -1] >= fewest(Form.FIXED)[-1]).mean()
    assert share == pytest.approx(0.047, abs=5e-4)
