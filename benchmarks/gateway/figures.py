"""What is measured, the bar of each figure, and the table they make. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

_HEAD = ("", "unit", "gateway", "nginx", "× nginx", "direct", "bar", "")


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure is to reach.

    Attributes:
        at_least: Whether more is better.
    """

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Return whether a value reaches it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def eased(self, factor: float) -> Bar:
        """Return a bar that is missed only by more than a factor."""
        return Bar(self.limit / factor if self.at_least else self.limit * factor, self.at_least)

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {_number(self.limit)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that is measured.

    Attributes:
        bar: None for what is only told.
    """

    title: str
    unit: str
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    Attributes:
        key: Of FIGURES.
        nginx: The same of nginx as a plain reverse proxy; None where it has no meaning.
        direct: The same of the upstream itself; None where it has no meaning.
    """

    key: str
    gateway: float
    nginx: float | None = None
    direct: float | None = None


_MILLION, _THOUSAND = "M instr. a request", "k instr. an event"

FIGURES: Mapping[str, Figure] = {
    "json_1k": Figure("JSON, 1 KB request, 16 connections", _MILLION, Bar(0.40)),
    "json_60k": Figure("JSON, 60 KB request", _MILLION, Bar(1.0)),
    "json_rules": Figure("JSON, 1 KB request, 10,000 override rules", _MILLION),
    "json_rules_ratio": Figure("10,000 rules against 3", "ratio", Bar(1.02)),
    "stream_event": Figure("stream of 100 events, its request included", _THOUSAND, Bar(60)),
    "stream_event_alone": Figure("each further event of a stream", _THOUSAND),
    "translated_event": Figure("translated stream, its request included", _THOUSAND, Bar(150)),
    "translated_event_alone": Figure("each further event of it", _THOUSAND),
    "paced_broken": Figure("200 paced streams: broken", "streams", Bar(0)),
    "paced_faults": Figure("200 paced streams: lost, doubled, reordered", "deltas", Bar(0)),
    "paced_glued": Figure("200 paced streams: glued", "deltas", Bar(0)),
    "paced_delay_p50": Figure("200 paced streams: delay of a delta, p50", "ms"),
    "paced_delay_p99": Figure("200 paced streams: delay of a delta, p99", "ms"),
    "translated_broken": Figure("200 translated streams: broken", "streams", Bar(0)),
    "translated_faults": Figure("200 translated: lost, doubled, reordered", "deltas", Bar(0)),
    "translated_glued": Figure("200 translated streams: glued", "deltas", Bar(0)),
    "ttfb": Figure("first byte of a stream, 1 connection, p50", "ms"),
    "ttfb_added": Figure("added to it", "ms", Bar(1.0)),
    "idle_mb": Figure("memory, idle", "MB", Bar(60)),
    "streams_mb": Figure("memory, 500 streams", "MB", Bar(90)),
    "busy_per_s": Figure("requests with 500 connections", "a second", Bar(1000, at_least=True)),
    "busy_mb": Figure("memory meanwhile", "MB", Bar(256)),
}


def table(rows: Iterable[Row]) -> str:
    """Return the figures as a Markdown table."""
    lines = [_line(_HEAD), _line(("---", "---", *["---:"] * 4, "---", "---"))]
    return "\n".join([*lines, *(_line(_cells(row)) for row in rows)])


def document(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Return the figures for JSON, each with its bar and whether it is met (None: no bar)."""
    found = []
    for row in rows:
        bar = FIGURES[row.key].bar
        met = None if bar is None else bar.met(row.gateway)
        found.append({**asdict(row), "bar": None if bar is None else str(bar), "met": met})
    return found


def missed(rows: Iterable[Mapping[str, Any]], factor: float) -> list[str]:  # Any: JSON
    """Return a line for each figure of a document that misses its bar.

    Args:
        factor: By how much it may, where work beside it has its share: 1.1 allows a tenth.
    """
    lines = []
    for row in rows:
        figure, value = FIGURES[row["key"]], row["gateway"]
        if figure.bar is not None and not figure.bar.eased(factor).met(value):
            lines.append(f"{figure.title}: {_number(value)} {figure.unit}, the bar is {figure.bar}")
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    figure = FIGURES[row.key]
    times = "" if not row.nginx else f"{row.gateway / row.nginx:.1f}"
    verdict = "" if figure.bar is None else "met" if figure.bar.met(row.gateway) else "**missed**"
    values = (_number(row.gateway), _cell(row.nginx), times, _cell(row.direct))
    return (figure.title, figure.unit, *values, str(figure.bar or ""), verdict)


def _cell(value: float | None) -> str:
    return "" if value is None else _number(value)


def _number(value: float) -> str:
    """Return a value with three digits that count."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
