"""The phases of a cutover as days of the calendar, around days off and freeze windows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from cco_migrate.errors import InvalidInput

_DAY = timedelta(days=1)
_PATIENCE_DAYS = 731  # a change that has not found its days in two years finds none


class Work(StrEnum):
    """What is done on the days of an activity."""

    CHANGE = "change"  # goes forward: only on days that are neither off nor frozen
    WATCH = "watch"  # traffic goes on every day, and so does the watching
    PREPARE = "prepare"


@dataclass(frozen=True, slots=True)
class Activity:
    """A stretch of days of one phase.

    Attributes:
        id: Unique in its phase; part of the identity of its entry in a calendar.
    """

    id: str
    title: str
    work: Work
    days: int


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the cutover.

    Attributes:
        announced: Whether users notice it, so that they are told before and after.
    """

    number: int
    title: str
    announced: bool
    activities: tuple[Activity, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """An activity on its days, first and last included.

    Attributes:
        wanted: The day it would have begun on, had that been possible.
    """

    phase: Phase
    activity: Activity
    first: date
    last: date
    wanted: date

    @property
    def moved(self) -> bool:
        """Whether days off or a freeze moved it."""
        return self.first != self.wanted


CUTOVER: tuple[Phase, ...] = (
    Phase(1, "validation", False, (
        Activity("deploy", "the gateway goes to staging and development", Work.CHANGE, 2),
        Activity("watch", "traffic is watched, users are heard", Work.WATCH, 3),
        Activity("prepare", "findings are mended, phase 2 is made ready", Work.PREPARE, 2),
    )),
    Phase(2, "soft cutover", True, (
        Activity("deploy", "the gateway becomes the only route", Work.CHANGE, 1),
        Activity("watch", "traffic is watched, what is critical is mended", Work.WATCH, 4),
        Activity("prepare", "phase 3 is made ready", Work.PREPARE, 2),
    )),
    Phase(3, "hard cutover", True, (
        Activity("deploy", "the old proxy is removed", Work.CHANGE, 1),
        Activity("watch", "traffic is watched, day by day", Work.WATCH, 6),
    )),
)  # fmt: skip
"""The cutover plan's three weeks; source: gateway cutover plan, migration timeline."""


def schedule(
    phases: Iterable[Phase], start: date, is_open: Callable[[date], bool]
) -> tuple[Block, ...]:
    """Return every activity on its days, in order.

    Args:
        is_open: Whether something may go forward on a day.

    Raises:
        InvalidInput: A change finds no days on which it may be made.
    """
    blocks: list[Block] = []
    day = start
    for phase in phases:
        for activity in phase.activities:
            first = day if activity.work is not Work.CHANGE else _first(activity, day, is_open)
            last = first + (activity.days - 1) * _DAY
            blocks.append(Block(phase, activity, first, last, day))
            day = last + _DAY
    return tuple(blocks)


def total_days(blocks: Sequence[Block]) -> int:
    """Return how many days lie between the first and the last, both included."""
    return (blocks[-1].last - blocks[0].first).days + 1


def _first(activity: Activity, wanted: date, is_open: Callable[[date], bool]) -> date:
    """Return the first day from which on every day of a change is open."""
    for later in range(_PATIENCE_DAYS):
        first = wanted + later * _DAY
        if all(is_open(first + n * _DAY) for n in range(activity.days)):
            return first
    raise InvalidInput(
        f"{activity.title}: from {wanted} on there are no {activity.days} days in a row that are "
        "neither off nor frozen; look at [calendar] in fleet.toml"
    )
