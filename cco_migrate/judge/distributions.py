"""Tails and quantiles of the beta, Student and normal distributions, in logarithms. Pure.

Everything rests on one function: the logarithms of both tails of the beta distribution, by its
continued fraction. Tails far below the smallest float keep their digits that way, and shapes need
not be whole numbers.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_TINY = 1e-300  # stands for zero in the continued fraction, so that nothing is divided by it
_CLOSE = 1e-14
_MAX_TERMS = 100_000
_MAX_STEPS = 200
# Coefficients of the Stirling series in 1/z, 1/z³, …: too few for a small z.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_STIRLING_FROM = 15.0


def log_beta_density(a: float, b: float, x: float) -> float:
    """Return log(x^a (1-x)^b / B(a, b)): the density of Beta(a, b) at x times x(1-x).

    Large terms are cancelled on paper (Loader's saddle-point form), not in floats.
    """
    mode = a / (a + b)
    away = a * _log_ratio(x, mode) + b * _log_ratio(1 - x, b / (a + b))
    scale = 0.5 * math.log(a / (a + b) * b / (2 * math.pi))
    return away + scale + _stirling_error(a + b) - _stirling_error(a) - _stirling_error(b)


def log_beta_tails(a: float, b: float, x: float) -> tuple[float, float]:
    """Return (log P(X ≤ x), log P(X > x)) for X ~ Beta(a, b) with 0 < x < 1."""
    density = log_beta_density(a, b, x)
    if x < (a + 1) / (a + b + 2):
        lower = min(density - math.log(a) + math.log(_fraction(a, b, x)), 0.0)
        return lower, _log_complement(lower)
    upper = min(density - math.log(b) + math.log(_fraction(b, a, 1 - x)), 0.0)
    return _log_complement(upper), upper


def beta_quantile(tail: float, a: float, b: float, *, upper: bool = False) -> float:
    """Return x with P(X ≤ x) = tail for X ~ Beta(a, b); with `upper`, P(X > x) = tail.

    Newton steps on the logarithm of the tail, kept inside a bracket that shrinks with each.
    """
    low, high, wanted = 0.0, 1.0, math.log(tail)
    x = _first_guess(tail, a, b, upper=upper)
    for _ in range(_MAX_STEPS):
        reached = log_beta_tails(a, b, x)[upper]
        low, high = (x, high) if (reached < wanted) is not upper else (low, x)
        # d/dx log P(X ≤ x) = density / P; the density lacks a factor x(1-x) here.
        slope = math.exp(log_beta_density(a, b, x) - reached) / (x * (1 - x))
        step = (wanted - reached) / (-slope if upper else slope) if slope else math.inf
        after = x + step if low < x + step < high else (low + high) / 2
        if abs(after - x) <= _CLOSE * x:
            return after
        x = after
    return x


def student_quantile(alpha: float, df: float) -> float:
    """Return t with P(T > t) = alpha for Student's T with df degrees of freedom, alpha < 1/2."""
    # T² / (df + T²) ~ Beta(1/2, df/2); both tails of T are its upper one.
    share = beta_quantile(2 * alpha, 0.5, df / 2, upper=True)
    return math.sqrt(df * share / (1 - share))


def normal_quantile(alpha: float) -> float:
    """Return z with P(Z > z) = alpha for a standard normal Z."""
    return -NormalDist().inv_cdf(alpha)


def _first_guess(tail: float, a: float, b: float, *, upper: bool) -> float:
    mean = a / (a + b)
    away = normal_quantile(tail) * math.sqrt(mean * (1 - mean) / (a + b + 1))
    guess = mean + away if upper else mean - away
    if guess <= 0:  # far in the tail P(X ≤ x) is close to x^a / (a B(a, b))
        log_b = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
        guess = math.exp((math.log(tail * a) + log_b) / a)
    return min(max(guess, 1e-12), 1 - 1e-12)


def _fraction(a: float, b: float, x: float) -> float:
    """Return a P(X ≤ x) / density by its continued fraction (modified Lentz), for x below the mode.

    Source: DLMF 8.17.22.
    """
    c, d = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / _nonzero(1 + term * d), _nonzero(1 + term / c)
            change = c * d
            value *= change
        if abs(change - 1) < _CLOSE / 10:
            return value
    raise ArithmeticError(f"the incomplete beta function did not converge: {a=}, {b=}, {x=}")


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _log_complement(log_p: float) -> float:
    """Return log(1 - p) of log p."""
    if log_p > -0.6931:
        return math.log(-math.expm1(log_p)) if log_p < 0 else -math.inf
    return math.log1p(-math.exp(log_p))


def _log_ratio(x: float, y: float) -> float:
    """Return log(x / y) with all digits when the two are close."""
    return math.log1p((x - y) / y) if abs(x - y) < 0.1 * y else math.log(x / y)


def _stirling_error(z: float) -> float:
    """Return log Γ(z) - ((z - ½) log z - z + ½ log 2π)."""
    if z < _STIRLING_FROM:
        return math.lgamma(z) - ((z - 0.5) * math.log(z) - z + 0.5 * math.log(2 * math.pi))
    inverse, square = 1 / z, 1 / (z * z)
    total = 0.0
    for coefficient in reversed(_STIRLING):
        total = total * square + coefficient
    return total * inverse
