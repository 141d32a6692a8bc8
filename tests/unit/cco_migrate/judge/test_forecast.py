"""How long until a gate can decide: published figures, and soaks that are played."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cco_migrate.judge.binomial import proves_below
from cco_migrate.judge.criterion import Bounds, Criterion, Kind
from cco_migrate.judge.forecast import Assumption, forecast
from cco_migrate.judge.outages import DAY_S
from cco_migrate.judge.rates import Rate
from cco_migrate.judge.stopping import (
    Samples,
    pairs_to_prove,
    rate_samples,
    trials_for_power,
)
from cco_migrate.judge.terms import Form, Terms

Alone = Callable[..., Criterion]
FIXED, ANYTIME = Terms(Form.FIXED), Terms(Form.ANYTIME)


@pytest.mark.parametrize(
    ("p0", "rate", "published"),
    [
        (0.10, 0.02, 61),
        (0.10, 0.05, 179),
        (0.05, 0.01, 124),
        (0.05, 0.02, 234),
        (0.001, 0.0001, 4_745),
        (0.001, 0.0002, 6_295),
        (0.001, 0.0005, 19_445),
    ],
)
def test_requests_for_four_fifths_power_are_the_published_ones(
    p0: float, rate: float, published: int
) -> None:
    found = trials_for_power(p0, rate, FIXED, 0.8)
    assert found is not None
    # The published figures of the rarest rate are the next points of a grid.
    assert 0 <= published - found <= (0 if p0 > 0.001 else 6)


@pytest.mark.parametrize(
    ("per_day", "days"), [(50, "59.9"), (100 * 50 / 30, "18.0"), (1_000 * 50 / 30, "1.8")]
)
def test_days_to_a_clean_error_rate_are_the_published_ones(
    per_day: float, days: str, alone: Alone
) -> None:
    found = forecast(alone("error-rate"), Assumption(per_day), FIXED, 4 * DAY_S)
    assert found.samples == Samples(2995, 2995, 2995)
    assert f"{found.days:.1f}" == days


def test_soak_that_cannot_decide_says_so_and_what_would(alone: Alone) -> None:
    found = forecast(alone("error-rate"), Assumption(100 * 50 / 30), FIXED, 4 * DAY_S)
    assert not found.decidable
    assert found.summary == (
        "error-rate needs 2995 more samples, 18.0 days at the present rate: this gate cannot be "
        "decided in your soak window of 4.0 days; it takes 749 requests a day, or 2995 test "
        "requests, which are counted apart from real ones"
    )
    assert forecast(alone("error-rate"), Assumption(749), FIXED, 4 * DAY_S).decidable


def test_no_traffic_never_decides(alone: Alone) -> None:
    found = forecast(alone("error-rate"), Assumption(0), ANYTIME, 4 * DAY_S)
    assert (found.days, found.decidable) == (None, False)
    assert "and there are none" in found.summary


def test_rate_at_its_bound_never_decides(alone: Alone) -> None:
    found = forecast(alone("error-rate"), Assumption(1_000, 0.001), ANYTIME, 4 * DAY_S)
    assert found.samples.expected is None
    assert "cannot say GO" in found.summary
    assert rate_samples(0.1, 0.0999, FIXED) == Samples(None, None, None)
    assert rate_samples(0.1, 0.0999, ANYTIME).expected is None


def test_forecast_goes_on_from_what_is_counted(alone: Alone) -> None:
    criterion = alone("streaming-failures")
    assert rate_samples(0.1, 0.0, ANYTIME, Rate(2, 40)).expected == 85 - 40
    assert rate_samples(0.1, 0.0, FIXED, Rate(0, 10)).expected == 29 - 10
    done = forecast(criterion, Assumption(10), ANYTIME, 0.0, Rate(0, 43))
    assert (done.samples.expected, done.days, done.decidable) == (0, 0.0, True)


def test_plan_asks_for_its_minimum(alone: Alone) -> None:
    criterion = replace(alone("streaming-failures"), minimum_samples=500)
    found = forecast(criterion, Assumption(100), ANYTIME, DAY_S, Rate(0, 100))
    assert found.samples == Samples(400, 400, 400)


@pytest.mark.parametrize(
    ("bound", "truth", "pairs"),
    [
        (1.25, 1.10, (190, 485, 1090)),
        (1.25, 1.00, (63, 159, 358)),
        (2.0, 1.50, (38, 96, 216)),
    ],
)
def test_latencies_for_four_fifths_power_are_the_published_ones(
    bound: float, truth: float, pairs: tuple[int, ...]
) -> None:
    gap = math.log(bound / truth)
    found = tuple(pairs_to_prove(gap, spread, FIXED, 0.8) for spread in (0.5, 0.8, 1.2))
    assert found == pairs


@pytest.mark.parametrize(
    ("name", "assumed", "form", "expected"),
    [
        ("latency-ratio", Assumption(100, 1.10, 0.8), Form.FIXED, 212),
        ("latency-ratio", Assumption(100, 1.10, 0.8), Form.ANYTIME, 599),
        ("latency-ratio", Assumption(100, 1.30, 0.8), Form.FIXED, None),
        ("throughput-ratio", Assumption(100, 1.0, 0.2), Form.FIXED, 3),
        ("latency-average", Assumption(1440, 450, 42), Form.FIXED, 2),
        ("start-failures", Assumption(40, population=100), Form.FIXED, 39),
        ("audit-complete", Assumption(10), Form.FIXED, 1),
        ("cache-hit-rate", Assumption(10, 0.6), Form.FIXED, 10),
        ("cache-hit-rate", Assumption(10), Form.FIXED, None),
        ("complaints", Assumption(10), Form.FIXED, None),
    ],
)
def test_every_kind_is_forecast(
    name: str, assumed: Assumption, form: Form, expected: int | None, alone: Alone
) -> None:
    found = forecast(alone(name), assumed, Terms(form), 4 * DAY_S)
    assert found.samples.expected == expected
    assert found.decidable is (expected is not None and found.days is not None and found.days <= 4)


def test_difference_is_forecast_by_its_normal_approximation(alone: Alone) -> None:
    criterion = replace(alone("error-rate", Bounds(0.05, 0.05)), kind=Kind.DIFFERENCE)
    found = forecast(criterion, Assumption(100, 0.0, 0.4), FIXED, DAY_S)
    assert found.samples.expected == math.ceil((1.6448536 * 0.4 / 0.05) ** 2)


def test_no_soak_at_all_names_no_rate(alone: Alone) -> None:
    said = forecast(alone("error-rate"), Assumption(100), FIXED, 0.0).summary
    assert said.endswith("cannot be decided in your soak window of 0.0 days")


def test_outage_budget_takes_its_window(alone: Alone) -> None:
    criterion = alone("availability")
    found = [forecast(criterion, Assumption(2880), ANYTIME, days * DAY_S) for days in (3, 4)]
    assert [one.decidable for one in found] == [False, True]
    assert "needs a window of 4.0 days" in found[0].summary


def test_ratio_of_nothing_cannot_be_assumed(alone: Alone) -> None:
    with pytest.raises(ValueError, match=r"a ratio is assumed to be 0\.0"):
        forecast(alone("latency-ratio"), Assumption(10), ANYTIME, DAY_S)


def played(p0: float, rate: float, seed: int) -> int:
    """Play a soak with a look after every request; return the requests until GO."""
    drawn, k = np.random.default_rng(seed), 0
    for n in range(1, 200_000):
        failed = drawn.random() < rate
        k += failed
        # A failure never proves that there are few: there is nothing to look at.
        if not failed and proves_below(k, n, p0, ANYTIME.alpha, Form.ANYTIME):
            return n
    raise AssertionError("the soak does not end")


def test_forecast_of_healthy_soaks_is_within_a_fifth() -> None:
    near, soaks, drawn = 0, 200, np.random.default_rng(9)
    for seed in range(soaks):
        p0 = float(drawn.uniform(0.01, 0.10))
        found = rate_samples(p0, p0 / 200, ANYTIME)
        assert found.expected is not None
        near += abs(played(p0, p0 / 200, seed) / found.expected - 1) <= 0.2
    assert near >= 0.95 * soaks


def test_range_of_the_forecast_holds_when_requests_fail() -> None:
    found = rate_samples(0.1, 0.03, ANYTIME)
    assert found.earliest is not None
    assert found.expected is not None
    assert found.latest is not None
    soaks = [played(0.1, 0.03, seed) for seed in range(300)]
    inside = sum(found.earliest <= requests <= found.latest for requests in soaks) / 300
    early = sum(requests <= found.expected for requests in soaks) / 300
    assert 0.75 <= inside <= 0.95
    assert 0.42 <= early <= 0.65
