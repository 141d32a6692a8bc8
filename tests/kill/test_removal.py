"""A hard cutover killed at any point goes on or back, and the working tree never changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_removal_killed_at_some_points_goes_on_or_back(
    tmp_path: Path, killed: Callable[..., Any]
) -> None:
    found = killed(("tests.kill.removal", str(tmp_path), "11", "35"))
    assert found.faults == ()
    assert found.killed >= 4


def test_way_back_killed_at_some_points_is_ended_by_the_next_attempt(
    tmp_path: Path, killed: Callable[..., Any]
) -> None:
    found = killed(("tests.kill.removal_back", str(tmp_path), "7", "13"))
    assert found.faults == ()
    assert found.killed >= 3


@pytest.mark.real
@pytest.mark.timeout(3600)
def test_removal_killed_at_every_point_goes_on_or_back(
    killed_everywhere: Callable[..., Any],
) -> None:
    found = killed_everywhere("tests.kill.removal")
    assert found.faults == ()
    assert found.killed == found.points * 2
    assert found.points > 60


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_way_back_killed_at_every_point_is_ended_by_the_next_attempt(
    killed_everywhere: Callable[..., Any],
) -> None:
    found = killed_everywhere("tests.kill.removal_back")
    assert found.faults == ()
    assert found.killed == found.points > 30
