"""What is drawn in a report, as shares of a drawing's width: no chart without evidence. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from cco_migrate.model import JsonObject

_ROOM = 1.1
"""The longest thing in a drawing of intervals leaves this much room at its right."""


def cost_bars(cost: JsonObject) -> list[JsonObject]:
    """Return the bars of before and after, `usd` as text; empty when nothing was priced."""
    if cost.get("method") != "audit" or not cost.get("overridden"):
        return []
    before, billed = float(cost["before_usd"]), float(cost["billed_usd"])
    longest = max(before, billed)
    if not longest:
        return []
    digits = 4 if longest >= 0.01 else 6  # a few small requests cost less than a cent
    named = (("at the requested model's price", before), ("billed", billed))
    return [
        {"label": label, "usd": f"{usd:.{digits}f}", "share": _percent(usd, longest)}
        for label, usd in named
    ]


def override_bars(counts: JsonObject) -> list[JsonObject]:
    """Return how many overrides were expected, counted and audited; empty when nobody counted."""
    named = (
        ("expected", "expected"),
        ("counted", "counted"),
        ("in the audit", "audited_overrides"),
    )
    told = [(label, counts.get(name)) for label, name in named]
    known = [(label, count) for label, count in told if count is not None]
    longest = max((count for _, count in known), default=0)
    if not longest:
        return []
    return [
        {"label": label, "count": count, "share": _percent(count, longest)}
        for label, count in known
    ]


def intervals(verdicts: Iterable[JsonObject]) -> list[JsonObject]:
    """Return each criterion's interval and bounds, each on a scale of its own from zero.

    Only what is bounded above by a GO bound and was measured can be drawn.
    """
    return [_interval(one) for one in verdicts if _can_be_drawn(one)]


def arms(strata: JsonObject) -> list[JsonObject]:
    """Return the time to the first token before and after, stratum by stratum, in ms.

    Drawn are the geometric mean and one standard deviation of the logarithms to each side.

    Args:
        strata: Moments of the logarithms of seconds by stratum, "old" and "new"; those that one
            side has not measured twice are left out: they have no spread.
    """
    told = {
        name: [_spread(label, one[arm]) for label, arm in (("before", "old"), ("after", "new"))]
        for name, one in sorted(strata.items())
        if min(one["old"]["n"], one["new"]["n"]) > 1
    }
    end = max((one["high_ms"] for rows in told.values() for one in rows), default=1.0) * _ROOM
    return [
        {"stratum": name, "end_ms": end, "arms": [_placed(one, end) for one in rows]}
        for name, rows in told.items()
    ]


def _spread(label: str, moments: JsonObject) -> JsonObject:
    deviation = math.sqrt(moments["squares"] / (moments["n"] - 1))
    low, mean, high = (
        1000 * math.exp(moments["mean"] + side * deviation) for side in (-1.0, 0.0, 1.0)
    )
    return {"label": label, "n": moments["n"], "low_ms": low, "mean_ms": mean, "high_ms": high}


def _placed(row: JsonObject, end: float) -> JsonObject:
    begin, width = row["low_ms"], row["high_ms"] - row["low_ms"]
    return {
        **row,
        "begin_share": _percent(begin, end),
        "width_share": max(_percent(width, end), 0.6),
        "mean_share": _percent(row["mean_ms"], end),
    }


def _interval(row: JsonObject) -> JsonObject:
    low, high, go, no_go = (row[name] for name in ("low", "high", "go", "no_go"))
    known: Sequence[float] = [one for one in (high, go, no_go) if one is not None]
    end = max(known) * _ROOM
    begin = _percent(low or 0.0, end)
    return {
        "step": row["step"],
        "criterion": row["criterion"],
        "verdict": row["verdict"],
        "unit": row["unit"],
        "low": low or 0.0,
        "high": high,
        "go": go,
        "no_go": no_go,
        "begin_share": begin,
        "width_share": max(round(_percent(high, end) - begin, 1), 0.6),
        "go_share": _percent(go, end),
        "no_go_share": None if no_go is None else _percent(no_go, end),
    }


def _can_be_drawn(row: JsonObject) -> bool:
    high, go = row["high"], row["go"]
    return high is not None and go is not None and go > 0 and (row["low"] or 0.0) >= 0


def _percent(part: float, whole: float) -> float:
    return round(part / whole * 100, 1)
