"""What a soak saw over time, as lines: gathered, scaled, and told in a sentence. Pure.

Where nothing was measured there is a gap in the line, never a nought; one point is no line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean, median

from cco_migrate.durations import show_duration
from cco_migrate.model import JsonObject
from cco_migrate.soak.evidence import OVERHEAD_S, OVERHEADS, OVERRIDDEN, Look, Tally

WIDTH, HEIGHT = 1000.0, 100.0
"""Of the drawing that paths are scaled to."""
POINTS = 60
"""Of a line, at most."""
_GAP = 3.0  # usual times between two looks after which nobody watched
_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity over time.

    Attributes:
        read: Returns its value in a stretch; None when it was not measured there.
    """

    title: str
    unit: str
    read: Callable[[Stretch], float | None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A few looks that follow on each other.

    Attributes:
        looks: At least one.
        before: The last look before them; None for the first stretch.
    """

    looks: Sequence[Look]
    before: Look | None

    def a_minute(self, count: float | None) -> float | None:
        """Return a count of the stretch per minute; None when it took no time, or has no begin."""
        if count is None or self.before is None:
            return None
        took_s = (self.looks[-1].at - self.before.at).total_seconds()
        return 60 * count / took_s if took_s > 0 else None

    def growth(self, counter: str) -> float | None:
        """Return by how much a counter grew; None when it was not read, or began anew."""
        grown: list[float] = []
        for then, now in pairwise((*([self.before] if self.before else []), *self.looks)):
            old, new = (one.counters.values.get(counter) for one in (then, now))
            anew = then.counters.boots != now.counters.boots
            if old is None or new is None or new < old or anew:
                continue
            grown.append(new - old)
        return math.fsum(grown) if grown else None


@dataclass(frozen=True, slots=True)
class Point:
    """A value; None where it was not measured.

    Attributes:
        at_s: Seconds since the first look.
    """

    at_s: float
    value: float | None


def over_time(looks: Sequence[Look]) -> list[JsonObject]:
    """Return a line for each quantity that was measured at two times at least."""
    at_s = _seconds(looks)
    if not at_s or not at_s[-1]:
        return []
    groups = list(_groups(len(looks)))
    apart_s = _GAP * median(after - before for before, after in pairwise(at_s))
    lines = []
    for series in SERIES:
        points: list[Point] = []
        for begin, end in groups:
            if begin and at_s[begin] - at_s[begin - 1] > apart_s:
                points.append(Point((at_s[begin] + at_s[begin - 1]) / 2, None))
            stretch = Stretch(looks[begin:end], looks[begin - 1] if begin else None)
            points.append(Point(fmean(at_s[begin:end]), series.read(stretch)))
        if len(_known(points)) > 1:
            lines.append(_line(series, points, at_s[-1]))
    return lines


def _seconds(looks: Sequence[Look]) -> list[float]:
    """Return when each look was, on a scale on which a clock that is set back stands still."""
    since = ((look.at - looks[0].at).total_seconds() for look in looks)
    return list(accumulate(since, max))


def _groups(count: int) -> Iterator[tuple[int, int]]:
    """Yield the first look of each stretch and that of the next; they are of almost one size."""
    made = min(POINTS, count)
    yield from pairwise(number * count // made for number in range(made + 1))


def _line(series: Series, points: Sequence[Point], end_s: float) -> JsonObject:
    known = _known(points)
    top = _ceiling(max(known))
    marks = (0.0, 0.5, 1.0)
    return {
        "title": series.title,
        "unit": series.unit,
        "points": [{"at_s": round(one.at_s, 3), "value": one.value} for one in points],
        "path": _path(points, end_s, top),
        "x_ticks": [{"share": 100 * at, "label": show_duration(end_s * at)} for at in marks],
        "y_ticks": [{"share": 100 * (1 - at), "label": f"{top * at:g}"} for at in marks],
        "said": _said(series, known, end_s),
    }


def _path(points: Sequence[Point], end_s: float, top: float) -> str:
    """Return the path of an SVG; a point between two gaps is a line of no length: a dot."""
    parts, pen = [], "M"
    for place, one in enumerate(points):
        if one.value is None:
            pen = "M"
            continue
        at = f"{WIDTH * one.at_s / end_s:.1f} {HEIGHT * (1 - one.value / top):.1f}"
        follows = place + 1 < len(points) and points[place + 1].value is not None
        parts.append(f"{pen}{at}" + ("h0" if pen == "M" and not follows else ""))
        pen = "L"
    return "".join(parts)


def _said(series: Series, known: Sequence[float], end_s: float) -> str:
    low, high, last = (f"{value:.4g}" for value in (min(known), max(known), known[-1]))
    return (
        f"{series.title} ({series.unit}) over {show_duration(end_s)}: between {low} and {high}, "
        f"at the end {last}; {len(known)} points"
    )


def _ceiling(value: float) -> float:
    """Return the next round number that is no less; 1 for a line that lies on nought."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def _known(points: Sequence[Point]) -> list[float]:
    return [one.value for one in points if one.value is not None]


def _answered(over: Stretch) -> float | None:
    return 100 * sum(look.up for look in over.looks) / len(over.looks)


def _ended(name: str) -> Callable[[Stretch], float | None]:
    def read(over: Stretch) -> float | None:
        tallies = _tallies(over, name)
        return over.a_minute(sum(one.n for one in tallies)) if tallies else None

    return read


def _failed(name: str) -> Callable[[Stretch], float | None]:
    def read(over: Stretch) -> float | None:
        tallies = _tallies(over, name)
        made = sum(one.n for one in tallies)
        return 100 * sum(one.k for one in tallies) / made if made else None

    return read


def _tallies(over: Stretch, name: str) -> list[Tally]:
    return [look.tallies[name] for look in over.looks if name in look.tallies]


def _overhead(over: Stretch) -> float | None:
    spent_s, made = over.growth(OVERHEAD_S), over.growth(OVERHEADS)
    return 1000 * spent_s / made if made and spent_s is not None else None


def _billed(over: Stretch) -> float | None:
    charges = [look.charges for look in over.looks if look.charges is not None]
    billed = over.a_minute(float(sum(one.billed_usd for one in charges))) if charges else None
    return None if billed is None else 60 * billed


def _overridden(over: Stretch) -> float | None:
    return over.a_minute(over.growth(OVERRIDDEN))


SERIES = (
    Series("Health endpoint answered", "% of the looks", _answered),
    Series("Requests", "that ended, a minute", _ended("error-rate")),
    Series("Errors", "% of the requests", _failed("error-rate")),
    Series("Broken streams", "% of the streams", _failed("streaming-failures")),
    Series("Overhead of the gateway", "ms a request", _overhead),
    Series("Overrides", "requests a minute", _overridden),
    Series("Cost", "US dollars billed, an hour", _billed),
)
"""What is drawn of a soak, in this order."""
