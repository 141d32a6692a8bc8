"""A run that was cut: killed at any line, stopped by a signal, or with a journal that is full."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cco_migrate.context import Context
from cco_migrate.errors import Interrupted, NotJournaled, RollbackFailed
from cco_migrate.model import JsonObject, Step
from cco_migrate.runs.journal import Event, Journal, Status
from cco_migrate.world import Files

if TYPE_CHECKING:
    from tests.unit.cco_migrate.engine.conftest import Bench


@pytest.mark.parametrize("torn", [b"", b'{"v":1,"seq"'], ids=["cut", "torn"])
def test_run_resumes_after_a_cut_at_every_line(bench: Bench, count: int, torn: bytes) -> None:
    bench.engine().run()
    lines = bench.path.read_bytes().splitlines(keepends=True)
    bench.path.write_bytes(b"".join(lines[:count]) + torn)
    if count <= bench.forwards.index("applying enable"):
        bench.config.write_text(bench.before)  # the cut came before the change
    bench.engine().run()
    assert bench.lines()[-1] == "finished"
    assert bench.config.read_text() == bench.after
    backups = sorted(bench.config.parent.glob("*.backup-*"))
    assert {path.read_text() for path in backups} <= {bench.before, bench.after}
    assert backups[0].read_text() == bench.before


def test_run_killed_at_any_line_can_be_rolled_back(bench: Bench, count: int) -> None:
    bench.engine().run()
    lines = bench.path.read_bytes().splitlines(keepends=True)
    bench.path.write_bytes(b"".join(lines[:count]))
    if count <= bench.forwards.index("applying enable"):
        bench.config.write_text(bench.before)
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == bench.before
    assert bench.engine().state.status is Status.ROLLED_BACK


def test_kill_is_no_failed_step(bench: Bench) -> None:
    bench.fake.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.engine().run()
    assert bench.lines()[-1] == "applying serve"
    assert bench.config.read_text() == bench.after
    bench.fake.fails = None
    bench.engine().run()
    assert bench.lines()[-1] == "finished"
    assert len(bench.fake.receipts) == 2
    assert bench.fake.receipts[0] == bench.fake.receipts[1]


def test_rollback_killed_at_any_line_can_be_run_again(bench: Bench) -> None:
    bench.engine().run()
    bench.engine().roll_back(why="asked for")
    lines = bench.path.read_bytes().splitlines(keepends=True)
    for count in range(len(bench.forwards), len(lines)):
        bench.path.write_bytes(b"".join(lines[:count]))
        bench.engine().roll_back(why="asked for")
        assert bench.config.read_text() == bench.before
        assert bench.engine().state.status is Status.ROLLED_BACK


@pytest.mark.parametrize("torn", [False, True])
def test_signal_is_journaled_and_the_run_goes_on_later(bench: Bench, torn: bool) -> None:
    def stop(step: Step, receipt: JsonObject, context: Context) -> None:
        if torn:
            bench.path.write_bytes(bench.path.read_bytes() + b'{"v":1,')
        raise Interrupted(15)

    working, bench.fake.applying = bench.fake.applying, stop
    with pytest.raises(Interrupted):
        bench.engine().run()
    assert bench.lines()[-2:] == ["applying serve", "interrupted"]
    assert bench.engine().state.status is Status.OPEN
    bench.fake.applying = working
    bench.engine().run()
    assert bench.lines()[-1] == "finished"


def test_receipt_of_a_failed_step_is_kept_when_its_run_was_killed_then(bench: Bench) -> None:
    bench.engine().run(only="enable")
    journal = Journal(bench.path, "mo-1", bench.world)
    journal.append(Event.FAILED, "enable", reason="killed before the way back was journaled")
    bench.engine().run()
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == bench.before


@pytest.mark.parametrize("room", [0, 60])
@pytest.mark.parametrize("event", ["prepared enable", "applied enable", "finished"])
def test_journal_that_cannot_be_written_stops_the_run_where_it_is(
    bench: Bench, event: str, room: int
) -> None:
    class Full(Files):
        full = True

        def append(self, path: Path, data: bytes) -> None:
            row = json.loads(data)
            if self.full and f"{row['event']} {row['step']}".strip() == event:
                super().append(path, data[:room])
                raise OSError(28, "No space left on device")
            super().append(path, data)

    files = Full()
    bench.world = replace(bench.world, files=files)
    with pytest.raises(NotJournaled, match=r"journal\.jsonl: No space left on device") as raised:
        bench.engine().run()
    assert "the run is open" in raised.value.state
    assert raised.value.next_command == "invoke status"
    files.full = False
    bench.engine().run()
    assert bench.lines()[-1] == "finished"
    assert bench.config.read_text() == bench.after
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == bench.before


def test_rollback_on_a_full_disk_fails_and_can_be_run_again(bench: Bench) -> None:
    bench.engine().run()

    class Full(Files):
        def append(self, path: Path, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    sound, bench.world = bench.world, replace(bench.world, files=Full())
    with pytest.raises(RollbackFailed, match="No space left") as raised:
        bench.engine().roll_back(why="asked for")
    assert raised.value.code == 7
    assert bench.config.read_text() == bench.after
    bench.world = sound
    bench.engine().roll_back(why="again")
    assert bench.config.read_text() == bench.before
