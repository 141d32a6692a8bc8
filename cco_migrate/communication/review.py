"""The figures of a review, each with where it comes from; an unknown one says why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cco_migrate.communication.settings import NoticeKind
from cco_migrate.communication.usage import SAMPLE, Usage
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.runs.attestations import Approval

UNKNOWN = "unknown"
FEEDBACK = "user-feedback"
"""The gate under which people's word about their content is recorded."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a review.

    Attributes:
        value: UNKNOWN when nobody knows.
        source: Where it comes from, or why it is not known.
        target: What was aimed at; empty where nothing was.
    """

    name: str
    value: str
    source: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """The figures of a stretch of time.

    Attributes:
        since: When the migration was done, aware.
        until: End of the stretch, aware.
        cut_short: Whether the review is written before the stretch is over.
    """

    since: datetime
    until: datetime
    cut_short: bool
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is on record of a stretch of time.

    Attributes:
        rollbacks: How many runs were taken back.
        approvals: What people said of the run.
    """

    usage: Usage | Unmeasured
    saved: Decimal | Unmeasured
    rollbacks: int
    approvals: tuple[Approval, ...] = ()


_UPTIME = Figure("Uptime", UNKNOWN, "measured only while a gate or a soak watches", "above 99.9 %")


def figures(kind: NoticeKind, recorded: Recorded) -> tuple[Figure, ...]:
    """Return what the cutover plan asks of a review a week, or four weeks later."""
    if kind is NoticeKind.WEEK_1:
        return (
            *_traffic(recorded.usage),
            _UPTIME,
            Figure("Rollbacks", str(recorded.rollbacks), "journals of this state root"),
            _feedback(recorded.approvals),
        )
    return (
        *_traffic(recorded.usage),
        _UPTIME,
        _streams(recorded.usage),
        _saved(recorded.saved),
        Figure("Rollbacks", str(recorded.rollbacks), "journals of this state root"),
        Figure("Incidents", UNKNOWN, "kept in no record the toolkit reads"),
        _feedback(recorded.approvals),
    )


def _traffic(usage: Usage | Unmeasured) -> tuple[Figure, ...]:
    names = ("Requests", "Error rate", "Latency to the last byte", "Time to the first token")
    if isinstance(usage, Unmeasured):
        return tuple(Figure(name, UNKNOWN, usage.why) for name in names)
    share = f"{usage.failed / usage.requests * 100:.2f} %" if usage.requests else UNKNOWN
    count = f"{usage.failed} of {usage.requests} requests"
    averaged = f"average of the newest {usage.sampled} requests"
    if usage.requests <= SAMPLE:
        averaged = f"average of {usage.sampled} requests"
    return (
        Figure(names[0], str(usage.requests), "the gateway's audit, verification included"),
        Figure(names[1], share, count, "below 0.1 %"),
        Figure(names[2], _milliseconds(usage.latency_ms), averaged),
        Figure(names[3], _milliseconds(usage.first_token_ms), averaged, "below 500 ms"),
    )


def _streams(usage: Usage | Unmeasured) -> Figure:
    name = "Streamed answers"
    if isinstance(usage, Unmeasured):
        return Figure(name, UNKNOWN, usage.why)
    share = f"{usage.streamed / usage.sampled * 100:.0f} %" if usage.sampled else UNKNOWN
    return Figure(name, share, f"{usage.streamed} of {usage.sampled} requests")


def _saved(saved: Decimal | Unmeasured) -> Figure:
    name = "Saved by overrides"
    if isinstance(saved, Unmeasured):
        return Figure(name, UNKNOWN, saved.why)
    return Figure(name, f"${saved:.2f}", "since the gateway began to count; subscriptions excluded")


def _feedback(approvals: Iterable[Approval]) -> Figure:
    words = [one for one in approvals if one.gate == FEEDBACK]
    if not words:
        return Figure("User feedback", UNKNOWN, f"nobody recorded any for the gate {FEEDBACK}")
    newest = max(words, key=lambda one: one.at)
    return Figure("User feedback", newest.scope, f"by word of {newest.by}, {newest.at:%Y-%m-%d}")


def _milliseconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f} ms".replace(",", " ")
