"""The lock: one winner, a dead owner succeeded at once, one elsewhere after a silent lease."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.errors import InvalidInput, LockHeld, LockLost
from cco_migrate.runs import lock
from cco_migrate.runs.lock import Standing
from cco_migrate.world import Clock, Processes, World

OWNER = """
import sys
from pathlib import Path
from cco_migrate.runs import lock
from cco_migrate.world import World
with lock.held(Path(sys.argv[1]), World.real(), why="migrate model-overrides"):
    print("held", flush=True)
    sys.stdin.read()
"""
RACER = """
import os, sys
from pathlib import Path
from cco_migrate.runs import lock
from cco_migrate.errors import LockHeld
from cco_migrate.world import World
world = World.real()
print("ready", flush=True)
for line in sys.stdin:
    try:
        with lock.held(Path(line.strip()), world, why="race"):
            print("won", flush=True)
            sys.stdin.readline()
    except LockHeld:
        print("lost", flush=True)
        sys.stdin.readline()
"""
RACES = 100

Spawn = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "migrate")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        line(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    print(text, file=process.stdin, flush=True)


class Elsewhere(Processes):
    """Another machine that shares our state root."""

    def host(self) -> str:
        return "elsewhere"


class Hurried(Clock):
    """Waits no time at all, and lets something happen during each wait."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.time, self.meanwhile = 0.0, meanwhile

    def monotonic(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds
        self.meanwhile()


def elsewhere(world: World) -> World:
    return replace(world, processes=Elsewhere())


def record(directory: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((directory / "lock").read_text())
    return parsed


def rewrite(directory: Path, **more: object) -> None:
    text = json.dumps({**record(directory), **more})
    (directory / "lock").write_text(text.ljust(lock.RECORD_BYTES - 1) + "\n")


def test_second_process_is_refused_and_told_who_holds_it(
    spawn: Spawn, tmp_path: Path, world: World
) -> None:
    owner = spawn(OWNER)
    with (
        pytest.raises(LockHeld) as refused,
        lock.held(tmp_path / "migrate", world, why="rollback"),
    ):
        pytest.fail("two owners")
    assert f"pid {owner.pid} on " in str(refused.value)
    assert "(migrate model-overrides)" in str(refused.value)
    assert "takeover" not in str(refused.value)
    assert refused.value.code == 11
    assert lock.look(tmp_path / "migrate", world)[0] is Standing.HELD


def test_races_of_two_processes_have_one_winner_each(spawn: Spawn, tmp_path: Path) -> None:
    racers = spawn(RACER), spawn(RACER)
    for race in range(RACES):
        for racer in racers:
            say(racer, str(tmp_path / f"race-{race}"))
        assert sorted(line(racer) for racer in racers) == ["lost", "won"]
        for racer in racers:
            say(racer, "next")


def test_dead_owner_is_succeeded_at_once_and_named(
    spawn: Spawn, tmp_path: Path, world: World
) -> None:
    owner = spawn(OWNER)
    owner.kill()
    owner.wait()
    assert lock.look(tmp_path / "migrate", world)[0] is Standing.DEAD
    with lock.held(tmp_path / "migrate", world, why="resume") as lease:
        assert f"pid {owner.pid} on " in lease.taken_from
        assert record(tmp_path / "migrate")["why"] == "resume"


def test_reused_pid_is_a_dead_owner(tmp_path: Path, world: World) -> None:
    with lock.held(tmp_path, world, why="first"):
        rewrite(tmp_path, birth="another boot:17")
        with lock.held(tmp_path, world, why="second") as lease:
            assert "(first)" in lease.taken_from


def test_waiting_gets_it_when_the_owner_leaves(spawn: Spawn, tmp_path: Path, world: World) -> None:
    owner = spawn(OWNER)
    assert owner.stdin is not None
    owner.stdin.close()  # the owner leaves in its own time, we wait for it
    with lock.held(tmp_path / "migrate", world, why="next", timeout_s=60) as lease:
        assert record(tmp_path / "migrate")["why"] == "next"
        assert lease.taken_from == ""


def test_it_is_free_and_empty_again_after_an_error_inside(tmp_path: Path, world: World) -> None:
    with pytest.raises(RuntimeError), lock.held(tmp_path, world, why="first"):
        raise RuntimeError
    assert (tmp_path / "lock").read_bytes() == b""
    assert lock.look(tmp_path, world)[0] is Standing.FREE


def test_one_process_cannot_take_it_twice(tmp_path: Path, world: World) -> None:
    with (
        lock.held(tmp_path, world, why="outer"),
        pytest.raises(LockHeld),
        lock.held(tmp_path, world, why="inner"),
    ):
        pytest.fail("two owners")


@pytest.mark.parametrize("text", ["[]", "{}", "not json", "17"])
def test_owner_without_a_name_is_still_refused(tmp_path: Path, world: World, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    with (
        pytest.raises(LockHeld, match=r"left no name; .*invoke takeover"),
        lock.held(tmp_path, world, why="inner"),
    ):
        pytest.fail("two owners")


def test_owner_elsewhere_is_never_judged_by_its_pid(tmp_path: Path, world: World) -> None:
    with lock.held(tmp_path, elsewhere(world), why="theirs"):
        rewrite(tmp_path, pid=2**22 + 1)
        with (
            pytest.raises(LockHeld, match=r"on elsewhere .*invoke takeover"),
            lock.held(tmp_path, world, why="ours"),
        ):
            pytest.fail("two owners")


def test_takeover_succeeds_an_owner_elsewhere_after_one_silent_lease(
    tmp_path: Path, world: World
) -> None:
    clock = Hurried()
    with lock.held(tmp_path, elsewhere(world), why="theirs") as theirs:
        ours = replace(world, clock=clock)
        with lock.held(tmp_path, ours, why="ours", take_over=True) as lease:
            assert "on elsewhere" in lease.taken_from
            assert clock.time == pytest.approx(lock.LEASE_S, abs=0.2)
            with pytest.raises(LockLost, match=r"was taken over by pid .* \(ours\)"):
                theirs.confirm()
            lease.confirm()
        assert (tmp_path / "lock").read_bytes() == b""


def test_takeover_is_refused_by_a_heartbeat(tmp_path: Path, world: World) -> None:
    with lock.held(tmp_path, elsewhere(world), why="theirs"):
        clock = Hurried(lambda: rewrite(tmp_path, beat=1))
        with (
            pytest.raises(LockHeld),
            lock.held(tmp_path, replace(world, clock=clock), why="ours", take_over=True),
        ):
            pytest.fail("two owners")
        assert clock.time < 1


def test_takeover_from_a_live_process_of_this_machine_is_refused(
    spawn: Spawn, tmp_path: Path, world: World
) -> None:
    owner = spawn(OWNER)
    clock = Hurried()
    with (
        pytest.raises(LockHeld, match=f"pid {owner.pid}"),
        lock.held(tmp_path / "migrate", replace(world, clock=clock), why="x", take_over=True),
    ):
        pytest.fail("two owners")
    assert clock.time == 0


def test_takeover_of_a_free_lock_takes_it_from_nobody(tmp_path: Path, world: World) -> None:
    with lock.held(tmp_path, world, why="ours", take_over=True) as lease:
        assert lease.taken_from == ""


def test_heartbeat_changes_the_record_and_keeps_its_length(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_S", 0.03)
    before = set(threading.enumerate())
    with lock.held(tmp_path, world, why="beating") as lease:
        assert world.clock.wait_until(lambda: record(tmp_path)["beat"] > 2, 60, every_s=0.005)
        assert len((tmp_path / "lock").read_bytes()) == lock.RECORD_BYTES
        lease.confirm()
    assert set(threading.enumerate()) <= before


def test_former_owner_neither_beats_nor_releases_what_was_taken_over(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_S", 0.03)
    with lock.held(tmp_path, world, why="former"):
        rewrite(tmp_path, token="of somebody else", host="elsewhere", beat=-1)
    assert record(tmp_path)["token"] == "of somebody else"
    assert record(tmp_path)["beat"] == -1


def test_clock_that_steps_back_takes_the_lock_from_nobody(
    spawn: Spawn, tmp_path: Path, world: World
) -> None:
    class Back(Clock):
        def now(self) -> datetime:
            return datetime(1999, 1, 1, tzinfo=UTC)

    owner = spawn(OWNER)
    with (
        pytest.raises(LockHeld, match=f"pid {owner.pid}"),
        lock.held(tmp_path / "migrate", replace(world, clock=Back()), why="later"),
    ):
        pytest.fail("two owners")


def test_state_root_that_cannot_be_written_is_told(tmp_path: Path, world: World) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InvalidInput, match=r"lock: Not a directory; without the lock") as raised,
        lock.held(tmp_path / "file" / "migrate", world, why="x"),
    ):
        pytest.fail("no directory, no lock")
    assert raised.value.state == "Nothing was changed by this command."


def test_record_is_private_and_names_nothing_secret(tmp_path: Path, world: World) -> None:
    with lock.held(tmp_path, world, why="w" * 5000):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
        assert record(tmp_path)["pid"] == os.getpid()
        assert len((tmp_path / "lock").read_bytes()) == lock.RECORD_BYTES
