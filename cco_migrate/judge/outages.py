"""How long a service was away, from probes that only see it now and then. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import MIN_COVERAGE, Estimate
from cco_migrate.judge.terms import Terms

DAY_S = 86_400.0
_LATE = 1.5  # spacings after which a probe counts as missing


class Sighting(Protocol):
    """Whatever tells when it looked, and whether the service answered."""

    @property
    def at_s(self) -> float:
        """Seconds on the clock of the window."""

    @property
    def up(self) -> bool:
        """Whether it answered."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One look at a service.

    Attributes:
        at_s: Seconds on the clock of the window.
        up: Whether it answered. A probe that could not be made is left out: unknown is not up.
    """

    at_s: float
    up: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """Announced work: seconds of its begin and end."""

    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Outages:
    """What the probes of a window prove; times in seconds.

    Attributes:
        begin_s: When the window begins.
        through_s: Time of the last probe.
        outages: Stretches of failing probes.
        shortest_s: The service was away at least so long, outside planned work.
        longest_s: It was away at most so long, outside planned work, unseen time included.
        planned_shortest_s: At least so long within planned work.
        planned_longest_s: At most so long within planned work.
        unseen_s: Time that no probe vouches for.
        open_s: How long it may go on being away after the last probe, which failed; 0 when it did
            not.
    """

    begin_s: float
    through_s: float
    probes: int
    failed: int
    outages: int
    shortest_s: float
    longest_s: float
    planned_shortest_s: float
    planned_longest_s: float
    unseen_s: float
    open_s: float

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the share of the window that was lost; what is still to come counts as unknown."""
        planned = criterion.counts_planned_work
        shortest = self.shortest_s + (self.planned_shortest_s if planned else 0.0)
        longest = self.longest_s + (self.planned_longest_s if planned else 0.0)
        elapsed = self.through_s - self.begin_s
        window = max(criterion.window_s or 0.0, elapsed)
        longest += max(window - elapsed, self.open_s)
        coverage = 1 - self.unseen_s / elapsed if elapsed else 0.0
        said = (
            f"{self.outages} outages, {shortest:.0f} to {longest:.0f} s of {window:.0f} s "
            f"away or unseen; planned work {'counts' if planned else 'does not count'}"
        )
        missing = f"only {coverage:.1%} of the time was watched"
        # Too few probes cannot prove GO; what the others saw still happened.
        return Estimate(
            self.probes,
            shortest / window if window else 0.0,
            longest / window if window else 1.0,
            said,
            k=self.failed,
            obstacle=missing if coverage < MIN_COVERAGE else "",
            facts={
                "shortest_s": shortest,
                "longest_s": longest,
                "outages_per_day_upper": self._frequency_upper(elapsed, terms.alpha),
            },
        )

    def _frequency_upper(self, elapsed_s: float, alpha: float) -> float | None:
        return poisson_upper(self.outages, alpha) / (elapsed_s / DAY_S) if elapsed_s else None


def watch(
    probes: Iterable[Sighting], spacing_s: float, begin_s: float, planned: Sequence[Planned] = ()
) -> Outages:
    """Return what probes in the order of time prove about a window.

    Args:
        spacing_s: How often a probe was to be made.
        begin_s: When the window begins.
        planned: Announced work, none of it overlapping.
    """
    known: tuple[Sighting, ...] = tuple(probes)
    shortest = longest = planned_shortest = planned_longest = unseen = 0.0
    late_s = _LATE * spacing_s
    outages = 0
    # Before the first probe nobody looked: as if the service had been up.
    for before, after in pairwise((Probe(begin_s, up=True), *known)):
        gap = after.at_s - before.at_s
        if gap < 0:
            raise ValueError(f"probes are out of order at {after.at_s} s")
        if before.up and after.up and gap <= late_s:
            continue
        missing = gap - spacing_s if gap > late_s else 0.0
        unseen += missing
        outages += before.up and not after.up
        if before.up and after.up:
            longest += missing
            continue
        work = _overlap(before.at_s, after.at_s, planned) if planned else 0.0
        longest, planned_longest = longest + gap - work, planned_longest + work
        if not (before.up or after.up or missing):
            shortest, planned_shortest = shortest + gap - work, planned_shortest + work
    last = known[-1] if known else Probe(begin_s, up=True)
    return Outages(
        begin_s, last.at_s, len(known), sum(not probe.up for probe in known), outages,
        shortest, longest, planned_shortest, planned_longest, unseen,
        open_s=0.0 if last.up else spacing_s,
    )  # fmt: skip


def budget_s(availability: float, window_s: float) -> float:
    """Return how many seconds of a window may be lost."""
    return (1 - availability) * window_s


def poisson_upper(count: int, alpha: float) -> float:
    """Return the one-sided upper bound of the expected number when `count` were seen."""
    low, high = float(count), count + 10 + 10 * math.sqrt(count + 1) - math.log(alpha)
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        terms = (
            math.exp(i * math.log(middle) - middle - math.lgamma(i + 1)) for i in range(count + 1)
        )
        low, high = (middle, high) if math.fsum(terms) > alpha else (low, middle)
    return low


def long_run_availability(outages: int, days: float, repair_s: float, alpha: float) -> float:
    """Return the availability that is proved beyond the window, if each outage takes `repair_s`.

    A clean window is a fact about the window; the next outage may just not have happened yet.
    """
    return 1 - poisson_upper(outages, alpha) / days * repair_s / DAY_S


def clean_days_to_claim(availability: float, repair_s: float, alpha: float) -> float:
    """Return the days without outage after which an availability is proved for the long run."""
    return -math.log(alpha) * repair_s / DAY_S / (1 - availability)


def _overlap(begin_s: float, end_s: float, planned: Sequence[Planned]) -> float:
    spans = (min(end_s, work.end_s) - max(begin_s, work.begin_s) for work in planned)
    return sum(span for span in spans if span > 0)
