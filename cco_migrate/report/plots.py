"""Plots as inline SVG: bars, ranges, lines. Only this module knows the charting library. Pure.

A plot brings no style, script, date or id: of what the library makes, shapes, words and classes
are kept, and the stylesheet of the page gives them colour and size. All are of one width, so that
a page which shows them at that width shows their words at their true size. Importing this module
takes back what importing the library did to Python's importers.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pygal
from pygal.style import Style

# It adds an importer for plugins with maps, of a kind that Python has given up: each import warns.
sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, pygal.PluginImportFixer)]

WIDTH = 360
"""Of a plot, in its own units: the pixels it has on a phone."""
_FONT, _ROW, _PLOT = 12, 24, 150
_COLOURS = 6  # that the page has for lines
_SHORTEST = 0.006  # of the whole width: what has no length is still to be seen
_STEPS = (1.0, 2.0, 5.0, 10.0)
_STYLE = Style(
    label_font_size=_FONT, major_label_font_size=_FONT, value_font_size=_FONT,
    legend_font_size=_FONT,
)  # fmt: skip
_LOOK = {
    "css": (), "js": (), "no_prefix": True, "style": _STYLE, "show_legend": False, "margin": 4,
    "spacing": 6, "truncate_label": -1, "truncate_legend": -1, "width": WIDTH,
}  # fmt: skip
_SHAPES = frozenset({"g", "path", "rect", "circle", "text"})
_KEPT = ("d", "x", "y", "width", "height", "cx", "cy", "r", "transform")
_LEFT_OUT = frozenset({"background", "tooltip-overlay"})
_IDLE = re.compile(r"reactive|tooltip-trigger|activate-serie|always_show|serie-\d+")
_DIGITS = re.compile(r"\d+\.\d{2,}")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        shown: Its value in words, written at its end.
        kind: A class of the page.
    """

    label: str
    value: float
    shown: str
    kind: str


@dataclass(frozen=True, slots=True)
class Range:
    """What lies between two values.

    Attributes:
        marks: Values between them that are marked.
        kind: A class of the page.
    """

    label: str
    low: float
    high: float
    kind: str
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured over time; a value is None where nothing was.

    Attributes:
        points: Pairs of seconds and value; one of them at least has a value.
    """

    label: str
    points: tuple[tuple[float, float | None], ...]


def bars_of(bars: Sequence[Bar]) -> str:
    """Draw a bar below the other, each from zero, with its value in words at its end."""
    longest = max(bar.value for bar in bars)
    room = 0.75 * _FONT * max(len(bar.shown) for bar in bars) / WIDTH
    chart = pygal.HorizontalBar(**{
        **_LOOK, "height": _ROW * len(bars) + 8, "show_x_labels": False, "print_values": True,
        "print_values_position": "top", "range": (0, longest * (1 + 2 * room)),
    })  # fmt: skip
    upwards = tuple(reversed(bars))  # the library's first bar is the lowest one
    chart.x_labels = [bar.label for bar in upwards]
    shown = {bar.value: bar.shown for bar in bars}
    chart.add("", [{"value": bar.value, "node": {"class": bar.kind}} for bar in upwards],
              formatter=shown.__getitem__)  # fmt: skip
    said = "; ".join(f"{bar.label}: {bar.shown}" for bar in bars)
    return _svg(chart, ("",), said)


def ranges(
    rows: Sequence[Range], bounds: Sequence[tuple[float, str]], said: str,
    *, end: float = 0.0, unit: str = "",
) -> str:  # fmt: skip
    """Draw each range as a thick line in a row of its own, each bound across all rows.

    Args:
        bounds: Values, each with a class of the page.
        end: The axis goes from zero to this at least.
        unit: Written at the end of the axis.
    """
    top = _ceiling(max([end, *(row.high for row in rows), *(value for value, _ in bounds)]))
    chart = pygal.XY(**{
        **_LOOK, "height": _ROW * len(rows) + 26, "show_dots": False, "xrange": (0, top),
        "range": (-0.5, len(rows) - 0.5), "show_x_guides": True, "show_y_guides": False,
        "margin_right": 28, "margin_left": 8,
    })  # fmt: skip
    places = range(len(rows) - 1, -1, -1)
    chart.x_labels = _marks(top, _plain, unit)
    chart.y_labels = [
        {"value": at, "label": row.label} for at, row in zip(places, rows, strict=True)
    ]
    chart.show_y_labels = any(row.label for row in rows)
    kinds: list[str] = []
    for at, row in zip(places, rows, strict=True):
        chart.add("", [(row.low, at), (max(row.high, row.low + _SHORTEST * top), at)])
        kinds.append(f"range {row.kind}")
        for mark in row.marks:
            chart.add("", [(mark, at - 0.4), (mark, at + 0.4)])
            kinds.append("mean")
    for value, kind in bounds:
        chart.add("", [(value, -0.5), (value, len(rows) - 0.5)])
        kinds.append(kind)
    return _svg(chart, kinds, said)


def over_time(
    lines: Sequence[Line], end_s: float, show_time: Callable[[float], str], said: str
) -> str:
    """Draw all lines on one axis of time that ends so many seconds from its begin.

    Args:
        show_time: Writes seconds in words, for the axis.
    """
    known = (value for line in lines for _, value in line.points if value is not None)
    top, named = _ceiling(max(known)), len(lines) > 1
    below = 18 * math.ceil(len(lines) / 2) * named  # two names a row
    chart = pygal.XY(**{
        **_LOOK, "height": _PLOT + below, "margin_bottom": 4 + max(below - 12, 0),
        "show_dots": False, "allow_interruptions": True, "range": (0, top), "xrange": (0, end_s),
        "show_legend": named, "legend_at_bottom": True, "legend_at_bottom_columns": 2,
        "margin_right": 4 + round(0.35 * _FONT * len(show_time(end_s))),
    })  # fmt: skip
    chart.x_labels, chart.y_labels = _marks(end_s, show_time), _marks(top, _plain)
    for line in lines:
        chart.add(line.label, list(_drawable(line.points)))
    return _svg(chart, [f"line-{number % _COLOURS}" for number in range(len(lines))], said)


def _drawable(
    points: Sequence[tuple[float, float | None]],
) -> Iterator[tuple[float, float | None]]:
    """Yield each point; one between two gaps comes twice: a line of no length is a dot."""
    values = [None, *(value for _, value in points), None]
    for number, point in enumerate(points):
        yield point
        if point[1] is not None and values[number] is values[number + 2] is None:
            yield point


def _marks(top: float, show: Callable[[float], str], unit: str = "") -> list[dict[str, object]]:
    ends = ("", "", f" {unit}" if unit else "")
    return [
        {"value": top * at, "label": show(top * at) + end}
        for at, end in zip((0.0, 0.5, 1.0), ends, strict=True)
    ]


def _plain(value: float) -> str:
    return f"{value:g}"


def _ceiling(value: float) -> float:
    """Return the next round number that is no less; 1 for what lies on nought."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def _svg(chart: Any, kinds: Sequence[str], said: str) -> str:  # Any: the library has no types
    drawn = chart.render_tree()
    inside, box = "".join(_markup(node, kinds) for node in drawn), drawn.get("viewBox")
    told = f'role="img" aria-label="{escape(said)}"'
    return f'<svg class="chart" viewBox="{box}" {told}>{inside}</svg>'


def _markup(node: Any, kinds: Sequence[str]) -> str:
    """Return a node of the library with what the page needs of it; empty for what it does not."""
    classes = [one for one in node.get("class", "").split() if not _IDLE.fullmatch(one)]
    if node.tag not in _SHAPES or _LEFT_OUT & {*classes}:
        return ""
    inside = "".join(_markup(child, kinds) for child in node)
    words = escape(node.text or "")
    if node.tag == "g" and not inside:
        return ""
    named = " ".join(kinds[int(one[6:])] if one.startswith("color-") else one for one in classes)
    given = {"class": named.strip(), **{name: node.get(name) for name in _KEPT}}
    text = "".join(f' {name}="{_short(value)}"' for name, value in given.items() if value)
    return f"<{node.tag}{text}>{words}{inside}</{node.tag}>"


def _short(value: str) -> str:
    return escape(_DIGITS.sub(lambda found: f"{float(found[0]):.1f}", value))
