"""The way back: byte for byte, what others wrote since is kept, and once is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cco_migrate.context import Context
from cco_migrate.errors import RollbackFailed
from cco_migrate.runs.journal import Status

if TYPE_CHECKING:
    from tests.unit.cco_migrate.engine.conftest import Bench


def test_rollback_twice_ends_in_the_same_state(bench: Bench) -> None:
    bench.engine().run()
    for _ in range(2):
        bench.engine().roll_back(why="asked for")
        assert bench.config.read_text() == bench.fake.loaded == bench.before
    assert bench.lines().count("undone enable") == 1
    assert bench.lines().count("rolled-back") == 2


def test_edits_by_others_to_other_keys_are_kept(bench: Bench) -> None:
    bench.engine().run()
    bench.config.write_text(bench.after.replace("log_overrides = true", "log_overrides = false"))
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.before.replace("s = true", "s = false")
    assert ("enable", "undone") in bench.seen.ends


def test_undo_is_refused_when_somebody_edited_our_key(bench: Bench) -> None:
    bench.engine().run()
    theirs = bench.before.replace("enabled = false", "# enabled was here")
    bench.config.write_text(theirs)
    with pytest.raises(RollbackFailed, match=r"was edited since, at overrides\.enabled") as raised:
        bench.engine().roll_back(why="asked for")
    assert (raised.value.code, raised.value.next_command) == (7, "invoke rollback --by backup")
    assert bench.config.read_text() == theirs
    assert bench.engine().state.status is Status.ROLLBACK_FAILED
    bench.config.write_text(bench.after)
    bench.engine().roll_back(why="again")
    assert bench.config.read_text() == bench.before


def test_restore_in_place_of_the_undo(bench: Bench) -> None:
    bench.engine().run()

    def restore(context: Context) -> str:
        evidence = context.evidence["backup"]
        changed = context.backups.restore(context.backups.load(evidence["id"]))
        return f"restored {len(changed)}"

    bench.config.write_text("# somebody emptied it\n")
    bench.engine().roll_back(restore, why="by backup")
    assert bench.config.read_text() == bench.fake.loaded == bench.before
    assert bench.lines()[len(bench.forwards) :] == ["rolling-back", "undone restore", *bench.back]
    assert ("restore", "undone") in bench.seen.ends
