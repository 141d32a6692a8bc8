"""What stands in the calendar of a cutover: work, notices, reviews, freezes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

from cco_migrate.communication.freeze import is_frozen
from cco_migrate.communication.icalendar import Event
from cco_migrate.communication.settings import Meeting, NoticeKind, Settings, Stakeholder
from cco_migrate.communication.timeline import Block, Phase, Work, schedule

_DAY = timedelta(days=1)
_NOTICE_DAYS = 2  # users hear of a deployment 48 hours ahead
_REVIEW_WEEKS = {NoticeKind.WEEK_1: 1, NoticeKind.WEEK_4: 4}


def blocks_of(phases: Iterable[Phase], start: date, settings: Settings) -> tuple[Block, ...]:
    """Return the phases on their days; raises InvalidInput when a change finds none."""
    return schedule(phases, start, lambda day: _is_open(day, settings))


def agenda(blocks: Sequence[Block], settings: Settings) -> tuple[Event, ...]:
    """Return the events of a cutover, by day; those of one day in the order of its work.

    Every change must be followed by its watch, as in `timeline.CUTOVER`.
    """
    events = [*_freezes(blocks, settings), *(_work(block, settings) for block in blocks)]
    for change, watch in pairwise(blocks):
        if change.phase.announced and change.activity.work is Work.CHANGE:
            events += _around(change, watch, settings)
    events += _reviews(blocks, settings)
    service = hashlib.sha256(settings.service.encode()).hexdigest()[:12]
    return tuple(
        replace(
            event,
            uid=f"{event.uid}.{service}@cco-migrate",
            summary=f"{settings.service} · {event.summary}",
        )
        for event in sorted(events, key=lambda event: event.first)
    )


def _work(block: Block, settings: Settings) -> Event:
    phase, activity = block.phase, block.activity
    lines = []
    if activity.work is Work.CHANGE:
        if phase.number > 1:
            lines.append(f"First: invoke gate --phase {phase.number - 1} must say GO.")
        if block.moved:
            lines.append(f"Moved from {block.wanted}: {_why(block.wanted, settings)}.")
        lines.append("The way back, at any time: invoke rollback")
    if activity.work is Work.WATCH:
        lines.append(f"At the end: invoke gate --phase {phase.number}")
    key = f"phase-{phase.number}-{activity.id}"
    summary = f"phase {phase.number} ({phase.title}): {activity.title}"
    return Event(key, block.first, block.last, summary, "\n".join(lines), activity.work.value)


def _around(change: Block, watch: Block, settings: Settings) -> Iterator[Event]:
    """Yield what people are told around one deployment."""
    key = f"phase-{change.phase.number}"
    name = f"phase {change.phase.number} ({change.phase.title})"
    meetings = {
        "Briefing": settings.attending(Meeting.BRIEFING),
        "Review of the test plan": settings.attending(Meeting.TEST_PLAN_REVIEW),
    }
    before = [
        _send(NoticeKind.BEFORE, settings),
        *(f"{title}: {_names(people)}" for title, people in meetings.items() if people),
    ]
    day = change.first - _NOTICE_DAYS * _DAY
    while not _is_open(day, settings):  # who is away in a freeze is told before it
        day -= _DAY
    summary = f"tell people that {name} begins on {change.first}"
    yield Event(f"{key}-before", day, day, summary, "\n".join(before), "notice")

    days = (watch.last - change.first).days + 1
    summary, text = f"daily update, {name}", _send(NoticeKind.DAILY, settings)
    yield Event(f"{key}-daily", change.first, change.first, summary, text, "notice", days)

    day = _working(change.last + _DAY, settings)
    summary, text = f"tell people how {name} went", _send(NoticeKind.AFTER, settings)
    yield Event(f"{key}-after", day, day, summary, text, "notice")


def _reviews(blocks: Sequence[Block], settings: Settings) -> Iterator[Event]:
    """Yield the reviews, counted from the last deployment on."""
    last = [block.last for block in blocks if block.activity.work is Work.CHANGE][-1]
    for kind, weeks in _REVIEW_WEEKS.items():
        day = _working(last + weeks * 7 * _DAY, settings)
        summary = f"review, {weeks} week{'s' if weeks > 1 else ''} after the last deployment"
        yield Event(f"review-{kind}", day, day, summary, _send(kind, settings), "review")


def _freezes(blocks: Sequence[Block], settings: Settings) -> Iterator[Event]:
    begin, end = blocks[0].wanted, blocks[-1].last
    text = "No step goes forward. A rollback is never held back."
    for window in settings.freeze:
        if window.first <= end and window.last >= begin:
            key = f"freeze-{window.first}"
            yield Event(key, window.first, window.last, "change freeze", text, "freeze")


def _is_open(day: date, settings: Settings) -> bool:
    """Return whether something may go forward on a day."""
    return day.weekday() not in settings.days_off and not is_frozen(day, settings.freeze)


def _working(day: date, settings: Settings) -> date:
    """Return a day, or the next one that is not off."""
    while day.weekday() in settings.days_off:
        day += _DAY
    return day


def _why(day: date, settings: Settings) -> str:
    if standing := [window for window in settings.freeze if day in window]:
        return f"{standing[0]} is frozen"
    return f"{day:%A} is off" if day.weekday() in settings.days_off else "too few days in a row"


def _send(kind: NoticeKind, settings: Settings) -> str:
    return f"invoke notice --kind {kind}\nTo: {_names(settings.readers(kind))}"


def _names(people: Sequence[Stakeholder]) -> str:
    return ", ".join(one.name for one in people) or "nobody is named in fleet.toml"
