"""Growth of what a gateway counts of real traffic, minute by minute, with resets detected. Pure."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cco_migrate.judge.gate import Unmeasured
from cco_migrate.judge.means import WindowMeans
from cco_migrate.judge.moments import Moments
from cco_migrate.judge.outages import Outages, watch
from cco_migrate.judge.rates import Rate, design_effect
from cco_migrate.probes.footprint import Footprint
from cco_migrate.probes.glances import Glance, time_text
from cco_migrate.probes.tallies import FIGURES, Figure, Tally

MINUTE_S = 60.0
GROWTH_WINDOW_S = 600.0

_MIB = 1 << 20
_HOUR_S = 3600.0
_NONE = (0.0,) * len(FIGURES)
_AT = {figure: place for place, figure in enumerate(FIGURES)}


@dataclass(frozen=True, slots=True)
class Window:
    """What real traffic added to every figure since the window began.

    Attributes:
        minutes: Growth in the order of FIGURES, by minute since the epoch.
        compared: Pairs of readings that were compared.
        restarts: When new processes began to count from nought, in words: each one began the
            window anew.
        broken: When a count fell though no process was replaced, in words.
    """

    minutes: Mapping[int, tuple[float, ...]]
    compared: int = 0
    restarts: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def blocks(self, *figures: Figure) -> list[tuple[float, ...]]:
        """Return the growth of some figures in every minute."""
        places = [_AT[figure] for figure in figures]
        return [tuple(row[place] for place in places) for row in self.minutes.values()]


def window_of(glances: Iterable[Glance]) -> Window:
    """Return the window of glances in the order of time.

    A glance without counters leaves nothing out: the next one that has them tells the growth over
    both stretches. Growth with verification traffic in it is left out as a whole.
    """
    minutes: dict[int, tuple[float, ...]] = {}
    restarts, broken = [], []
    last: Tally | None = None
    compared, ours = 0, False
    for one in glances:
        ours = ours or one.ours
        if one.tally is None:
            continue
        if last is not None:
            compared += 1
            now, then = one.tally.figures, last.figures
            if any(map(operator.lt, now, then)):
                if one.tally.boots and one.tally.boots == last.boots:
                    broken.append(_fall(one, last, "in the same process"))
                else:
                    restarts.append(_fall(one, last, "with a new process"))
                    minutes.clear()
            elif not ours:
                minute = int(one.at_s // MINUTE_S)
                growth = map(operator.sub, now, then)
                minutes[minute] = tuple(map(operator.add, minutes.get(minute, _NONE), growth))
        last, ours = one.tally, False
    return Window(minutes, compared, tuple(restarts), tuple(broken))


def error_rate(window: Window) -> Rate | Unmeasured:
    """Return how many requests failed, whoever's fault it was; a broken stream is a failure."""
    rows = window.blocks(
        Figure.FAILED, Figure.BROKEN, Figure.REQUESTS, Figure.LEFT, Figure.ABANDONED
    )
    return _rate(rows, "requests by status")


def streaming_failures(window: Window) -> Rate | Unmeasured:
    """Return how many streams failed or had no terminal event."""
    rows = window.blocks(
        Figure.FAILED_STREAMS, Figure.BROKEN, Figure.STREAMS, Figure.LEFT_STREAMS, Figure.ABANDONED
    )
    return _rate(rows, "streams by how they ended")


def overhead_means(window: Window) -> WindowMeans | Unmeasured:
    """Return the gateway's overhead in ms, by minute: a lifetime average hides the present."""
    rows = window.blocks(Figure.OVERHEAD_S, Figure.OVERHEADS)
    if any(math.isnan(seconds) for seconds, _ in rows):
        return Unmeasured("the gateway does not count its overhead")
    return WindowMeans(Moments.of(1000 * seconds / made for seconds, made in rows if made))


def outages(glances: Sequence[Glance], spacing_s: float) -> Outages | Unmeasured:
    """Return how long the gateway was away since the first glance.

    Args:
        spacing_s: How often a glance was to be taken.
    """
    if not glances:
        return Unmeasured("nobody looked")
    return watch(glances, spacing_s, glances[0].at_s)


def growth_means(
    glances: Iterable[Glance], size: Callable[[Footprint], int]
) -> WindowMeans | Unmeasured:
    """Return how fast a size grows, in MiB per hour, window of ten minutes by window.

    A size that halves is another process or an emptied store: no growth, and left out.
    """
    last = {int(one.at_s // GROWTH_WINDOW_S): one for one in glances if one.footprint}
    ends = [(one.at_s, size(one.footprint)) for one in last.values() if one.footprint]
    if not ends:
        return Unmeasured("the state root is not known: give --home on the gateway's machine")
    grown = (
        (now[1] - then[1]) / _MIB / (now[0] - then[0]) * _HOUR_S
        for then, now in pairwise(ends)
        if now[0] > then[0] and now[1] >= then[1] // 2
    )
    return WindowMeans(Moments.of(grown))


def _rate(rows: Sequence[tuple[float, ...]], what: str) -> Rate | Unmeasured:
    """Return a rate of rows of (failed, broken, made, left, abandoned), a minute each."""
    if any(math.isnan(value) for row in rows for value in row):
        return Unmeasured(f"the gateway does not count {what}")
    # A stream that its client breaks off within one reading may end in the next: never below 0.
    blocks = tuple(
        (round(failed + broken), max(round(made - left - abandoned), round(failed + broken)))
        for failed, broken, made, left, abandoned in rows
    )
    k, n = sum(block[0] for block in blocks), sum(block[1] for block in blocks)
    aborted = round(math.fsum(left + abandoned for _, _, _, left, abandoned in rows))
    return Rate(k, n, aborted, design_effect=design_effect(blocks))


def _fall(now: Glance, last: Tally, how: str) -> str:
    figures = now.tally.figures if now.tally else ()
    name, value, before = next(
        (name, value, before)
        for name, value, before in zip(FIGURES, figures, last.figures, strict=True)
        if value < before
    )
    return f"{name} fell from {before:g} to {value:g} {how} at {time_text(now.at_s)}"
