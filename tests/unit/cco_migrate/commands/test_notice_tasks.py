"""The tasks `notice` and `calendar`: what they refuse, write and print."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cco_migrate import plan_file
from cco_migrate.commands import notices
from cco_migrate.commands.notices import Wanted
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Basis, Instance, Plan, Step
from cco_migrate.progress import Output
from cco_migrate.runs.journal import Event
from cco_migrate.runs.store import Run
from cco_migrate.session import Result, Session
from cco_migrate.target import Target
from cco_migrate.world import World

Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

STEPS = (Step(9, "traffic", "traffic", "traffic.flows"),)
PEOPLE = """
[communication]
contact = "#help"
change_at = "2099-12-14T09:00:00Z"
[calendar]
freeze = [["2026-12-20", "2027-01-03"]]
[[stakeholders]]
name = "Everybody"
notices = ["before", "after", "daily", "week-1", "week-4"]
"""


@pytest.fixture
def session(tmp_path: Path, world: World) -> Session:
    (tmp_path / "home" / "config").mkdir(parents=True)
    return Session(Target(home=str(tmp_path / "home")), Output(quiet=True), world)


@pytest.fixture
def run(session: Session, instance_at: Callable[[str], Instance], closed_port: int) -> Run:
    instance = instance_at(f"http://127.0.0.1:{closed_port}")
    return session.store.create(Plan("model-overrides", instance, STEPS, (), (), "f0", "f1"))


def settle(session: Session, text: str = PEOPLE) -> None:
    (session.home / "config" / "fleet.toml").write_text(text)


def finish(run: Run, event: Event = Event.FINISHED) -> None:
    run.journal.append(event, reason="GO")


def unknown(result: Result) -> list[str]:
    gaps = result.document["unknown"]
    assert isinstance(gaps, list)
    return gaps


@pytest.mark.parametrize(
    ("kind", "event", "said", "following"),
    [
        ("", None, "name it with --kind; there is: before, after", None),
        ("soon", None, "--kind soon: unknown", None),
        ("before", Event.FINISHED, "cannot be announced any more", "invoke plan --out FILE"),
        ("after", None, "has not ended (open)", "invoke notice --kind daily"),
        ("after", Event.ROLLING_BACK, "has not ended (rolling-back)", "invoke notice --kind daily"),
        ("week-1", None, "is not done (open)", "invoke status"),
        ("week-4", Event.ROLLED_BACK, "is not done (rolled-back)", "invoke status"),
    ],
)
def test_notice_that_would_not_be_true_is_refused(
    session: Session, run: Run, kind: str, event: Event | None, said: str, following: str | None
) -> None:
    if event is not None:
        finish(run, event)
    with pytest.raises(InvalidInput) as refused:
        notices.notice(session, Wanted(kind))
    assert said in str(refused.value)
    assert (refused.value.next_command or "").startswith(following or "")


def test_notice_without_a_run_says_how_to_announce_a_plan(session: Session) -> None:
    with pytest.raises(InvalidInput, match="nothing to tell of") as refused:
        notices.notice(session, Wanted("daily"))
    assert "--kind before --plan FILE" in (refused.value.next_command or "")


def test_notice_is_written_in_both_forms_and_says_where(
    session: Session, run: Run, tmp_path: Path
) -> None:
    settle(session)
    finish(run)
    result = notices.notice(session, Wanted("after", out=str(tmp_path)))
    names = [f"notice-after-{run.id}.md", f"notice-after-{run.id}.txt"]
    assert result.document["files"] == [str(tmp_path / name) for name in names]
    mail = (tmp_path / names[1]).read_text()
    assert mail.startswith("Subject: [LLM gateway] Model overrides: done")
    assert result.document["text"] == {
        "md": (tmp_path / names[0]).read_text(), "txt": mail,
    }  # fmt: skip
    assert unknown(result) == []


def test_notice_without_a_folder_is_printed_and_says_what_is_missing(
    session: Session, run: Run
) -> None:
    result = notices.notice(session, Wanted("before"))
    assert result.text.startswith("# [LLM gateway] Model overrides: planned, date not fixed yet")
    assert unknown(result) == [
        "fleet.toml names no contact",
        "fleet.toml names nobody who gets the notice before",
        "fleet.toml does not say when the change is (change_at in [communication])",
    ]
    json.dumps(result.document)


@pytest.mark.parametrize(
    ("change_at", "said"),
    [("2020-12-14T09:00:00Z", "change_at is over"), ("2099-12-14T09:00:00Z", "is frozen")],
)
def test_date_that_cannot_be_meant_is_doubted(
    session: Session, run: Run, change_at: str, said: str
) -> None:
    frozen = '[calendar]\nfreeze = [["2099-12-01", "2099-12-31"]]\n'
    settle(session, f'[communication]\nchange_at = "{change_at}"\n{frozen}')
    assert any(said in gap for gap in unknown(notices.notice(session, Wanted("before"))))


def test_saved_plan_is_announced_before_it_is_carried_out(
    session: Session, run: Run, tmp_path: Path
) -> None:
    finish(run)
    settle(session)
    basis = Basis("2026-11-21T14:03:11+00:00", "0.1", {}, ())
    plan = replace(run.plan, basis=basis)
    path = tmp_path / "plan.json"
    path.write_bytes(plan_file.encode(plan))
    result = notices.notice(session, Wanted("before", plan=str(path)))
    assert f"**Plan:** {plan.digest}" in result.text
    for wanted in (Wanted("after", plan=str(path)), Wanted("before", run=run.id, plan=str(path))):
        with pytest.raises(InvalidInput, match="belongs to --kind before"):
            notices.notice(session, wanted)
    with pytest.raises(InvalidInput, match="No such file"):
        notices.notice(session, Wanted("before", plan=str(tmp_path / "none.json")))


def test_review_asks_the_gateway_of_the_run(
    session: Session, serve: Serve, instance_at: Callable[[str], Instance]
) -> None:
    def gateway(_method: str, target: str, _body: bytes) -> Reply:
        answers: dict[str, object] = {"entries": [], "total": 7}
        if target.startswith("/api/overrides/stats"):
            answers = {"overrides_by_model": {"a": {"cost_saved_usd": 18.5}}}
        return 200, {}, json.dumps(answers).encode()

    plan = Plan("model-overrides", instance_at(serve(gateway)), STEPS, (), (), "f0", "f1")
    finish(session.store.create(plan))
    text = notices.notice(session, Wanted("week-4")).text
    assert "| Requests | 7 |" in text
    assert "| Saved by overrides | $18.50 |" in text
    assert "written before the time is over" in text


def test_review_of_a_silent_gateway_says_what_it_does_not_know(session: Session, run: Run) -> None:
    finish(run)
    text = notices.notice(session, Wanted("week-1")).text
    assert "| Requests | unknown |" in text
    assert "does not answer" in text
    assert "| Rollbacks | 0 |" in text


def test_folder_that_is_not_there_is_refused(session: Session, run: Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="none/notice-daily"):
        notices.notice(session, Wanted("daily", out=str(tmp_path / "none")))


def test_calendar_is_shown_and_written_around_the_freeze(session: Session, tmp_path: Path) -> None:
    settle(session)
    shown = notices.calendar(session, "2026-12-07", "")
    assert "Mon 2027-01-04  " in shown.text
    assert "35 days from 2026-12-07 to 2027-01-10" in shown.text
    assert "--out FILE.ics" in shown.text
    path = tmp_path / "cutover.ics"
    written = notices.calendar(session, "2026-12-07", str(path))
    data = path.read_bytes()
    assert data.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert data.endswith(b"END:VCALENDAR\r\n")
    assert written.document["file"] == str(path)
    events = written.document["events"]
    assert isinstance(events, list)
    assert data.count(b"BEGIN:VEVENT\r\n") == len(events)
    stamp = data.split(b"DTSTAMP:")[1][:16].decode()
    made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 600


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("", "name it with --start"),
        ("07.12.2026", "write YYYY-MM-DD"),
        ("2026-02-30", "write YYYY-MM-DD"),
        ("0202-12-07", "is that year meant"),
    ],
)
def test_calendar_needs_a_day(session: Session, start: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        notices.calendar(session, start, "")


def test_calendar_that_cannot_be_written_says_so(session: Session, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="it was not written"):
        notices.calendar(session, "2026-12-07", str(tmp_path / "none" / "x.ics"))
