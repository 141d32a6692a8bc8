"""The notices as they are sent: every kind, in either form, for every way a run can stand."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cco_migrate.communication.facts import Recovery
from cco_migrate.communication.notices import FORMS, Notice, Subject, write
from cco_migrate.communication.review import Figure, Review
from cco_migrate.communication.settings import NoticeKind, Settings, Stakeholder
from cco_migrate.communication.wording import CUTOVER, WORDINGS
from cco_migrate.migrations import MIGRATIONS, gateway_cutover
from cco_migrate.model import Change, DriverSpec, Instance, Plan, Step
from cco_migrate.runs.journal import Entry, Event, RunState, Status, StepState

AT = datetime(2026, 11, 21, 14, 3, 11, tzinfo=UTC)
NOW = AT + timedelta(hours=1)
PLAN = Plan(
    kind="model-overrides",
    instance=Instance(
        "edge", "http://127.0.0.1:3000", Path("/srv/config/model-overrides.toml"), Path("/srv"),
        DriverSpec("process"),
    ),
    steps=(
        Step(7, "restart", "restart", "service.replace"),
        Step(9, "traffic", "traffic", "traffic.flows"),
    ),
    way_back=(Step(0, "back-clients", "clients", "clients.recovered"),),
    changes=(Change("/srv/config/model-overrides.toml", "-enabled = false\n+enabled = true\n",
                    "enable overrides"),),
    fingerprint_before="a",
    fingerprint_after="b",
    notes=("not checked: quality of the answers",),
)  # fmt: skip
CUT_OVER = replace(PLAN, kind="gateway-cutover", changes=())
STEPS = {
    "restart": StepState(Event.APPLIED, {}, {"downtime_s": 0.0}, "0 refused", 0.6),
    "traffic": StepState(Event.JUDGED, {}, {"verdict": "GO"}, "24 sent | 12 streamed", 1.4),
}
STATE = RunState("mo-1", Status.DONE, AT.isoformat(), (AT + timedelta(seconds=9)).isoformat(),
                 STEPS, {}, "GO", "ann@host")  # fmt: skip
ENTRIES = (
    Entry(0, AT.isoformat(), 0, "mo-1", "", Event.PLANNED),
    Entry(1, AT.isoformat(), 0, "mo-1", "restart", Event.APPLIED, "0 refused"),
)
SETTINGS = Settings(
    contact="#help",
    zone=ZoneInfo("Europe/Berlin"),
    change_at=datetime(2026, 12, 14, 8, tzinfo=UTC),
    stakeholders=(
        Stakeholder("Engineering", "eng@example.org", frozenset(NoticeKind)),
        Stakeholder("Müller, Anna", "anna@example.org", frozenset(NoticeKind)),
        Stakeholder("The board", notices=frozenset(NoticeKind)),
    ),
)
REVIEW = Review(AT, NOW, True, (Figure("Requests", "48", "a|b", "many"),
                                Figure("Uptime", "unknown", "nobody watched")))  # fmt: skip
RECOVERY = Recovery(0.72, "run mo-0", AT - timedelta(days=3))
ABOUT = Subject(PLAN, STATE, ENTRIES, RECOVERY)


def notice(kind: NoticeKind, about: Subject = ABOUT, settings: Settings = SETTINGS) -> Notice:
    review = REVIEW if kind in {NoticeKind.WEEK_1, NoticeKind.WEEK_4} else None
    return write(kind, about, settings, NOW, review)


def standing(status: Status, reason: str = "") -> Subject:
    return replace(ABOUT, state=replace(STATE, status=status, reason=reason))


def test_every_migration_has_words_for_people() -> None:
    assert WORDINGS.keys() >= MIGRATIONS.keys()
    assert all(wording.title and wording.meaning for wording in WORDINGS.values())


@pytest.mark.parametrize(("phase", "said"), [(1, "Nothing changes"), (2, "stream"), (3, "removed")])
def test_each_phase_of_the_cutover_is_told_in_its_own_words(phase: int, said: str) -> None:
    assert gateway_cutover.PHASES.keys() <= CUTOVER.keys()
    step = Step(3, "gate", "gate", "gate.held", {"phase": phase})
    written = notice(NoticeKind.AFTER, replace(ABOUT, plan=replace(CUT_OVER, steps=(step,))))
    assert f"Gateway cutover, phase {phase}: done" in written.subject
    assert said in written.text["md"]


def test_plan_that_changes_nothing_interrupts_nobody() -> None:
    text = notice(NoticeKind.BEFORE, Subject(CUT_OVER)).text["md"]
    assert "none: no file is changed" in text
    assert "No file is changed." in text
    assert "there is nothing to take back" in text
    done = notice(NoticeKind.AFTER, Subject(CUT_OVER, replace(STATE, steps={}))).text["md"]
    assert "Every check said GO; nothing was changed." in done
    assert "**Without an answer:** nothing was restarted" in done
    assert "# [LLM gateway] Gateway cutover: planned for" in text


@pytest.mark.parametrize("kind", NoticeKind)
@pytest.mark.parametrize("settings", [SETTINGS, Settings()])
@pytest.mark.parametrize("status", Status)
def test_every_notice_is_whole_in_either_form(
    kind: NoticeKind, settings: Settings, status: Status
) -> None:
    written = notice(kind, standing(status), settings)
    assert written.text.keys() == FORMS.keys()
    for text in written.text.values():
        assert written.subject in text
        assert "\n\n\n" not in text
        assert text == text.strip() + "\n"
        assert not re.search(r"\bNone\b|\{\{|Undefined|macro", text)


@pytest.mark.parametrize("kind", NoticeKind)
def test_mail_begins_with_headers_a_mail_program_reads(kind: NoticeKind) -> None:
    written = notice(kind)
    mail = message_from_string(written.text["txt"])
    assert re.findall(r"<([^>]+)>", mail["To"]) == ["eng@example.org", "anna@example.org"]
    assert mail["Subject"] == written.subject
    assert "QUESTIONS" in mail.get_payload()
    assert "Müller" not in mail["To"]  # encoded: its comma would part two recipients
    assert written.to == ("Engineering", "Müller, Anna", "The board")
    assert "To:" not in notice(kind, settings=Settings()).text["txt"]


@pytest.mark.parametrize("kind", NoticeKind)
def test_mail_fits_a_terminal(kind: NoticeKind) -> None:
    long = [line for line in notice(kind).text["txt"].splitlines() if len(line) > 76]
    assert long == []


def test_notice_before_is_this_text() -> None:
    about = Subject(PLAN, recovery=RECOVERY)
    way_back = (
        "The last time it was taken, every client was served as before 0.7 s after the restart "
        "began (run mo-0, 2026-11-18 15:03 CET)."
    )
    assert (
        notice(NoticeKind.BEFORE, about).text["md"]
        == f"""\
# [LLM gateway] Model overrides: planned for 2026-12-14 09:00 CET

- **When:** 2026-12-14 09:00 CET
- **Where:** edge, http://127.0.0.1:3000
- **Interruption:** none: the gateway's socket stays open while its workers are replaced
- **Plan:** {PLAN.digest}

## What it means for you

- The gateway answers requests for some models with other models, by fixed rules.
- Nothing has to be set up anew: clients go on asking for the models they know.
- A client's own cost display goes on counting at the price of the model it asked for.

## What will change

model-overrides.toml, enable overrides:

```diff
-enabled = false
+enabled = true
```

## What was checked before

Nothing was looked at yet.

## Known issues

- not proven: quality of the answers

## The way back

{way_back}

## Questions

#help
"""
    )


@pytest.mark.parametrize("ending", FORMS)
def test_what_is_not_known_is_said_to_be_unknown(ending: str) -> None:
    bare = replace(PLAN, steps=(), notes=())
    text = " ".join(notice(NoticeKind.BEFORE, Subject(bare), Settings()).text[ending].split())
    for said in (
        "date not fixed yet",
        "not known yet",
        "was not measured yet",
        "no contact is named in fleet.toml",
        "None that the run knows of.",
    ):
        assert said in text
    after = notice(NoticeKind.AFTER, Subject(bare, replace(STATE, steps={}, by=""))).text[ending]
    assert "not measured" in after
    assert "No check was reached." in after
    assert "CET, by" not in after


@pytest.mark.parametrize(
    ("uses", "interruption_s", "said"),
    [
        ("service.replace", None, "none: the gateway's socket stays open"),
        ("service.start", None, "for how long is not known yet"),
        ("service.start", 300.0, "at most 5m"),
        ("traffic.flows", None, "not known yet"),
    ],
)
def test_interruption_is_what_the_plan_implies_or_somebody_said(
    uses: str, interruption_s: float | None, said: str
) -> None:
    plan = replace(PLAN, steps=(Step(7, "restart", "restart", uses),))
    settings = replace(SETTINGS, interruption_s=interruption_s)
    assert said in notice(NoticeKind.BEFORE, Subject(plan), settings).text["md"]


@pytest.mark.parametrize(
    ("status", "subject", "said"),
    [
        (Status.DONE, "Model overrides: done", "made, loaded and proved"),
        (Status.ROLLED_BACK, "rolled back, the old state is in place", "was taken back"),
        (Status.ROLLBACK_FAILED, "the rollback failed", "a person is needed"),
    ],
)
def test_notice_after_says_how_it_ended(status: Status, subject: str, said: str) -> None:
    written = notice(NoticeKind.AFTER, standing(status, "2 of 24 answers were wrong"))
    assert subject in written.subject
    for text in written.text.values():
        assert said in text
        assert ("2 of 24 answers were wrong" in text) is (status is not Status.DONE)
        assert ("invoke rollback" in text) is (status is Status.DONE)
        assert "0.0 s" in text
    assert "| traffic | GO | 24 sent \\| 12 streamed |" in written.text["md"]
    assert "Began: 2026-11-21 15:03 CET, by ann@host" in written.text["txt"]


def test_daily_notice_tells_the_day_and_leaves_out_what_is_older() -> None:
    open_run = replace(
        STATE, status=Status.OPEN, held="bob@host: lunch", reason="",
        steps={"restart": STEPS["restart"],
               "traffic": replace(STEPS["traffic"], evidence={"verdict": "HOLD"})},
    )  # fmt: skip
    text = notice(NoticeKind.DAILY, replace(ABOUT, state=open_run)).text["md"]
    for said in (
        "update of 2026-11-21", "(1 of 2 steps)", "**Next:** traffic", "bob@host: lunch",
        "- 15:03 restart: done (0 refused)", "0 of 1 checks said GO; the others:",
        "| traffic | HOLD |",
    ):  # fmt: skip
        assert said in text
    later = write(NoticeKind.DAILY, ABOUT, SETTINGS, NOW + timedelta(days=2)).text["md"]
    assert "Nothing happened." in later
    assert "1 of 1 checks said GO." in later


@pytest.mark.parametrize("kind", [NoticeKind.WEEK_1, NoticeKind.WEEK_4])
def test_review_shows_each_figure_with_its_target_and_source(kind: NoticeKind) -> None:
    text = notice(kind).text
    assert "| Requests | 48 | many | a\\|b |" in text["md"]
    assert "- Requests: 48 (target: many); a|b" in text["txt"]
    assert "- Uptime: unknown; nobody watched" in text["txt"]
    assert "(written before the time is over)" in text["md"]
