"""A command that is killed at any point ends in the old state or the new one, never between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DRIVERS = ("process", "command")
DIRECTIONS = ("migrate", "rollback")
CUTOVER = {"validate": 2, "switch": 2, "rollback": 1}
"""What is killed of the gateway cutover, and how many ways are tried after each kill."""


@pytest.mark.parametrize("driver", DRIVERS)
def test_killed_at_some_points_it_ends_in_one_state_or_the_other(
    tmp_path: Path, driver: str, killed: Callable[..., Any]
) -> None:
    found = killed(("tests.kill.matrix", "migrate", driver, str(tmp_path), "7", "100"))
    assert found.faults == ()
    assert found.killed >= 4


def test_cutover_killed_at_some_points_ends_on_the_old_path_or_at_the_gateway(
    tmp_path: Path, killed: Callable[..., Any]
) -> None:
    found = killed(
        ("tests.kill.cutover", "switch", "process", str(tmp_path / "there"), "110", "100"),
        ("tests.kill.cutover", "rollback", "process", str(tmp_path / "back"), "50", "100"),
    )
    assert found.faults == ()
    assert found.killed == 3


def test_trial_gateway_of_a_killed_preflight_is_ended_by_the_next(
    tmp_path: Path, killed: Callable[..., Any]
) -> None:
    found = killed(("tests.kill.matrix", "check", "process", str(tmp_path), "0", "2"))
    assert found.faults == ()
    assert found.killed >= 4


@pytest.mark.real
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_killed_at_every_point_it_ends_in_one_state_or_the_other(
    direction: str, driver: str, killed_everywhere: Callable[..., Any]
) -> None:
    found = killed_everywhere("tests.kill.matrix", direction, driver)
    assert found.faults == ()
    assert found.killed == found.points * (2 if direction == "migrate" else 1)
    assert found.points > 60


@pytest.mark.real
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("direction", CUTOVER)
def test_cutover_killed_at_every_point_ends_on_the_old_path_or_at_the_gateway(
    direction: str, killed_everywhere: Callable[..., Any]
) -> None:
    found = killed_everywhere("tests.kill.cutover", direction, "process")
    assert found.faults == ()
    assert found.killed == found.points * CUTOVER[direction]
    assert found.points > 60


@pytest.mark.real
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("direction", CUTOVER)
def test_cutover_by_command_killed_at_every_fourth_point_ends_on_one_path(
    direction: str, killed_everywhere: Callable[..., Any]
) -> None:
    """Two steps differ from the other driver; the overrides' matrix has every point of them."""
    found = killed_everywhere("tests.kill.cutover", direction, "command", stride=4)
    assert found.faults == ()
    assert found.killed >= found.points // 4 * CUTOVER[direction]
    assert found.points > 60


@pytest.mark.real
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("change", ["overrides", "cutover"])
def test_killed_with_the_real_gateway_it_ends_in_one_state_or_the_other(
    tmp_path: Path, change: str, killed: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {"there": 18, "back": 9}
    found = killed(
        *[
            ("tests.kill.real_gateway", change, direction, str(count), str(tmp_path / direction))
            for direction, count in counts.items()
        ]
    )
    with capsys.disabled():
        print(f"\nreal gateway, {change}: {found.killed} kills, spread")
    assert found.faults == ()
    assert found.killed == sum(counts.values())


@pytest.mark.real
@pytest.mark.timeout(900)
def test_start_of_the_demo_killed_behind_a_process_leaves_no_second_one(
    tmp_path: Path, killed: Callable[..., Any]
) -> None:
    found = killed(("tests.kill.starting", str(tmp_path)))
    assert found.faults == ()
    assert found.killed == found.points == 2
