"""What the soaks saw over time, as lines: gathered, and told in a sentence. Pure.

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
from cco_migrate.soak.evidence import OVERHEAD_S, OVERHEADS, OVERRIDDEN
from cco_migrate.soak.looks import Look, Tally

POINTS = 60
"""Of a line, at most."""
_GAP = 3.0  # usual times between two looks after which nobody watched


@dataclass(frozen=True, slots=True)
class Stage:
    """The looks of one soak.

    Attributes:
        name: For people, e.g. "canary of 5 %"; empty for the only soak of a run.
    """

    name: str
    looks: Sequence[Look]


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


def over_time(stages: Sequence[Stage]) -> list[JsonObject]:
    """Return a line for each quantity, of each stage that measured it at two times at least.

    Lines of one quantity follow on each other, in the order of the stages; time counts from the
    first look of the first one.
    """
    at_s = _seconds([look for stage in stages for look in stage.looks])
    if not at_s or not at_s[-1]:
        return []
    lines = []
    for series in SERIES:
        begin = 0
        for stage in stages:
            times = at_s[begin : begin + len(stage.looks)]
            begin += len(stage.looks)
            points = list(_points(series, stage.looks, times))
            if len(_known(points)) > 1:
                lines.append(_line(series, stage, points, (times[-1] - times[0], at_s[-1])))
    return lines


def _points(series: Series, looks: Sequence[Look], at_s: Sequence[float]) -> Iterator[Point]:
    """Yield the value of each stretch of a stage, and None in the middle of each gap."""
    if len(looks) < 2:
        return
    apart_s = _GAP * median(after - before for before, after in pairwise(at_s))
    for begin, end in _groups(len(looks)):
        if begin and at_s[begin] - at_s[begin - 1] > apart_s:
            yield Point((at_s[begin] + at_s[begin - 1]) / 2, None)
        stretch = Stretch(looks[begin:end], looks[begin - 1] if begin else None)
        yield Point(fmean(at_s[begin:end]), series.read(stretch))


def _seconds(looks: Sequence[Look]) -> list[float]:
    """Return when each look was, on a scale on which a clock that is set back stands still."""
    since = ((look.at - looks[0].at).total_seconds() for look in looks)
    return list(accumulate(since, max))


def _groups(count: int) -> Iterator[tuple[int, int]]:
    """Yield the first look of each stretch and that of the next; they are of almost one size."""
    made = min(POINTS, count)
    yield from pairwise(number * count // made for number in range(made + 1))


def _line(
    series: Series, stage: Stage, points: Sequence[Point], lasted_s: tuple[float, float]
) -> JsonObject:
    """Return the line of a stage; given how long it lasted, and all stages together."""
    return {
        "title": series.title,
        "unit": series.unit,
        "stage": stage.name,
        "points": [{"at_s": round(one.at_s, 3), "value": one.value} for one in points],
        "end_s": round(lasted_s[1], 3),
        "said": _said(series, stage, _known(points), lasted_s[0]),
    }


def _said(series: Series, stage: Stage, known: Sequence[float], lasted_s: float) -> str:
    low, high, last = (f"{value:.4g}" for value in (min(known), max(known), known[-1]))
    return (
        f"{stage.name + ': ' if stage.name else ''}{series.title} ({series.unit}) over "
        f"{show_duration(lasted_s)}: between {low} and {high}, at the end {last}; "
        f"{len(known)} points"
    )


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
"""What is drawn of each soak, in this order."""
