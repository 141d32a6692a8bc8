"""The calendar file: RFC 5545 to the octet, and read back as it was written."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.communication.icalendar import Event, escaped, folded, render

STAMP = datetime(2026, 11, 21, 15, 3, 11, tzinfo=timezone(timedelta(hours=1)))
EVENT = Event(
    "phase-2-deploy.abc@cco-migrate", date(2026, 12, 31), date(2026, 12, 31),
    "Gateway · phase 2, soft cutover; first\\last",
    "First: the gate must say GO.\nThe way back, at any time: invoke rollback", "change",
)  # fmt: skip


def unfolded(data: bytes) -> list[str]:
    """Read content lines as RFC 5545, section 3.1, says."""
    assert data.endswith(b"\r\n")
    assert b"\n" not in data.replace(b"\r\n", b"")
    return data.replace(b"\r\n ", b"").decode().split("\r\n")[:-1]


def plain(value: str) -> str:
    """Read a text value as section 3.3.11 says."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] in "nN" else found[1], value)


def properties(lines: list[str]) -> list[dict[str, str]]:
    """Return the properties of each event, text values as they were meant."""
    events: list[dict[str, str]] = []
    for line in lines:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            events.append({})
        elif events and line != "END:VEVENT":
            events[-1][name] = plain(value)
    return events


def test_file_is_what_the_rules_say_line_by_line() -> None:
    lines = unfolded(render([EVENT], "Gateway, 2026", STAMP))
    assert lines == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//cco-migrate//calendar//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "X-WR-CALNAME:Gateway\\, 2026",
        "BEGIN:VEVENT",
        "UID:phase-2-deploy.abc@cco-migrate",
        "DTSTAMP:20261121T140311Z",
        "DTSTART;VALUE=DATE:20261231",
        "DTEND;VALUE=DATE:20270101",
        "SUMMARY:Gateway · phase 2\\, soft cutover\\; first\\\\last",
        "DESCRIPTION:First: the gate must say GO.\\nThe way back\\, at any time: invoke rollback",
        "CATEGORIES:change",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
        "END:VCALENDAR",
    ]


def test_event_that_stands_on_several_days_repeats_daily() -> None:
    daily = Event("d", date(2026, 12, 14), date(2026, 12, 14), "daily", "", "notice", 5)
    (event,) = properties(unfolded(render([daily], "x", STAMP)))
    assert event["RRULE"] == "FREQ=DAILY;COUNT=5"
    assert "DESCRIPTION" not in event


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a,b;c\\d", "a\\,b\\;c\\\\d"),
        ("one\r\ntwo\rthree\nfour", "one\\ntwo\\nthree\\nfour"),
        ("bell\x07, nought\x00 and a tab\t", "bell\\, nought and a tab\t"),
        ("colons: stay", "colons: stay"),
    ],
)
def test_text_is_escaped(text: str, value: str) -> None:
    assert escaped(text) == value


@pytest.mark.parametrize(
    ("line", "octets"),
    [
        ("a" * 75, [75]),
        ("a" * 76, [75, 2]),
        ("a" * 149, [75, 75]),
        ("a" * 150, [75, 75, 2]),
        ("a" * 74 + "·", [74, 3]),  # two octets: not cut in two
        ("a" * 73 + "😀", [73, 5]),
    ],
)
def test_line_is_folded_at_75_octets_between_characters(line: str, octets: list[int]) -> None:
    pieces = folded(line).removesuffix(b"\r\n").split(b"\r\n")
    assert [len(piece) for piece in pieces] == octets
    assert all(piece.decode() for piece in pieces)
    assert unfolded(folded(line)) == [line]


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.just("\n"), max_size=200)


@given(summary=WORDS, description=WORDS.filter(bool), first=st.dates(max_value=date(9999, 1, 1)))
def test_event_is_read_back_as_it_was_written(summary: str, description: str, first: date) -> None:
    event = Event("u@cco-migrate", first, first, summary, description, "watch")
    data = render([event], "x", STAMP.astimezone(UTC))
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    (read,) = properties(unfolded(data))
    assert (read["SUMMARY"], read["DESCRIPTION"]) == (summary, description)
    assert read["DTSTART;VALUE=DATE"] == first.strftime("%Y%m%d")
