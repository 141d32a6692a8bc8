"""The calendar of a cutover: who is told when, what moves, and what stays the same entry."""

from __future__ import annotations

from datetime import date

import pytest

from cco_migrate.communication.agenda import agenda, blocks_of
from cco_migrate.communication.freeze import FreezeWindow
from cco_migrate.communication.icalendar import Event
from cco_migrate.communication.settings import Meeting, NoticeKind, Settings, Stakeholder, Weekday
from cco_migrate.communication.timeline import CUTOVER

MONDAY = date(2026, 12, 7)
YEAR_END = FreezeWindow(date(2026, 12, 20), date(2027, 1, 3))
PEOPLE = (
    Stakeholder("Engineering", notices=frozenset(NoticeKind)),
    Stakeholder("DevOps", notices=frozenset({NoticeKind.BEFORE}),
                meetings=frozenset({Meeting.BRIEFING})),
    Stakeholder("QA", meetings=frozenset({Meeting.TEST_PLAN_REVIEW})),
)  # fmt: skip


def events(settings: Settings, start: date = MONDAY) -> dict[str, Event]:
    found = agenda(blocks_of(CUTOVER, start, settings), settings)
    return {one.uid.partition(".")[0]: one for one in found}


def test_people_are_told_two_days_ahead_a_day_after_and_daily_while_it_is_watched() -> None:
    found = events(Settings())
    days = {key: (one.first, one.days_repeated) for key, one in found.items()}
    assert days["phase-2-before"] == (date(2026, 12, 11), 1)  # Saturday is off: the Friday before
    assert days["phase-2-daily"] == (date(2026, 12, 14), 5)
    assert days["phase-2-after"] == (date(2026, 12, 15), 1)
    assert days["phase-3-daily"] == (date(2026, 12, 21), 7)
    assert days["review-week-1"] == (date(2026, 12, 28), 1)
    assert days["review-week-4"] == (date(2027, 1, 18), 1)
    assert {key for key in found if key.startswith("phase-1-")} == {
        "phase-1-deploy", "phase-1-watch", "phase-1-prepare",
    }  # fmt: skip


def test_freeze_moves_the_deployment_and_the_notice_goes_out_before_it() -> None:
    found = events(Settings(freeze=(YEAR_END,)))
    assert found["phase-3-deploy"].first == date(2027, 1, 4)
    assert "Moved from 2026-12-21: 2026-12-20 to 2027-01-03 is frozen." in (
        found["phase-3-deploy"].description
    )
    assert found["phase-3-before"].first == date(2026, 12, 18)
    freeze = found["freeze-2026-12-20"]
    assert (freeze.first, freeze.last) == (YEAR_END.first, YEAR_END.last)
    assert "rollback is never held back" in freeze.description


def test_freeze_outside_of_the_cutover_is_not_shown() -> None:
    away = FreezeWindow(date(2027, 6, 1), date(2027, 6, 30))
    assert events(Settings(freeze=(away,))).keys() == events(Settings()).keys()


@pytest.mark.parametrize(
    ("settings", "start", "why"),
    [
        (Settings(), date(2026, 12, 12), "Saturday is off"),
        (Settings(), date(2026, 12, 11), "too few days in a row"),
        (Settings(days_off=frozenset({Weekday.FRIDAY})), date(2026, 12, 11), "Friday is off"),
    ],
)
def test_moved_deployment_says_why(settings: Settings, start: date, why: str) -> None:
    assert why in events(settings, start)["phase-1-deploy"].description


def test_deployment_names_the_gate_before_it_and_the_way_back() -> None:
    found = events(Settings())
    assert "invoke gate" not in found["phase-1-deploy"].description
    assert "invoke gate --phase 2 must say GO" in found["phase-3-deploy"].description
    assert "invoke rollback" in found["phase-1-deploy"].description


def test_entries_name_those_they_are_about() -> None:
    found = events(Settings(stakeholders=PEOPLE))
    assert found["phase-2-before"].description.splitlines() == [
        "invoke notice --kind before",
        "To: Engineering, DevOps",
        "Briefing: DevOps",
        "Review of the test plan: QA",
    ]
    assert found["review-week-4"].description.endswith("To: Engineering")
    assert "nobody is named" in events(Settings())["phase-2-after"].description


def test_entry_keeps_its_identity_when_the_cutover_moves_and_no_two_share_one() -> None:
    settings, later = Settings(), date(2027, 2, 1)
    first, second = (agenda(blocks_of(CUTOVER, day, settings), settings) for day in (MONDAY, later))
    uids = [one.uid for one in first]
    assert uids == [one.uid for one in second]
    assert len(set(uids)) == len(uids)
    other = Settings(service="other gateway")
    assert not set(uids) & {one.uid for one in agenda(blocks_of(CUTOVER, MONDAY, other), other)}


def test_entries_come_by_day_and_carry_the_name_of_the_service() -> None:
    settings = Settings(service="Edge", freeze=(YEAR_END,))
    found = agenda(blocks_of(CUTOVER, MONDAY, settings), settings)
    assert list(found) == sorted(found, key=lambda one: one.first)
    assert all(one.summary.startswith("Edge · ") for one in found)
