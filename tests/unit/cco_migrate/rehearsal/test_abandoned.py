"""What a killed rehearsal has left is ended and removed; one that is under way is let alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cco_migrate.rehearsal.clone import end_abandoned, folder_of
from cco_migrate.runs import lock
from cco_migrate.world import World


@pytest.fixture
def left(tmp_path: Path, world: World) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a clone, and the clone's folder with a secret in it."""
    home = folder_of(tmp_path) / "clone"
    (home / "config").mkdir(parents=True)
    (home / "config" / "orchestra-config.json").write_text("{}")
    mark = {"CCO_MIGRATE_HOME": str(home)}
    process = world.processes.spawn(["sleep", "60"], tmp_path / "log", mark)
    assert world.clock.wait_until(lambda: bool(world.processes.carrying(mark)), 30)
    yield process
    process.kill()
    process.wait()


def test_clone_of_a_killed_rehearsal_is_ended_and_its_folder_removed(
    tmp_path: Path, world: World, left: subprocess.Popen[bytes]
) -> None:
    assert end_abandoned(tmp_path, world) == 1
    assert left.wait(30) == -15
    assert not (folder_of(tmp_path) / "clone").exists()
    assert end_abandoned(tmp_path, world) == 0


def test_clone_of_a_rehearsal_that_is_under_way_is_let_alone(
    tmp_path: Path, world: World, left: subprocess.Popen[bytes]
) -> None:
    with lock.held(folder_of(tmp_path) / "migrate", world, why="a rehearsal"):
        assert end_abandoned(tmp_path, world) == 0
    assert left.poll() is None
    assert (folder_of(tmp_path) / "clone").exists()


def test_state_root_without_a_rehearsal_is_left_as_it_is(tmp_path: Path, world: World) -> None:
    assert end_abandoned(tmp_path, world) == 0
    assert list(tmp_path.iterdir()) == []
