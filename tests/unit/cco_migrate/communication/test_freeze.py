"""Frozen days hold back what goes forward, and nothing else."""

from __future__ import annotations

from datetime import date

import pytest

from cco_migrate.communication.freeze import FreezeWindow, forward_block, is_frozen

YEAR_END = FreezeWindow(date(2026, 12, 20), date(2027, 1, 3))
EVE = FreezeWindow(date(2026, 12, 24), date(2026, 12, 24))
LONGER = FreezeWindow(date(2026, 12, 24), date(2027, 1, 10))


@pytest.mark.parametrize(
    ("day", "windows", "frozen"),
    [
        (date(2026, 12, 19), (YEAR_END,), False),
        (date(2026, 12, 20), (YEAR_END,), True),
        (date(2027, 1, 3), (YEAR_END,), True),
        (date(2027, 1, 4), (YEAR_END,), False),
        (date(2026, 12, 24), (EVE,), True),
        (date(2026, 12, 25), (EVE,), False),
        (date(2027, 1, 4), (YEAR_END, LONGER), True),
        (date(2026, 12, 24), (), False),
    ],
)
def test_first_and_last_day_of_a_window_are_frozen(
    day: date, windows: tuple[FreezeWindow, ...], frozen: bool
) -> None:
    assert is_frozen(day, windows) is frozen
    assert (forward_block(day, windows) is not None) is frozen


def test_line_names_the_window_that_lasts_longest_and_the_way_that_stays_open() -> None:
    line = forward_block(date(2026, 12, 24), (EVE, LONGER, YEAR_END))
    assert line is not None
    assert line.startswith("2026-12-24 is frozen (2026-12-24 to 2027-01-10)")
    assert "a rollback stays possible" in line


def test_window_of_one_day_is_written_as_one_day() -> None:
    assert str(EVE) == "2026-12-24"
