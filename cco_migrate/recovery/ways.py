"""The ways back, what is promised of each, and what was measured of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cco_migrate.verdict import Verdict

ROUNDS = 10
"""So many rounds make a rehearsal; fewer are shown and do not count."""


class Way(StrEnum):
    """A way back from the cutover."""

    FLAG = "flag"  # the switches are taken back
    BACKUP = "backup"  # every file is restored from the run's backup
    GIT = "git"  # the removal is reverted on a new branch, tested in a worktree
    BUNDLE = "bundle"  # the whole repository is restored into a new folder


PROMISE_S: Mapping[Way, float] = {Way.FLAG: 30, Way.BACKUP: 600, Way.GIT: 60, Way.BUNDLE: 600}
"""Within how many seconds all is back, by way; a backup and a bundle are full restores."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One way back, taken once.

    Attributes:
        seconds: From its beginning to the last proof; None when it did not come to that.
        recovered_s: From the restart until the last client had left what was taken back; None
            where no client had to, or the end was not seen.
        faults: What was not as before, or could not be shown to be; empty for a good one.
        requests: How many recorded requests were looked for afterwards.
        requests_lost: How many of them were not found.
        files: How many files were compared afterwards.
        files_different: How many were not as before, to the byte.
        streams: How many streams of clients ended whole meanwhile.
        streams_broken: How many did not.
    """

    way: Way
    seconds: float | None = None
    recovered_s: float | None = None
    faults: tuple[str, ...] = ()
    requests: int = 0
    requests_lost: int = 0
    files: int = 0
    files_different: int = 0
    streams: int = 0
    streams_broken: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one way back took.

    Attributes:
        seconds: Of every time it was taken, in order; never empty.
        recovered_s: As `Taken.recovered_s`, of the same times.
    """

    way: Way
    promise_s: float
    seconds: tuple[float, ...]
    recovered_s: tuple[float | None, ...]

    @property
    def p50_s(self) -> float:
        """The median, by nearest rank."""
        return nearest_rank(self.seconds, 50)

    @property
    def p95_s(self) -> float:
        """The 95th percentile, by nearest rank: of fewer than 20 times the longest."""
        return nearest_rank(self.seconds, 95)

    @property
    def verdict(self) -> Verdict:
        """NO-GO when the promise is not kept; INCONCLUSIVE while it was taken too seldom."""
        if self.p95_s > self.promise_s:
            return Verdict.NO_GO
        return Verdict.GO if len(self.seconds) >= ROUNDS else Verdict.INCONCLUSIVE


def timings(taken: Sequence[Taken]) -> tuple[Timing, ...]:
    """Return the times by way, in the order of `Way`; a way nobody came to the end of has none."""
    found = []
    for way in Way:
        ended = [one for one in taken if one.way is way and one.seconds is not None]
        seconds = tuple(one.seconds for one in ended if one.seconds is not None)
        if seconds:
            recovered = tuple(one.recovered_s for one in ended)
            found.append(Timing(way, PROMISE_S[way], seconds, recovered))
    return tuple(found)


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed: one that was measured.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]
