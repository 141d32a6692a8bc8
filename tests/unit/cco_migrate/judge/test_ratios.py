"""New against old on logarithms, and means of windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.means import CumulativeMean, WindowMeans, window_mean
from cco_migrate.judge.moments import Moments, radius_factor
from cco_migrate.judge.ratios import Arms, Ratio
from cco_migrate.judge.ruling import Conditions, rule
from cco_migrate.judge.terms import Form, Terms
from cco_migrate.verdict import Verdict

Alone = Callable[..., Criterion]
FIXED, ANYTIME = Terms(Form.FIXED), Terms(Form.ANYTIME)
STEADY = (410, 455, 390, 520, 480, 430, 495, 405, 470, 445)
UNSTEADY = (410, 455, 390, 640, 480, 430, 595, 405, 520, 445)


def latencies(n: int, ratio: float) -> Moments:
    """Return n latencies in ms around 300 times `ratio`, of log-sd 0.8, free of chance."""
    quantile = NormalDist().inv_cdf
    return Moments.of_logs(
        math.exp(math.log(300 * ratio) + 0.8 * quantile((i - 0.5) / n)) for i in range(1, n + 1)
    )


def both(n: int, ratio: float) -> Arms:
    return Arms(latencies(n, 1), latencies(n, ratio))


@pytest.mark.parametrize(
    ("n", "ratio", "interval", "verdict"),
    [
        (50, 1.10, (0.8439, 1.4338), Verdict.INCONCLUSIVE),
        (200, 1.10, (0.9642, 1.2550), Verdict.INCONCLUSIVE),
        (400, 1.10, (1.0022, 1.2074), Verdict.GO),
        (50, 1.35, (1.0357, 1.7596), Verdict.INCONCLUSIVE),
        (2000, 1.35, (1.2950, 1.4074), Verdict.HOLD),
        (50, 2.0, (1.5344, 2.6069), Verdict.NO_GO),
        (200, 1.6, (1.4024, 1.8254), Verdict.INCONCLUSIVE),
        (2000, 1.6, (1.5348, 1.6680), Verdict.NO_GO),
    ],
)
def test_latencies_give_the_published_interval_and_verdict(
    n: int,
    ratio: float,
    interval: tuple[float, float],
    verdict: Verdict,
    alone: Alone,
    fresh: Conditions,
) -> None:
    ruling = rule(alone("latency-ratio"), Ratio({"all": both(n, ratio)}), fresh, FIXED)
    assert ruling.interval == pytest.approx(interval, abs=5e-5)
    assert ruling.verdict is verdict


@pytest.mark.parametrize(
    ("n", "anytime", "fixed"),
    [
        (100, 0.3525, 0.1861),
        (500, 0.1398, 0.0832),
        (1000, 0.0999, 0.0588),
        (2000, 0.0724, 0.0416),
    ],
)
def test_price_of_looking_at_any_time_is_the_published_one(
    n: int, anytime: float, fixed: float
) -> None:
    error = 0.8 * math.sqrt(2 / n)
    assert error * radius_factor(0.05, Form.ANYTIME, n, n) == pytest.approx(anytime, abs=5e-5)
    assert error * radius_factor(0.05, Form.FIXED, n, 1e9) == pytest.approx(fixed, abs=5e-5)


@pytest.mark.parametrize(("n", "verdict"), [(500, Verdict.INCONCLUSIVE), (1000, Verdict.GO)])
def test_ten_percent_slower_is_go_at_a_thousand_when_looking_at_any_time(
    n: int, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    ruling = rule(alone("latency-ratio"), Ratio({"all": both(n, 1.10)}), fresh, ANYTIME)
    assert ruling.verdict is verdict


def test_changed_mix_of_strata_is_no_change_of_the_ratio(alone: Alone, fresh: Conditions) -> None:
    small, large = latencies(900, 1.0), latencies(900, 20.0)
    few = latencies(100, 20.0)
    strata = {"small": Arms(small, latencies(100, 1.0)), "large": Arms(few, large)}
    ruling = rule(alone("latency-ratio"), Ratio(strata), fresh, FIXED)
    assert ruling.verdict is Verdict.GO
    assert ruling.facts["ratio"] == pytest.approx(1.0)
    assert (ruling.n, ruling.facts["strata"]) == (1000, 2)


@pytest.mark.parametrize(
    ("strata", "said"),
    [
        ({}, "there are no samples"),
        ({"a": Arms(Moments(), latencies(50, 1))}, "there is no baseline to compare with"),
        (
            {"a": both(50, 1), "b": Arms(latencies(1, 1), latencies(9, 1))},
            "9 of 59 samples have no baseline: b",
        ),
    ],
)
def test_missing_baseline_is_inconclusive(
    strata: dict[str, Arms], said: str, alone: Alone, fresh: Conditions
) -> None:
    ruling = rule(alone("latency-ratio"), Ratio(strata), fresh, FIXED)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert said in ruling.summary


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(0.9, Verdict.GO), (0.62, Verdict.HOLD), (0.45, Verdict.NO_GO), (0.74, Verdict.INCONCLUSIVE)],
)
def test_throughput_is_judged_from_the_other_side(
    ratio: float, verdict: Verdict, alone: Alone, fresh: Conditions
) -> None:
    ruling = rule(alone("throughput-ratio"), Ratio({"all": both(2000, ratio)}), fresh, FIXED)
    assert ruling.verdict is verdict


def test_identical_samples_have_an_exact_ratio(alone: Alone, fresh: Conditions) -> None:
    same = Moments.of_logs([100.0, 100.0, 100.0])
    ruling = rule(alone("latency-ratio"), Ratio({"all": Arms(same, same)}), fresh, FIXED)
    assert ruling.interval == (1.0, 1.0)


@pytest.mark.parametrize(
    ("means", "mean", "upper", "verdict"),
    [(STEADY, 450, 474.4, Verdict.GO), (UNSTEADY, 477, 525.6, Verdict.INCONCLUSIVE)],
)
def test_window_means_give_the_published_verdict(
    means: tuple[int, ...],
    mean: float,
    upper: float,
    verdict: Verdict,
    alone: Alone,
    fresh: Conditions,
) -> None:
    ruling = rule(alone("latency-average"), WindowMeans(Moments.of(means)), fresh, FIXED)
    assert ruling.facts["mean"] == pytest.approx(mean)
    assert ruling.interval is not None
    assert ruling.interval[1] == pytest.approx(upper, abs=0.05)
    assert ruling.verdict is verdict


def test_one_window_has_no_spread(alone: Alone, fresh: Conditions) -> None:
    ruling = rule(alone("latency-average"), WindowMeans(Moments.of([320])), fresh, FIXED)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert "one window has no spread" in ruling.summary
    assert ruling.judgement().facts["high"] is None


def test_lifetime_average_hides_the_mean_of_the_window() -> None:
    before, after = CumulativeMean(300, 10_000), CumulativeMean(320, 10_500)
    assert window_mean(before, after) == 720
    assert window_mean(before, before) is None


def test_counter_that_went_back_is_refused() -> None:
    with pytest.raises(ValueError, match="the counter went back from 10 to 4"):
        window_mean(CumulativeMean(1, 10), CumulativeMean(1, 4))


@given(
    st.lists(st.floats(0.1, 1e4), max_size=30),
    st.lists(st.floats(0.1, 1e4), max_size=30),
)
def test_moments_of_parts_are_those_of_the_whole(first: list[float], second: list[float]) -> None:
    parts, whole = Moments.of(first) + Moments.of(second), Moments.of(first + second)
    assert parts.n == whole.n
    assert parts.mean == pytest.approx(whole.mean)
    assert parts.squares == pytest.approx(whole.squares, abs=1e-3)


def test_logarithm_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"math domain error|positive"):
        Moments.of_logs([0.0])
