"""Bounds and e-values of a rate, against published figures and against SciPy."""

from __future__ import annotations

import math
import random

import pytest
from scipy import special, stats

from cco_migrate.judge import binomial
from cco_migrate.judge.distributions import log_beta_tails, normal_quantile, student_quantile
from cco_migrate.judge.terms import Form

ALPHA = 0.05


@pytest.mark.parametrize(
    ("k", "n", "bound"),
    [
        (0, 28, "0.101466"),
        (0, 29, "0.098145"),
        (4, 100, "0.089196"),
        (5, 100, "0.102253"),
        (12, 100, "0.187166"),
        (0, 100, "0.029513"),
        (4, 10_000, "0.000915"),
        (5, 10_000, "0.001051"),
        (9, 9, "1.000000"),
    ],
)
def test_exact_upper_bound_is_the_published_one(k: int, n: int, bound: str) -> None:
    assert f"{binomial.exact_upper(k, n, ALPHA):.6f}" == bound


@pytest.mark.parametrize(
    ("k", "n", "bound"),
    [
        (0, 20, "0.000000"),
        (3, 20, "0.042169"),
        (4, 20, "0.071354"),
        (5, 20, "0.104081"),
        (12, 100, "0.070722"),
        (16, 100, "0.103011"),
        (17, 10_000, "0.001083"),
        (20, 10_000, "0.001326"),
    ],
)
def test_exact_lower_bound_is_the_published_one(k: int, n: int, bound: str) -> None:
    assert f"{binomial.exact_lower(k, n, ALPHA):.6f}" == bound


def test_bound_crosses_a_tenth_of_a_percent_at_2995_clean_requests() -> None:
    assert binomial.exact_upper(0, 2994, ALPHA) > 0.001
    assert f"{binomial.exact_upper(0, 2995, ALPHA):.8f}" == "0.00099974"


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (5, 100, 0.021544, 0.111750),
        (10, 60, 0.093132, 0.280316),
        (0, 100, 0.0, 0.036993),
    ],
)
def test_wilson_interval_is_the_published_one(k: int, n: int, low: float, high: float) -> None:
    assert binomial.wilson(k, n, 0.025) == pytest.approx((low, high), abs=5e-7)


def test_two_sided_exact_interval_is_the_published_one() -> None:
    assert f"{binomial.exact_lower(5, 100, 0.025):.6f}" == "0.016432"
    assert f"{binomial.exact_upper(5, 100, 0.025):.6f}" == "0.112835"
    assert f"{binomial.exact_upper(0, 100, 0.025):.6f}" == "0.036217"


@pytest.mark.parametrize(
    ("form", "p0", "alpha", "expected"),
    [
        (Form.FIXED, 0.10, 0.05, (29, 46, 61, 76)),
        (Form.FIXED, 0.05, 0.05, (59, 93, 124, 153)),
        (Form.FIXED, 0.001, 0.05, (2995, 4742, 6294, 7752)),
        (Form.FIXED, 0.10, 0.01, (44, 64, 81, 97)),
        (Form.FIXED, 0.05, 0.01, (90, 130, 165, 198)),
        (Form.FIXED, 0.001, 0.01, (4603, 6636, 8403, 10042)),
        (Form.ANYTIME, 0.10, 0.05, (43, 66, 85, 103)),
        (Form.ANYTIME, 0.05, 0.05, (88, 134, 174, 210)),
        # Exact: one request fewer, by SciPy too, leaves an e-value below 20.
        (Form.ANYTIME, 0.001, 0.05, (4512, 6851, 8848, 10682)),
    ],
)
def test_fewest_requests_for_go_are_the_published_ones(
    form: Form, p0: float, alpha: float, expected: tuple[int, ...]
) -> None:
    found = tuple(binomial.trials_to_prove_below(k, p0, alpha, form) for k in range(4))
    assert found == expected


@pytest.mark.parametrize(
    ("form", "p0", "alpha", "expected"),
    [
        (Form.FIXED, 0.10, 0.05, {2: 3, 3: 8, 4: 14, 5: 20, 6: 27, 8: 41}),
        (Form.FIXED, 0.05, 0.05, {2: 7, 3: 16, 4: 28, 5: 40}),
        (Form.FIXED, 0.001, 0.05, {1: 51, 2: 355, 3: 818, 4: 1367, 5: 1971}),
        (Form.ANYTIME, 0.10, 0.05, {1: None, 2: 2, 3: 5, 4: 8, 5: 12, 6: 16, 7: 20, 8: 25}),
        (Form.ANYTIME, 0.05, 0.05, {2: 3, 3: 8, 4: 13, 5: 20}),
        (Form.ANYTIME, 0.10, 0.00625, {3: 3, 4: 5, 5: 8, 6: 12, 7: 15, 8: 19, 9: 24}),
    ],
)
def test_most_requests_at_which_failures_are_no_go_are_the_published_ones(
    form: Form, p0: float, alpha: float, expected: dict[int, int | None]
) -> None:
    found = {k: binomial.trials_that_prove_above(k, p0, alpha, form) for k in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("k", "n", "p0", "value"),
    [
        (2, 2, 0.1, "37.0000"),
        (3, 5, 0.1, "22.8333"),
        (3, 6, 0.1, "10.8571"),
        (6, 20, 0.1, "5.9475"),
        (7, 20, 0.1, "26.8352"),
        (20, 100, 0.1, "9.3860"),
        (24, 100, 0.1, "414.1197"),
        (2, 47, 0.001, "20.1796"),
        (2, 48, 0.001, "18.9631"),
    ],
)
def test_e_value_against_a_low_rate_is_the_published_one(
    k: int, n: int, p0: float, value: str
) -> None:
    assert f"{math.exp(binomial.log_e_above(k, n, p0)):.4f}" == value


@pytest.mark.parametrize(
    ("k", "n", "p0", "value"),
    [
        (0, 42, 0.1, "19.2150"),
        (0, 43, 0.1, "20.8875"),
        (5, 100, 0.1, "2.7652"),
        (0, 2995, 0.001, "6.3472"),
        (0, 4511, 0.001, "19.9954"),
        (0, 4512, 0.001, "20.0112"),
        (5, 10_000, 0.001, "2.4684"),
    ],
)
def test_e_value_against_a_high_rate_is_the_published_one(
    k: int, n: int, p0: float, value: str
) -> None:
    assert f"{math.exp(binomial.log_e_below(k, n, p0)):.4f}" == value


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 100, "0.000000", "0.043979"),
        (5, 100, "0.006587", "0.134389"),
        (12, 100, "0.040294", "0.231655"),
        (20, 100, "0.093543", "0.330425"),
        (5, 10_000, "0.000024", "0.001408"),
        (0, 2995, "0.000000", "0.001506"),
    ],
)
def test_confidence_sequence_is_the_published_one(k: int, n: int, low: str, high: str) -> None:
    assert f"{binomial.anytime_lower(k, n, ALPHA):.6f}" == low
    assert f"{binomial.anytime_upper(k, n, ALPHA):.6f}" == high


@pytest.mark.parametrize("form", list(Form))
def test_shortcut_agrees_with_the_bound_itself(form: Form) -> None:
    drawn = random.Random(3)
    anytime = form is Form.ANYTIME
    lower = binomial.anytime_lower if anytime else binomial.exact_lower
    upper = binomial.anytime_upper if anytime else binomial.exact_upper
    for _ in range(200):
        n, p0 = drawn.randint(1, 2000), drawn.uniform(0.001, 0.6)
        k = drawn.randint(0, n // 2)
        assert binomial.proves_below(k, n, p0, ALPHA, form) == (upper(k, n, ALPHA) < p0)
        assert binomial.proves_above(k, n, p0, ALPHA, form) == (lower(k, n, ALPHA) > p0)


def test_nothing_proves_nothing() -> None:
    for form in Form:
        assert not binomial.proves_below(0, 0, 0.1, ALPHA, form)
        assert not binomial.proves_above(0, 10, 0.1, ALPHA, form)
        assert binomial.trials_that_prove_above(0, 0.1, ALPHA, form) is None


def test_fraction_that_does_not_converge_is_an_error_not_a_figure() -> None:
    with pytest.raises(ArithmeticError, match="did not converge"):
        log_beta_tails(1e15, 1e15, 0.5)


def test_ten_thousand_bounds_agree_with_scipy() -> None:
    drawn, worst = random.Random(20251202), 0.0
    for _ in range(5_000):
        n = round(10 ** drawn.uniform(0, 6))
        k = drawn.choice((0, n, drawn.randint(0, n), drawn.randint(0, min(n, 30))))
        alpha = 10 ** drawn.uniform(-4, -0.4)
        low = stats.beta.ppf(alpha, k, n - k + 1) if k else 0.0
        high = stats.beta.isf(alpha, k + 1, n - k) if k < n else 1.0
        worst = max(
            worst,
            abs(binomial.exact_lower(k, n, alpha) - low) / (low or 1.0),
            abs(binomial.exact_upper(k, n, alpha) - high) / high,
        )
    assert worst < 1e-9


def test_e_values_agree_with_scipy_where_it_does_not_underflow() -> None:
    drawn = random.Random(4)
    for _ in range(1_000):
        n = round(10 ** drawn.uniform(0, 5))
        p0 = drawn.uniform(0.001, 0.2)
        k = drawn.randint(0, min(n, round(2 * n * p0) + 1))
        share = special.betainc(k + 1, n - k + 1, p0)
        if not 1e-200 < share < 1:
            continue
        rest = special.betaln(k + 1, n - k + 1) - special.xlogy(k, p0) - (n - k) * math.log1p(-p0)
        expected = math.log(share) - math.log(p0) + rest
        assert binomial.log_e_below(k, n, p0) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("k", "n"), [(5, 40), (400, 10_000), (300, 100_000), (0, 1_000)])
def test_e_value_is_exact_where_the_likelihood_underflows(k: int, n: int) -> None:
    # At p0 = 1/1000 the e-value is a ratio of two whole numbers.
    exact = sum(math.comb(n + 1, j) * 999 ** (k - j) for j in range(k + 1))
    expected = math.log(exact) - math.log((n + 1) * math.comb(n, k))
    assert binomial.log_e_above(k, n, 0.001) == pytest.approx(expected, abs=1e-9)


def test_anytime_bounds_of_nothing_but_failures_reach_one() -> None:
    assert binomial.anytime_upper(7, 7, ALPHA) == 1.0
    low = binomial.anytime_lower(7, 7, ALPHA)
    assert (1 - low**8) / (8 * (1 - low) * low**7) == pytest.approx(20, rel=1e-9)


def test_quantiles_agree_with_scipy() -> None:
    for alpha in (1e-4, 0.00625, 0.05, 0.2, 0.4):
        assert normal_quantile(alpha) == pytest.approx(stats.norm.isf(alpha), rel=1e-9)
        for df in (1, 2.5, 9, 99, 1e4, 1e7):
            assert student_quantile(alpha, df) == pytest.approx(stats.t.isf(alpha, df), rel=1e-8)
