"""Cumulative counters, histograms and statistics of a gateway, and how they grew in a window."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.probes.site import Site, ask, object_in

REQUESTS = "gateway_requests_total"
STATISTICS = "/gateway/metrics total_requests"

_TYPE = re.compile(r"^# TYPE (\S+) (\S+)\s*$")
_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(\{.*\})?\s+(\S+)(?:\s+\S+)?\s*$")
_PARTS = ("", "_total", "_bucket", "_sum", "_count")


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading of everything that only grows.

    Attributes:
        series: Values by series, labels included.
        boots: Ids of the processes they are summed over, sorted; empty when nobody says.
        at_s: Monotonic seconds.
    """

    series: Mapping[str, float]
    boots: tuple[str, ...]
    at_s: float

    def total(self, metric: str) -> float | None:
        """Return the sum over a metric's labels; None when the gateway has no such metric."""
        values = [v for name, v in self.series.items() if name.partition("{")[0] == metric]
        return math.fsum(values) if values else None


def read_counters(site: Site, boots: Sequence[str]) -> Counters | Unmeasured:
    """Read `/metrics` and the statistics; what only one of them tells is enough.

    Args:
        boots: The processes that serve now.
    """
    exposed, summary = _exposed(site), _summary(site)
    series: dict[str, float] = {}
    for one in (exposed, summary):
        series |= {} if isinstance(one, Unmeasured) else one
    if not series:
        told = [one.why for one in (exposed, summary) if isinstance(one, Unmeasured)]
        return Unmeasured("; ".join(told) or "the gateway counts nothing")
    return Counters(series, tuple(sorted(boots)), site.world.clock.monotonic())


def cumulative(text: str) -> Mapping[str, float]:
    """Return the counters and histograms of a Prometheus or OpenMetrics text; gauges are left out.

    Raises:
        ValueError: A line is none of the format; with its number.
    """
    growing: set[str] = set()
    series: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if kind := _TYPE.match(line):
            if kind[2] in {"counter", "histogram"}:
                growing |= {kind[1] + part for part in _PARTS}
        elif line.strip() and not line.startswith("#"):
            sample = _SAMPLE.match(line)
            if sample is None:
                raise ValueError(f"line {number} is no sample")
            if sample[1] in growing:
                series[sample[1] + (sample[2] or "")] = float(sample[3])
    return series


def _exposed(site: Site) -> Mapping[str, float] | Unmeasured:
    answer = ask(site, "/metrics")
    if isinstance(answer, Unmeasured):
        return answer
    if answer.status != 200:
        return Unmeasured(f"/metrics answers {answer.status}")
    try:
        return cumulative(answer.body.decode())
    except ValueError as error:
        return Unmeasured(f"/metrics cannot be read: {error}")


def _summary(site: Site) -> Mapping[str, float] | Unmeasured:
    path = "/gateway/metrics"
    answer = ask(site, f"{path}?recent_limit=0")
    if isinstance(answer, Unmeasured):
        return answer
    row = object_in(answer, path)
    if isinstance(row, Unmeasured):
        return row
    summary = row.get("summary")
    total = summary.get("total_requests") if isinstance(summary, dict) else None
    if not isinstance(total, int):
        return Unmeasured(f"{path} has no summary.total_requests")
    return {STATISTICS: float(total)}
