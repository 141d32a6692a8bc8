"""The figures that a report draws as bars and spreads: no chart without evidence. Pure."""

from __future__ import annotations

import math

from cco_migrate.model import JsonObject
from cco_migrate.recovery.ways import Timing, Way


def cost_bars(cost: JsonObject) -> list[JsonObject]:
    """Return the bars of before and after, `usd` as text; empty when nothing was priced."""
    if cost.get("method") != "audit" or not cost.get("overridden"):
        return []
    named = (("requested model", float(cost["before_usd"])), ("billed", float(cost["billed_usd"])))
    longest = max(usd for _, usd in named)
    if not longest:
        return []
    digits = 4 if longest >= 0.01 else 6  # a few small requests cost less than a cent
    return [{"label": label, "usd": f"{usd:.{digits}f}"} for label, usd in named]


def override_bars(counts: JsonObject) -> list[JsonObject]:
    """Return how many overrides were expected, counted and audited; empty when nobody counted."""
    named = (
        ("expected", "expected"),
        ("counted", "counted"),
        ("in the audit", "audited_overrides"),
    )
    told = [(label, counts.get(name)) for label, name in named]
    known = [(label, count) for label, count in told if count is not None]
    if not any(count for _, count in known):
        return []
    return [{"label": label, "count": count} for label, count in known]


def arms(strata: JsonObject) -> list[JsonObject]:
    """Return the time to the first token before and after, stratum by stratum, in ms.

    Told are the geometric mean and one standard deviation of the logarithms to each side.

    Args:
        strata: Moments of the logarithms of seconds by stratum, "old" and "new"; those that one
            side has not measured twice are left out: they have no spread.
    """
    sides = (("before", "old"), ("after", "new"))
    return [
        {"stratum": name, "arms": [_spread(label, one[arm]) for label, arm in sides]}
        for name, one in sorted(strata.items())
        if min(one["old"]["n"], one["new"]["n"]) > 1
    ]


def ways_back(rehearsal: JsonObject | None) -> list[JsonObject]:
    """Return how long each way back took, from the seconds of every time it was taken.

    Args:
        rehearsal: A record of one; None for none, which gives no row.
    """
    timings = [
        Timing(Way(row["way"]), row["promise_s"], tuple(row["seconds"]), ())
        for row in (rehearsal or {"ways": ()})["ways"]
    ]
    return [
        {
            "way": one.way.value,
            "n": len(one.seconds),
            "p50_s": one.p50_s,
            "p95_s": one.p95_s,
            "promise_s": one.promise_s,
            "verdict": one.verdict.value,
        }
        for one in timings
    ]


def _spread(label: str, moments: JsonObject) -> JsonObject:
    deviation = math.sqrt(moments["squares"] / (moments["n"] - 1))
    low, mean, high = (
        1000 * math.exp(moments["mean"] + side * deviation) for side in (-1.0, 0.0, 1.0)
    )
    return {"label": label, "n": moments["n"], "low_ms": low, "mean_ms": mean, "high_ms": high}
