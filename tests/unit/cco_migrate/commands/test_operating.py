"""An operator at another terminal: what is said of a run, and what can be asked of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.commands import operating
from cco_migrate.commands.reporting import verify_report
from cco_migrate.errors import Held, InvalidInput, LockHeld
from cco_migrate.model import Instance, Plan, Step
from cco_migrate.progress import Output
from cco_migrate.runs import inbox, lock
from cco_migrate.runs.control import Control, Wish
from cco_migrate.runs.journal import Event
from cco_migrate.runs.run_log import RunLog
from cco_migrate.runs.store import Run
from cco_migrate.session import Result, Session
from cco_migrate.target import Target
from cco_migrate.world import Processes, World

STEPS = (
    Step(2, "exists", "configuration exists", "config.exists", {"path": "/a"}),
    Step(9, "traffic", "traffic", "traffic.flows"),
)


class Elsewhere(Processes):
    """Another machine that shares our state root."""

    def host(self) -> str:
        return "elsewhere"


@pytest.fixture
def session(tmp_path: Path, world: World) -> Session:
    return Session(Target(home=str(tmp_path / "home")), Output(quiet=True), world)


@pytest.fixture
def run(session: Session, instance_at: Callable[[str], Instance]) -> Run:
    plan = Plan("model-overrides", instance_at("http://127.0.0.1:1"), STEPS, (), (), "f0", "f1")
    return session.store.create(plan)


def control(session: Session, run: Run) -> Control:
    return Control(run.directory, session.world)


def blocked(session: Session) -> tuple[object, object]:
    document = operating.status(session).document
    return document["blocked_by"], document["clear_with"]


def test_status_without_a_run_says_how_to_begin(session: Session) -> None:
    result = operating.status(session)
    assert "begin with: invoke migrate" in result.text
    assert result.document["run"] is None


def test_run_whose_journal_is_gone_is_verified_all_the_same(session: Session, run: Run) -> None:
    (run.directory / "report.md").write_text("GO")
    (run.directory / "journal.jsonl").unlink()
    with pytest.raises(InvalidInput, match=f"{run.directory}/.* does not exist"):
        verify_report(session, run_id="", directory="")


def test_status_of_an_open_run_nobody_works_on_names_the_next_step(
    session: Session, run: Run
) -> None:
    assert blocked(session) == ("next is step 2 configuration exists", "go on with: invoke migrate")
    run.journal.append(Event.JUDGED, "exists", data={"evidence": {"verdict": "GO"}})
    run.journal.append(
        Event.JUDGED, "traffic", reason="no client yet", data={"evidence": {"verdict": "HOLD"}}
    )
    assert blocked(session)[0] == "next is step 9 traffic: no client yet"
    assert "1 of 2 steps proved" in operating.status(session).text


def test_status_of_a_run_in_progress_names_its_owner_and_step(session: Session, run: Run) -> None:
    with session.locked("migrate model-overrides"):
        condition, clear = blocked(session)
    assert "(migrate model-overrides) works on it, at step 2" in str(condition)
    assert clear == "see it end with: invoke wait"


def test_status_of_a_run_on_another_machine_names_the_takeover(session: Session, run: Run) -> None:
    theirs = replace(session.world, processes=Elsewhere())
    with lock.held(session.home / "migrate", theirs, why="migrate"):
        condition, clear = blocked(session)
    assert "on elsewhere" in str(condition)
    assert clear == "if that machine is dead: invoke takeover"


@pytest.mark.parametrize("wish", Wish)
@pytest.mark.parametrize("working", [True, False])
def test_status_names_what_was_asked_and_what_clears_it(
    session: Session, run: Run, wish: Wish, working: bool
) -> None:
    control(session, run).ask(wish, "lunch")
    if working:
        with session.locked("migrate"):
            condition, clear = blocked(session)
    else:
        condition, clear = blocked(session)
    assert str(condition).endswith("(lunch)")
    wanted = {
        (Wish.HOLD, True): "clear it with: invoke release",
        (Wish.HOLD, False): "clear it with: invoke release, then go on with: invoke migrate",
        (Wish.ABORT, True): "see it end with: invoke wait",
        (Wish.ABORT, False): "carry it out with: invoke abort",
    }
    assert clear == wanted[wish, working]


@pytest.mark.parametrize(
    ("event", "clear"),
    [
        (Event.ROLLING_BACK, "finish it with: invoke rollback"),
        (Event.ROLLBACK_FAILED, "mend what it names, then: invoke rollback"),
        (Event.FINISHED, "None"),
        (Event.ROLLED_BACK, "None"),
    ],
)
def test_status_after_the_way_back_names_what_is_left(
    session: Session, run: Run, event: Event, clear: str
) -> None:
    run.journal.append(event, reason="why")
    assert str(blocked(session)[1]).startswith(clear)


def test_hold_and_release_leave_and_take_a_request(session: Session, run: Run) -> None:
    assert "go on with: invoke release" in operating.hold(session, why="lunch").text
    assert control(session, run).asked(Wish.HOLD) is not None
    assert "nobody works on it; go on with: invoke migrate" in operating.release(session).text
    assert control(session, run).asked(Wish.HOLD) is None
    assert "is not held" in operating.release(session).text


@pytest.mark.parametrize("event", [Event.FINISHED, Event.ROLLED_BACK])
def test_nothing_can_be_asked_of_a_run_that_ended(session: Session, run: Run, event: Event) -> None:
    run.journal.append(event)
    asks: tuple[Callable[[], Result], ...] = (
        lambda: operating.hold(session, why=""),
        lambda: operating.release(session),
        lambda: operating.abort(session, why="", timeout_s=0),
    )
    for ask in asks:
        with pytest.raises(InvalidInput, match="there is nothing to stop or let go on") as raised:
            ask()
        assert raised.value.next_command == "invoke status"  # nothing that undoes a good run
    assert not list(run.directory.glob("*.request.json"))


def test_abort_asks_the_process_that_works_on_the_run_and_waits_for_it(
    session: Session, run: Run
) -> None:
    def engine() -> None:
        asked = control(session, run)
        assert session.world.clock.wait_until(lambda: asked.asked(Wish.ABORT) is not None, 60)
        run.journal.append(Event.ROLLED_BACK, reason="aborted")

    with session.locked("migrate"):
        thread = threading.Thread(target=engine)
        thread.start()
        result = operating.abort(session, why="wrong window", timeout_s=60)
        thread.join()
    assert (result.code, result.text) == (0, f"run {run.id}: rolled-back; aborted")


@pytest.mark.parametrize(
    ("what", "event", "data", "code"),
    [
        ("done", Event.FINISHED, {}, 0),
        ("done", Event.ROLLED_BACK, {}, 6),
        ("held", Event.ROLLBACK_FAILED, {}, 7),
        ("held", Event.HELD, {}, 0),
        ("gate", Event.JUDGED, {"evidence": {"verdict": "INCONCLUSIVE"}}, 0),
        ("gate", Event.JUDGED, {"evidence": {"verdict": "GO"}}, 12),
        ("done", Event.HELD, {}, 12),
    ],
)
def test_wait_ends_with_the_code_of_what_it_found(
    session: Session, run: Run, what: str, event: Event, data: dict[str, object], code: int
) -> None:
    step = "exists" if event is Event.JUDGED else ""
    run.journal.append(event, step, reason="by ops", data=data)
    assert operating.wait(session, what=what, timeout_s=0).code == code


def test_wait_is_over_when_nobody_works_on_the_run(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operating, "IDLE_S", 0.01)
    result = operating.wait(session, what="done", timeout_s=600)
    assert result.code == 12
    assert "nobody works on it; see: invoke status" in result.text
    with session.locked("migrate"):
        late = operating.wait(session, what="done", timeout_s=0.05)
    assert "not done within 0 s" in late.text


def test_wait_for_something_unknown_is_refused(session: Session, run: Run) -> None:
    with pytest.raises(InvalidInput, match="there is: done, held, gate"):
        operating.wait(session, what="lunch", timeout_s=0)


def test_takeover_from_a_silent_machine_is_journaled(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LEASE_S", 600.0)  # theirs does not beat while we look
    theirs = replace(session.world, processes=Elsewhere())
    with lock.held(session.home / "migrate", theirs, why="migrate"):
        path = session.home / "migrate" / "lock"
        row = json.loads(path.read_text()) | {"lease_s": 0.05}
        path.write_text(json.dumps(row).ljust(lock.RECORD_BYTES - 1) + "\n")
        with pytest.raises(LockHeld), session.locked("migrate"):
            pytest.fail("two owners")
        result = operating.takeover(session)
    assert result.text.endswith("is yours, and the lock free; go on with: invoke migrate")
    run.journal.reload()
    last = run.journal.entries[-1]
    assert last.event is Event.TAKEN_OVER
    assert "on elsewhere" in last.reason
    assert last.reason.startswith("by ")


def test_takeover_of_a_free_lock_changes_nothing(session: Session, run: Run) -> None:
    assert operating.takeover(session).text == "the lock is free; nothing to take over"
    assert len(session.store.load(run.id).journal.entries) == 1


def test_approval_is_journaled_shown_and_does_not_change_the_run(
    session: Session, run: Run
) -> None:
    before = run.state
    said = operating.approve(session, gate="exists", by=" Kim ", scope="change 4711", expires="24h")
    run.journal.reload()
    (word,) = run.state.approvals
    assert (word.gate, word.by, word.scope) == ("exists", "Kim", "change 4711")
    assert word.recorded_by == session.world.processes.operator()
    assert (word.expires - word.at).total_seconds() == 24 * 3600
    assert run.state == replace(before, approvals=(word,))
    assert "exists approved by Kim for change 4711, until" in said.text
    assert "exists approved by Kim for change 4711, until" in operating.status(session).text
    assert operating.status(session).document["approvals"] == [word.to_json()]
    for name in ("report.md", "report.html"):
        assert "approved by Kim for change 4711" in (run.directory / name).read_text()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"gate": "lunch"}, "--gate lunch: unknown; there is: .*exists.*critical-bugs"),
        ({"by": " "}, "needs --by"),
        ({"scope": "", "expires": ""}, "needs --scope, --expires"),
        ({"expires": "2020-01-01T00:00:00Z"}, "is over"),
    ],
)
def test_approval_that_says_too_little_is_refused_and_not_journaled(
    session: Session, run: Run, given: dict[str, str], why: str
) -> None:
    whole = {"gate": "critical-bugs", "by": "Kim", "scope": "change 4711", "expires": "1h"}
    with pytest.raises(InvalidInput, match=why):
        operating.approve(session, **{**whole, **given})
    run.journal.reload()
    assert not run.state.approvals


def test_approval_while_somebody_works_on_the_run_is_left_and_taken_by_them(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cco_migrate.commands.operating.TAKEN_S", 0.02)
    typed = {"gate": "exists", "by": "Kim", "scope": "change 4711", "expires": "24h"}
    with session.locked("migrate") as lease:
        said = operating.approve(session, **typed)
        assert "left for pid" in said.text
        log = RunLog(run.journal, lease.confirm, lambda _: None)
        assert not log.state.approvals
        inbox.take(run.directory, log, session.world)
        assert [word.by for word in log.state.approvals] == ["Kim"]
        inbox.take(run.directory, log, session.world)
        assert len(log.state.approvals) == 1
    assert not list(run.directory.glob("*.approval.json"))


def test_approval_journaled_before_a_kill_is_not_journaled_again(
    session: Session, run: Run
) -> None:
    operating.approve(session, gate="exists", by="Kim", scope="change 4711", expires="24h")
    run.journal.reload()
    inbox.leave(run.directory, run.state.approvals[0], session.world)
    operating.approve(session, gate="exists", by="Lee", scope="change 4711", expires="24h")
    run.journal.reload()
    assert [word.by for word in run.state.approvals] == ["Kim", "Lee"]


def test_file_that_is_no_approval_is_named_and_left(session: Session, run: Run) -> None:
    path = run.directory / "0.approval.json"
    path.write_text("{}")
    with pytest.raises(Held, match=r"0\.approval\.json: not an approval") as raised:
        operating.approve(session, gate="exists", by="Kim", scope="c", expires="24h")
    assert raised.value.next_command == f"rm {path}"
    path.unlink()
    operating.approve(session, gate="exists", by="Lee", scope="c", expires="24h")
    run.journal.reload()
    assert [word.by for word in run.state.approvals] == ["Kim", "Lee"]
