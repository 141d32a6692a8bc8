"""What a NO-GO and a HOLD lead to: what the step says, and what a person says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cco_migrate.context import Context
from cco_migrate.engine import Engine
from cco_migrate.errors import Frozen, Held, LockLost, RolledBack, RunStaysOpen, ToolkitError
from cco_migrate.runs.attestations import Approval
from cco_migrate.runs.journal import Event, Status
from cco_migrate.verdict import Verdict

if TYPE_CHECKING:
    from tests.unit.cco_migrate.engine.conftest import Bench


def gated(bench: Bench, on_no_go: str, ask: Callable[[str], bool | None]) -> Engine:
    """A run whose check says NO-GO, and what that leads to."""
    probe = replace(bench.plan.step("probe"), params={"on_no_go": on_no_go})
    steps = tuple(probe if step.id == "probe" else step for step in bench.plan.steps)
    bench.plan = replace(bench.plan, steps=steps)
    bench.fake.verdict = Verdict.NO_GO
    return replace(bench.engine(), ask=ask)


@pytest.mark.parametrize(
    ("on_no_go", "answer", "error"),
    [
        ("rollback", None, RolledBack),
        ("freeze", True, Frozen),
        ("ask", True, RolledBack),
        ("ask", False, Frozen),
        ("ask", None, Held),
    ],
)
def test_no_go_leads_to_what_the_step_says(
    bench: Bench, on_no_go: str, answer: bool | None, error: type[ToolkitError]
) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool | None:
        asked.append(question)
        return answer

    with pytest.raises(error, match="probe: "):
        gated(bench, on_no_go, ask).run()
    question = "probe: NO-GO: judged NO-GO. Roll back now?"
    assert asked == ([question] if on_no_go == "ask" else [])
    back = error is RolledBack
    assert bench.config.read_text() == (bench.before if back else bench.after)
    assert bench.engine().state.status is (Status.ROLLED_BACK if back else Status.OPEN)


def test_frozen_run_can_still_be_rolled_back(bench: Bench) -> None:
    with pytest.raises(Frozen) as raised:
        gated(bench, "freeze", lambda _: None).run()
    assert (raised.value.code, raised.value.next_command) == (3, "invoke rollback")
    bench.engine().roll_back(why="asked for")
    assert bench.config.read_text() == bench.before


@pytest.mark.parametrize("verdict", [Verdict.HOLD, Verdict.INCONCLUSIVE])
@pytest.mark.parametrize("hours", [1, -1], ids=["holds", "expired"])
def test_approval_that_holds_decides_a_hold_and_nothing_else(
    bench: Bench, verdict: Verdict, hours: int
) -> None:
    bench.fake.verdict = verdict
    with pytest.raises(RunStaysOpen):
        bench.engine().run()
    now = bench.world.clock.now()
    given, until = now - timedelta(hours=2), now + timedelta(hours=hours)
    word = Approval("probe", "Kim", given, "it is known", until, "ops@host")
    bench.engine().journal.append(Event.APPROVED, "probe", data=word.to_json())
    if verdict is Verdict.HOLD and hours > 0:
        bench.engine().run()
        probe = bench.engine().state.steps["probe"]
        assert probe.reason == "judged HOLD; approved by Kim (it is known)"
        assert bench.lines()[-1] == "finished"
        return
    with pytest.raises(RunStaysOpen, match=f"judged {verdict}"):
        bench.engine().run()
    assert bench.engine().state.status is Status.OPEN


def test_lock_that_is_lost_ends_a_wait_in_the_middle(bench: Bench) -> None:
    waits = 0

    def wait(context: Context) -> None:
        nonlocal waits
        for _ in range(3):
            waits += 1
            context.world.clock.pause(0)

    def confirm() -> None:
        if waits == 2:
            raise LockLost("taken over")

    bench.fake.measuring = wait
    with pytest.raises(LockLost):
        replace(bench.engine(), confirm=confirm).run()
    assert waits == 2
    assert bench.lines()[-1] == "prepared probe"
