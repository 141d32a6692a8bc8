"""Writes an iCalendar file of all-day events, as RFC 5545 says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

PRODUCT = "-//cco-migrate//calendar//EN"

_LINE_OCTETS = 75  # RFC 5545, section 3.1; without the line break
_ESCAPED = {"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"}  # section 3.3.11
_SPECIAL = re.compile(r"[\\;,\n]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # no text may hold them: section 3.3.11


@dataclass(frozen=True, slots=True)
class Event:
    """An entry that fills whole days, first and last included.

    Attributes:
        uid: The same for the same thing in every file, so that a second import moves it.
        description: What stands below it; lines end in a line feed.
        days_repeated: On how many days in a row it stands again; 1 for once.
        category: One word to filter by.
    """

    uid: str
    first: date
    last: date
    summary: str
    description: str
    category: str
    days_repeated: int = 1


def render(events: Iterable[Event], name: str, stamp: datetime) -> bytes:
    """Return the file.

    Args:
        name: What calendar programs call it.
        stamp: When the file is made, aware; the newer of two files wins.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{escaped(name)}",
        *(line for event in events for line in _event(event, stamp)),
        "END:VCALENDAR",
    ]
    return b"".join(folded(line) for line in lines)


def escaped(text: str) -> str:
    """Return a text as a property value."""
    clean = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], clean)


def folded(line: str) -> bytes:
    """Return a content line in pieces of at most 75 octets, no character cut in two."""
    pieces = [b""]
    for character in line:
        octets = character.encode()
        if len(pieces[-1]) + len(octets) > _LINE_OCTETS:
            pieces.append(b" ")
        pieces[-1] += octets
    return b"\r\n".join(pieces) + b"\r\n"


def _event(event: Event, stamp: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{escaped(event.uid)}"
    yield f"DTSTAMP:{stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    yield f"DTSTART;VALUE=DATE:{event.first:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{event.last + timedelta(days=1):%Y%m%d}"  # exclusive: section 3.6.1
    if event.days_repeated > 1:
        yield f"RRULE:FREQ=DAILY;COUNT={event.days_repeated}"
    yield f"SUMMARY:{escaped(event.summary)}"
    if event.description:
        yield f"DESCRIPTION:{escaped(event.description)}"
    yield f"CATEGORIES:{escaped(event.category)}"
    yield "TRANSP:TRANSPARENT"  # nobody's day is taken by it
    yield "END:VEVENT"
