"""A notice of a migration: its context out of facts and settings (pure), and its rendering."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from email.utils import formataddr
from typing import Any

from cco_migrate import report
from cco_migrate.communication import facts
from cco_migrate.communication.review import Review
from cco_migrate.communication.settings import NoticeKind, Settings
from cco_migrate.communication.wording import wording_of
from cco_migrate.durations import show_duration
from cco_migrate.model import Plan
from cco_migrate.runs.journal import Entry, RunState, Status

FORMS: Mapping[str, str] = {"md": "markdown", "txt": "text"}
"""The forms of a notice: the ending of its file, and the template that knows how it is written."""

_TEMPLATES = {
    NoticeKind.BEFORE: "before",
    NoticeKind.AFTER: "after",
    NoticeKind.DAILY: "daily",
    NoticeKind.WEEK_1: "review",
    NoticeKind.WEEK_4: "review",
}
_ENDS = {
    Status.OPEN: "not finished",
    Status.DONE: "done",
    Status.ROLLING_BACK: "a rollback is under way",
    Status.ROLLED_BACK: "rolled back, the old state is in place",
    Status.ROLLBACK_FAILED: "the rollback failed, a person is needed",
}
_DAY = timedelta(days=1)
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a notice is about.

    Attributes:
        state: The run; None for a plan that is not carried out yet.
        entries: The run's journal; empty without one.
        recovery: The newest measurement of a way back; None when there is none.
    """

    plan: Plan
    state: RunState | None = None
    entries: Sequence[Entry] = ()
    recovery: facts.Recovery | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice in every form.

    Attributes:
        to: Names of its readers; empty when nobody is named.
        text: By the ending of its file; the mail begins with its recipients and its subject.
    """

    kind: NoticeKind
    subject: str
    to: tuple[str, ...]
    text: Mapping[str, str]


def write(
    kind: NoticeKind,
    about: Subject,
    settings: Settings,
    now: datetime,
    review: Review | None = None,
) -> Notice:
    """Return a notice.

    Args:
        now: Aware; what happened in the day before it is news.
        review: The figures of a review; needed for the kinds week-1 and week-4, and for no other.
    """
    readers = settings.readers(kind)
    to = tuple(one.name for one in readers)
    mail = tuple(formataddr((one.name, one.address)) for one in readers if one.address)
    subject = _subject(kind, about, settings, now)
    context = {
        **_context(about, settings, now),
        "kind": kind.value,
        "subject": subject,
        "to": mail,
        **(_of_review(review, settings.zone) if review else {}),
    }
    environment = report.environment()
    template = environment.get_template(f"notices/{_TEMPLATES[kind]}.j2")
    text = {
        ending: _tidy(
            template.render(context, form=environment.get_template(f"notices/{form}.j2").module)
        )
        for ending, form in FORMS.items()
    }
    return Notice(kind, subject, to, text)


def _subject(kind: NoticeKind, about: Subject, settings: Settings, now: datetime) -> str:
    title = wording_of(about.plan).title
    match kind:
        case NoticeKind.BEFORE:
            said = "planned, date not fixed yet"
            if settings.change_at is not None:
                said = f"planned for {_shown(settings.change_at, settings.zone)}"
        case NoticeKind.AFTER:
            said = _ENDS[about.state.status if about.state else Status.OPEN]
        case NoticeKind.DAILY:
            said = f"update of {now.astimezone(settings.zone):%Y-%m-%d}"
        case NoticeKind.WEEK_1:
            said = "review after one week"
        case NoticeKind.WEEK_4:
            said = "review after four weeks"
    return f"[{settings.service}] {title[0].upper()}{title[1:]}: {said}"


def _tidy(text: str) -> str:
    """Return a text with one blank line where parts that say nothing have left several."""
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n"


def _context(about: Subject, settings: Settings, now: datetime) -> dict[str, Any]:  # Any: template
    plan, zone, measured = about.plan, settings.zone, about.recovery
    wording = wording_of(plan)
    return {
        "title": wording.title,
        "meaning": wording.meaning,
        "contact": settings.contact,
        "instance": plan.instance,
        "plan": plan.digest,
        "change_at": _shown(settings.change_at, zone) if settings.change_at else "",
        "interruption": _interruption(plan, settings),
        "recovery": _seconds(measured.seconds) if measured else "",
        "recovery_of": f"{measured.of}, {_shown(measured.at, zone)}" if measured else "",
        "changes": facts.changes(plan),
        "assurances": facts.assurances(plan),
        "issues": tuple(map(str, facts.issues(plan, about.state))),
        "news": _news(about, zone, now),
        "steps": len(plan.steps),
        **(_of_run(plan, about.state, zone) if about.state else {}),
    }


def _of_run(plan: Plan, state: RunState, zone: tzinfo) -> dict[str, Any]:  # Any: see above
    began, ended = map(datetime.fromisoformat, (state.started_at, state.changed_at))
    return {
        "run": state.run,
        "status": state.status.value,
        "end": _ENDS[state.status],
        "reason": state.reason,
        "by": state.by,
        "held": state.held,
        "began": _shown(began, zone),
        "ended": _shown(ended, zone),
        "took": show_duration((ended - began).total_seconds()),
        "downtime": _seconds(facts.downtime_s(plan, state)),
        "gates": facts.gates(plan, state),
        "done": sum(state.done(step.id) for step in plan.steps),
        "next": _next(plan, state),
        "rollback": report.rollback_command(plan, state.run),
    }


def _of_review(review: Review, zone: tzinfo) -> dict[str, Any]:  # Any: see above
    since, until = _shown(review.since, zone), _shown(review.until, zone)
    return {"review": review, "since": since, "until": until}


def _interruption(plan: Plan, settings: Settings) -> str:
    if settings.interruption_s is not None:
        return f"at most {show_duration(settings.interruption_s)}"
    if not plan.changes:
        return "none: no file is changed"
    if any(step.uses == facts.REPLACED for step in plan.steps):
        return "none: the gateway's socket stays open while its workers are replaced"
    if any(step.uses == facts.STARTED for step in plan.steps):
        return "while the gateway stops and starts; for how long is not known yet"
    return "not known yet"


def _news(about: Subject, zone: tzinfo, now: datetime) -> list[str]:
    told = facts.happenings(about.entries, about.plan, now - _DAY)
    return [f"{one.at.astimezone(zone):%H:%M} {one.text}" for one in told]


def _next(plan: Plan, state: RunState) -> str:
    """Return the title of the next step; empty when there is none."""
    if state.status is not Status.OPEN:
        return ""
    return next((step.title for step in plan.steps if not state.done(step.id)), "")


def _seconds(seconds: float | None) -> str:
    """Return a measured time; empty when it is unknown."""
    return "" if seconds is None else f"{seconds:.1f} s"


def _shown(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
