"""A hard cutover killed at any point goes on or back, and the working tree never changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def killed(
    folder: Path, shard: int, shards: int, program: str = "tests.kill.removal"
) -> dict[str, object]:
    """Run a program without the git configuration of whoever runs the tests."""
    who = {f"GIT_{one}_{part}": "op@example.org" for one in ("AUTHOR", "COMMITTER")
           for part in ("NAME", "EMAIL")}  # fmt: skip
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, **who}
    done = subprocess.run(
        [sys.executable, "-m", program, str(folder), str(shard), str(shards)],
        cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_removal_killed_at_some_points_goes_on_or_back(tmp_path: Path) -> None:
    found = killed(tmp_path, 11, 35)
    assert found["faults"] == []
    assert isinstance(found["killed"], int)
    assert found["killed"] >= 4


@pytest.mark.real
@pytest.mark.timeout(3600)
def test_removal_killed_at_every_point_goes_on_or_back(tmp_path: Path) -> None:
    found = killed(tmp_path, 0, 1)
    assert found["faults"] == []
    assert isinstance(found["points"], int)
    assert found["killed"] == found["points"] * 2
    assert found["points"] > 60


def test_way_back_killed_at_some_points_is_ended_by_the_next_attempt(tmp_path: Path) -> None:
    found = killed(tmp_path, 7, 13, "tests.kill.removal_back")
    assert found["faults"] == []
    assert isinstance(found["killed"], int)
    assert found["killed"] >= 3


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_way_back_killed_at_every_point_is_ended_by_the_next_attempt(tmp_path: Path) -> None:
    found = killed(tmp_path, 0, 1, "tests.kill.removal_back")
    assert found["faults"] == []
    assert isinstance(found["points"], int)
    assert found["killed"] == found["points"] > 30
