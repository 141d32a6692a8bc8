"""The three weeks of the cutover on the calendar: where they fall, and what moves them."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cco_migrate.communication.timeline import CUTOVER, Block, Work, schedule, total_days
from cco_migrate.errors import InvalidInput

MONDAY = date(2026, 12, 7)
DAY = timedelta(days=1)


def weekdays(day: date) -> bool:
    return day.weekday() < 5


def placed(blocks: tuple[Block, ...]) -> dict[str, tuple[date, date]]:
    return {f"{one.phase.number} {one.activity.id}": (one.first, one.last) for one in blocks}


def test_cutover_that_begins_on_a_monday_takes_21_days() -> None:
    blocks = schedule(CUTOVER, MONDAY, weekdays)
    assert total_days(blocks) == 21
    assert placed(blocks) == {
        "1 deploy": (date(2026, 12, 7), date(2026, 12, 8)),
        "1 watch": (date(2026, 12, 9), date(2026, 12, 11)),
        "1 prepare": (date(2026, 12, 12), date(2026, 12, 13)),
        "2 deploy": (date(2026, 12, 14), date(2026, 12, 14)),
        "2 watch": (date(2026, 12, 15), date(2026, 12, 18)),
        "2 prepare": (date(2026, 12, 19), date(2026, 12, 20)),
        "3 deploy": (date(2026, 12, 21), date(2026, 12, 21)),
        "3 watch": (date(2026, 12, 22), date(2026, 12, 27)),
    }
    assert not [one for one in blocks if one.moved]


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (MONDAY + 4 * DAY, MONDAY + 7 * DAY),  # two days in a row: not Friday and Monday
        (MONDAY + 5 * DAY, MONDAY + 7 * DAY),
        (MONDAY + 3 * DAY, MONDAY + 3 * DAY),
    ],
)
def test_deployment_waits_for_days_that_are_not_off(start: date, first: date) -> None:
    block = schedule(CUTOVER, start, weekdays)[0]
    assert (block.first, block.wanted, block.moved) == (first, start, first != start)


def test_freeze_moves_a_deployment_and_all_that_follows_it() -> None:
    frozen = (date(2026, 12, 20), date(2027, 1, 3))
    blocks = schedule(
        CUTOVER, MONDAY, lambda day: weekdays(day) and not frozen[0] <= day <= frozen[1]
    )
    hard = placed(blocks)
    assert hard["2 prepare"] == (date(2026, 12, 19), date(2026, 12, 20))  # no forward step
    assert hard["3 deploy"] == (date(2027, 1, 4), date(2027, 1, 4))
    assert hard["3 watch"] == (date(2027, 1, 5), date(2027, 1, 10))
    assert [one.activity.id for one in blocks if one.moved] == ["deploy"]
    assert total_days(blocks) == 35


def test_change_without_any_day_is_refused_with_the_place_to_look() -> None:
    with pytest.raises(InvalidInput, match=r"no 2 days in a row .* fleet\.toml"):
        schedule(CUTOVER, MONDAY, lambda day: day.weekday() == 2)


@given(
    start=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    off=st.frozensets(st.integers(0, 6), max_size=5).filter(
        lambda off: any({day, (day + 1) % 7}.isdisjoint(off) for day in range(7))
    ),
)
def test_changes_fall_on_open_days_and_no_activity_overlaps_another(
    start: date, off: frozenset[int]
) -> None:
    def is_open(day: date) -> bool:
        return day.weekday() not in off

    blocks = schedule(CUTOVER, start, is_open)
    for one in blocks:
        assert (one.last - one.first).days + 1 == one.activity.days
        if one.activity.work is Work.CHANGE:
            assert all(is_open(one.first + n * DAY) for n in range(one.activity.days))
        else:
            assert not one.moved
    assert all(a.last < b.first for a, b in pairwise(blocks))
