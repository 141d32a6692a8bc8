"""The lock: one winner among processes, released by the kernel when its owner dies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cco_migrate import lock
from cco_migrate.errors import LockHeld
from cco_migrate.world import World

OWNER = """
import sys
from pathlib import Path
from cco_migrate import lock
from cco_migrate.world import World
with lock.held(Path(sys.argv[1]), World.real(), why="migrate model-overrides"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "migrate")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_is_refused_and_told_who_holds_it(
    owner: subprocess.Popen[str], tmp_path: Path, world: World
) -> None:
    with (
        pytest.raises(LockHeld) as refused,
        lock.held(tmp_path / "migrate", world, why="rollback"),
    ):
        pytest.fail("two owners")
    assert f"pid {owner.pid} on " in str(refused.value)
    assert "(migrate model-overrides)" in str(refused.value)
    assert refused.value.code == 11


def test_sigkill_of_the_owner_releases_it(
    owner: subprocess.Popen[str], tmp_path: Path, world: World
) -> None:
    owner.kill()
    owner.wait()
    with lock.held(tmp_path / "migrate", world, why="resume"):
        row = json.loads((tmp_path / "migrate" / "lock").read_text())
    assert row["why"] == "resume"


def test_waiting_gets_it_when_the_owner_leaves(
    owner: subprocess.Popen[str], tmp_path: Path, world: World
) -> None:
    assert owner.stdin is not None
    owner.stdin.close()  # the owner leaves in its own time, we wait for it
    with lock.held(tmp_path / "migrate", world, why="next", timeout_s=10):
        assert json.loads((tmp_path / "migrate" / "lock").read_text())["why"] == "next"


def test_it_is_free_again_after_an_error_inside(tmp_path: Path, world: World) -> None:
    with pytest.raises(RuntimeError), lock.held(tmp_path, world, why="first"):
        raise RuntimeError
    with lock.held(tmp_path, world, why="second"):
        assert json.loads((tmp_path / "lock").read_text())["why"] == "second"


def test_one_process_cannot_take_it_twice(tmp_path: Path, world: World) -> None:
    with (
        lock.held(tmp_path, world, why="outer"),
        pytest.raises(LockHeld),
        lock.held(tmp_path, world, why="inner"),
    ):
        pytest.fail("two owners")


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", "17"])
def test_owner_without_a_name_is_still_refused(tmp_path: Path, world: World, text: str) -> None:
    with lock.held(tmp_path, world, why="outer"):
        (tmp_path / "lock").write_text(text)
        with (
            pytest.raises(LockHeld, match="left no name"),
            lock.held(tmp_path, world, why="inner"),
        ):
            pytest.fail("two owners")
