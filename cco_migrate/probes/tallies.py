"""The few figures of real traffic that gates judge by, out of everything a gateway counts. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cco_migrate.probes.counters import REQUESTS, Counters

BROKEN = "gateway_streams_broken_total"
OVERHEAD = "gateway_overhead_seconds"

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_LEFT = 499  # the client went away before any answer: neither success nor failure
_UNREAD = "none"  # the model of a request that was refused before any was found
_NOT_SPOKEN = frozenset({501, 505})  # the client asks for what no version of the gateway does


class Figure(StrEnum):
    """What is counted; every figure only grows."""

    REQUESTS = "requests"
    FAILED = "failed"
    LEFT = "left"
    STREAMS = "streams"
    FAILED_STREAMS = "failed_streams"
    LEFT_STREAMS = "left_streams"
    BROKEN = "broken"
    ABANDONED = "abandoned"
    OVERHEAD_S = "overhead_s"
    OVERHEADS = "overheads"


FIGURES = tuple(Figure)
_OF_REQUESTS = (
    Figure.FAILED, Figure.LEFT, Figure.STREAMS, Figure.FAILED_STREAMS, Figure.LEFT_STREAMS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """What a gateway had counted at one time.

    Attributes:
        boots: Ids of the processes it is summed over, sorted; empty when nobody says.
        figures: In the order of FIGURES; nan where the gateway does not count it.
    """

    boots: tuple[str, ...]
    figures: tuple[float, ...]

    def to_json(self) -> Mapping[str, object]:
        """Return JSON values; null for what is not counted."""
        return {"boots": list(self.boots), "figures": [_whole(value) for value in self.figures]}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Tally:  # Any: JSON
        """Rebuild a tally; raises KeyError, TypeError or ValueError for a row that is none."""
        figures = tuple([math.nan if value is None else value for value in row["figures"]])
        if len(figures) != len(FIGURES) or not _NUMBERS.issuperset(map(type, figures)):
            raise ValueError(f"{len(figures)} figures, not {len(FIGURES)} numbers")
        return cls(tuple(row["boots"]), figures)


_NUMBERS = frozenset({int, float})


def is_senders_fault(status: int) -> bool:
    """Return whether what was refused unread was refused for what its sender did.

    Such a request was no better before a change; for a gateway without room it is the gateway's.
    """
    return 400 <= status < 500 or status in _NOT_SPOKEN


def tally_of(counters: Counters) -> Tally:
    """Return the figures of one reading of all counters."""
    found = dict.fromkeys(FIGURES, math.nan)
    for series, value in counters.series.items():
        for figure in _figures_of(series):
            known = found[figure]
            found[figure] = value if math.isnan(known) else known + value
    if not math.isnan(found[Figure.REQUESTS]):
        # No request of a kind so far: a gateway may not even name the series.
        found |= {name: 0.0 for name in _OF_REQUESTS if math.isnan(found[name])}
    return Tally(counters.boots, tuple(found.values()))


def _whole(value: float) -> float | None:
    """Return a figure as JSON; what is a count is written as one."""
    if math.isnan(value):
        return None
    return int(value) if value == int(value) else value


def _figures_of(series: str) -> tuple[Figure, ...]:
    metric, _, rest = series.partition("{")
    if metric == f"{OVERHEAD}_sum":
        return (Figure.OVERHEAD_S,)
    if metric == f"{OVERHEAD}_count":
        return (Figure.OVERHEADS,)
    if metric not in {REQUESTS, BROKEN}:
        return ()
    labels = dict(_LABEL.findall(rest))
    if metric == REQUESTS:
        return _of_request(labels)
    return (Figure.ABANDONED if labels.get("cause") == "client" else Figure.BROKEN,)


def _of_request(labels: Mapping[str, str]) -> tuple[Figure, ...]:
    """Return what a request with these labels adds to: itself, how it ended, and as a stream."""
    status, streamed = labels.get("status", ""), labels.get("stream") == "true"
    code = int(status) if status.isdecimal() else 0
    found = [Figure.REQUESTS, *((Figure.STREAMS,) if streamed else ())]
    if code == _LEFT or (labels.get("model") == _UNREAD and is_senders_fault(code)):
        found += [Figure.LEFT, *((Figure.LEFT_STREAMS,) if streamed else ())]
    elif not 200 <= code < 300:
        found += [Figure.FAILED, *((Figure.FAILED_STREAMS,) if streamed else ())]
    return tuple(found)
