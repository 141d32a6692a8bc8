"""Does the evidence belong together: the planned configuration, no lost counter? Pure.

What is explained, by a new process or a reload in time, only begins the window anew. What is not
is a fault of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cco_migrate.judge.criterion import Criterion
from cco_migrate.judge.ruling import Estimate
from cco_migrate.judge.terms import Terms


@dataclass(frozen=True, slots=True)
class Invariant:
    """Something that must hold everywhere.

    Attributes:
        checked: Places looked at; 0 when nobody could look.
        broken: Where it does not hold, and nothing explains it.
        explained: Where it does not hold for a known reason.
    """

    checked: int
    broken: tuple[str, ...] = ()
    explained: tuple[str, ...] = ()

    def estimate(self, criterion: Criterion, terms: Terms) -> Estimate:
        """Return the number of places where it is broken."""
        wrong = len(self.broken)
        said = f"{wrong} of {self.checked} contradict" + _listed(self.broken)
        waits = "" if wrong else _listed(self.explained).removeprefix(": ")
        return Estimate(
            self.checked,
            wrong,
            wrong,
            said,
            k=wrong,
            obstacle=f"{waits}; the window begins anew" if waits else "",
            restart=bool(self.explained),
            facts={"broken": list(self.broken), "explained": list(self.explained)},
        )


@dataclass(frozen=True, slots=True)
class Reload:
    """A replacement of workers that goes on: for so many seconds, with so many allowed."""

    since_s: float
    deadline_s: float

    @property
    def overdue(self) -> bool:
        """Whether it should have ended."""
        return self.since_s > self.deadline_s


@dataclass(frozen=True, slots=True)
class CounterReading:
    """One reading of a cumulative counter of a process."""

    name: str
    boot_id: str
    value: float


def loaded(workers: Mapping[str, str], wanted: str, reload: Reload | None = None) -> Invariant:
    """Return whether every worker has loaded the planned configuration.

    Args:
        workers: Fingerprint by name of the worker.
        wanted: Fingerprint of the plan.
        reload: The reload that goes on; None when there is none.
    """
    stale = tuple(
        f"{name} has {fingerprint or 'no fingerprint'}, planned is {wanted}"
        for name, fingerprint in workers.items()
        if fingerprint != wanted
    )
    if stale and reload is not None and not reload.overdue:
        return Invariant(len(workers), explained=(*stale, "a reload goes on"))
    late = (f"the reload takes {reload.since_s:.0f} s",) if stale and reload is not None else ()
    return Invariant(len(workers), broken=(*stale, *late))


def consistent(readings: Iterable[CounterReading]) -> Invariant:
    """Return whether counters only grew, read in order of time; a new process may begin at 0."""
    last: dict[str, CounterReading] = {}
    broken, explained, checked = [], [], 0
    for reading in readings:
        checked += 1
        before = last.get(reading.name)
        last[reading.name] = reading
        if before is None or reading.value >= before.value:
            continue
        fell = f"{reading.name} fell from {before.value:g} to {reading.value:g}"
        if reading.boot_id == before.boot_id:
            broken.append(f"{fell} in the same process")
        else:
            explained.append(f"{fell} with a new process")
    return Invariant(checked, tuple(broken), tuple(explained))


def _listed(faults: tuple[str, ...]) -> str:
    return f": {'; '.join(faults)}" if faults else ""
