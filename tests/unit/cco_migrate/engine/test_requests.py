"""What operators ask of a run, hold and abort, and a lock that somebody took over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cco_migrate.engine import Engine
from cco_migrate.errors import Aborted, Held, LockLost, RolledBack
from cco_migrate.model import Step
from cco_migrate.runs import inbox
from cco_migrate.runs.attestations import Approval
from cco_migrate.runs.control import Control, Wish
from cco_migrate.runs.journal import Status

if TYPE_CHECKING:
    from tests.unit.cco_migrate.engine.conftest import Bench


@dataclass
class Operator:
    """Asks for something when a step begins, and releases a hold as soon as it is awaited."""

    control: Control
    wishes: Mapping[str, Wish]
    waits: list[str] = field(default_factory=list)

    def step_begins(self, step: Step) -> None:
        if step.id in self.wishes:
            self.control.ask(self.wishes[step.id], "said so")

    def waiting(self, what: str, timeout_s: float) -> None:
        self.waits.append(what)
        self.control.withdraw(Wish.HOLD)

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """Nothing."""


def operated(bench: Bench, **wishes: Wish) -> tuple[Engine, Operator]:
    operator = Operator(Control(bench.path.parent, bench.world), wishes)
    return replace(bench.engine(), progress=operator), operator


def test_hold_takes_effect_before_the_next_step_and_release_goes_on(bench: Bench) -> None:
    engine, operator = operated(bench, enable=Wish.HOLD)
    engine.run()
    lines = bench.lines()
    held = lines.index("held")
    assert lines[held - 1 : held + 3] == ["applied enable", "held", "released", "prepared validate"]
    assert lines[-1] == "finished"
    assert "invoke release (held by " in operator.waits[0]


def test_hold_that_nobody_releases_leaves_the_run_open(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cco_migrate.runs.hold.HOLD_TIMEOUT_S", 0.05)
    engine = bench.engine()
    engine.control.ask(Wish.HOLD, "lunch")
    for _ in range(2):
        with pytest.raises(Held, match=r"held by .* \(lunch\), and not released") as raised:
            bench.engine().run()
    assert (raised.value.code, raised.value.next_command) == (12, "invoke release")
    assert bench.lines() == ["planned", "held"]
    assert bench.engine().state.held.endswith("(lunch)")
    engine.control.withdraw(Wish.HOLD)
    bench.engine().run()
    assert bench.lines()[2] == "released"
    assert bench.lines()[-1] == "finished"


@pytest.mark.parametrize("step", ["enable", "validate", "serve", "probe"])
def test_abort_goes_back_before_anything_else_is_done(bench: Bench, step: str) -> None:
    engine, _ = operated(bench, **{step: Wish.ABORT})
    with pytest.raises(RolledBack, match=r"aborted by .* \(said so\)"):
        engine.run()
    assert bench.config.read_text() == bench.fake.loaded == bench.before
    lines = bench.lines()
    assert lines[-1] == "rolled-back"
    assert lines[lines.index("rolling-back") - 1].endswith(step)
    assert "finished" not in lines
    assert engine.control.asked(Wish.ABORT) is None


def test_abort_ends_a_hold(bench: Bench) -> None:
    engine = bench.engine()
    engine.run(only="enable")
    for wish in (Wish.HOLD, Wish.ABORT):
        engine.control.ask(wish, "")
    with pytest.raises(RolledBack, match="aborted"):
        bench.engine().run()
    assert bench.config.read_text() == bench.before


def test_abort_before_anything_was_changed_says_so(bench: Bench) -> None:
    engine = bench.engine()
    engine.control.ask(Wish.ABORT, "")
    with pytest.raises(Aborted) as raised:
        engine.run()
    assert (raised.value.code, raised.value.state) == (6, "Nothing was changed.")
    assert bench.lines() == ["planned", "rolled-back"]


def test_abort_does_not_stop_the_way_back(bench: Bench) -> None:
    engine = bench.engine()
    engine.run()
    engine.control.ask(Wish.ABORT, "")
    engine.roll_back(why="asked for")
    assert bench.config.read_text() == bench.fake.loaded == bench.before
    assert engine.state.status is Status.ROLLED_BACK


def test_lost_lock_stops_everything_and_writes_nothing_more(bench: Bench) -> None:
    def lost() -> None:
        if bench.lines()[-1] == "applied enable":
            raise LockLost("taken over")

    with pytest.raises(LockLost):
        replace(bench.engine(), confirm=lost).run()
    assert bench.lines()[-1] == "applied enable"
    assert bench.config.read_text() == bench.after
    bench.engine().run()
    assert bench.lines()[-1] == "finished"


def test_approval_that_was_left_is_journaled_before_the_next_step(bench: Bench) -> None:
    now = bench.world.clock.now()
    word = Approval("probe", "Kim", now, "change 4711", now + timedelta(hours=1), "kim@host")
    left = inbox.leave(bench.path.parent, word, bench.world)
    bench.engine().run()
    assert bench.engine().state.approvals == (word,)
    assert bench.lines().index("approved probe") < bench.lines().index("applying enable")
    assert not left.exists()
