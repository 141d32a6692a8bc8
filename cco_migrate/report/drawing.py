"""The charts of a report as inline SVG, each of the figures that stand in `report.json`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from cco_migrate.durations import show_duration
from cco_migrate.model import JsonObject
from cco_migrate.report import plots

_LONGEST, _LETTERS = 6, 24  # bars of steps at most, and what their names may be long


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its title."""

    title: str
    unit: str
    svg: str


def cost(bars: Sequence[JsonObject]) -> str:
    """Return the bars of before and after; what is dearer than before is not drawn as a gain."""
    before, billed = (float(bar["usd"]) for bar in bars)
    kinds = ("before", "good" if billed < before else "bad")
    return plots.bars_of(
        [plots.Bar(bar["label"], float(bar["usd"]), f"${bar['usd']}", kind)
         for bar, kind in zip(bars, kinds, strict=True)]
    )  # fmt: skip


def overrides(bars: Sequence[JsonObject]) -> str:
    """Return a bar for each who counted."""
    return plots.bars_of(
        [plots.Bar(bar["label"], bar["count"], str(bar["count"]), "plain") for bar in bars]
    )


def durations(steps: Sequence[JsonObject]) -> str:
    """Return a bar for each of the steps that took longest; empty when less than two took time.

    What took less than a hundredth of the longest is left out.
    """
    timed = [one for one in steps if one["seconds"]]
    longest = sorted(timed, key=itemgetter("seconds"), reverse=True)[:_LONGEST]
    longest = [one for one in longest if one["seconds"] >= longest[0]["seconds"] / 100]
    if len(longest) < 2:
        return ""
    return plots.bars_of(
        [
            plots.Bar(_short(one["title"]), one["seconds"], _time(one["seconds"]), "plain")
            for one in longest
        ]
    )


def interval(row: JsonObject) -> str:
    """Return a criterion's interval beside its bounds, from zero; empty for what has no such.

    Args:
        row: A verdict with its figures; drawn is what was measured and has a bound of GO.
    """
    low, high, go, no_go = row["low"] or 0.0, row["high"], row["go"], row["no_go"]
    if high is None or go is None or go <= 0 or low < 0:
        return ""
    kind = {"GO": "good", "NO-GO": "bad"}.get(row["verdict"], "before")
    bounds = [(go, "bound")] + ([] if no_go is None else [(no_go, "bound-bad")])
    said = f"{row['criterion']}: between {low:.4g} and {high:.4g} {row['unit'] or ''}, "
    said += f"GO up to {go:.4g}" + ("" if no_go is None else f", NO-GO above {no_go:.4g}")
    return plots.ranges([plots.Range("", low, high, kind)], bounds, said)


def latency(drawn: JsonObject, strata: Sequence[JsonObject]) -> str:
    """Return the times of one stratum before and after, on the scale that all strata share."""
    end = max(arm["high_ms"] for one in strata for arm in one["arms"])
    rows = [
        plots.Range(arm["label"], arm["low_ms"], arm["high_ms"], kind, (arm["mean_ms"],))
        for arm, kind in zip(drawn["arms"], ("before", "plain"), strict=True)
    ]
    told = (
        f"{arm['label']} {arm['mean_ms']:.3g} ms, mostly {arm['low_ms']:.3g} to "
        f"{arm['high_ms']:.3g} ms, {arm['n']} streams" for arm in drawn["arms"]
    )  # fmt: skip
    return plots.ranges(rows, (), f"{drawn['stratum']}: {'; '.join(told)}", end=end, unit="ms")


def recovery(ways: Sequence[JsonObject]) -> str:
    """Return how much of the time promised each way back took, median to 95th percentile."""
    kinds = {"GO": "good", "NO-GO": "bad"}
    shares = [(100 * one["p50_s"] / one["promise_s"], 100 * one["p95_s"] / one["promise_s"])
              for one in ways]  # fmt: skip
    rows = [
        plots.Range(one["way"], p50, p95, kinds.get(one["verdict"], "before"), (p50, p95))
        for one, (p50, p95) in zip(ways, shares, strict=True)
    ]
    told = (
        f"{one['way']} {one['p50_s']:.1f} s, mostly up to {one['p95_s']:.1f} s of "
        f"{one['promise_s']:.0f} s" for one in ways
    )  # fmt: skip
    return plots.ranges(rows, [(100.0, "bound")], "; ".join(told), unit="%")


def over_time(lines: Sequence[JsonObject]) -> list[Figure]:
    """Return a chart for each quantity, with a line for each stage that measured it."""
    found = []
    for (title, unit), rows in groupby(lines, itemgetter("title", "unit")):
        stages = list(rows)
        drawn = [
            plots.Line(one["stage"], tuple((at["at_s"], at["value"]) for at in one["points"]))
            for one in stages
        ]
        end_s, said = stages[0]["end_s"], "; ".join(one["said"] for one in stages)
        found.append(Figure(title, unit, plots.over_time(drawn, end_s, show_duration, said)))
    return found


def _short(title: str) -> str:
    return title if len(title) <= _LETTERS else f"{title[: _LETTERS - 1].rstrip()}…"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else show_duration(seconds)
