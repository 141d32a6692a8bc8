"""One function per communication task: a notice with the facts of a run, and the calendar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from cco_migrate import plan_file
from cco_migrate.communication import facts, icalendar, settings
from cco_migrate.communication.agenda import agenda, blocks_of
from cco_migrate.communication.freeze import forward_block
from cco_migrate.communication.notices import Notice, Subject, write
from cco_migrate.communication.review import Recorded, Review, figures
from cco_migrate.communication.settings import NoticeKind, Settings
from cco_migrate.communication.timeline import CUTOVER, total_days
from cco_migrate.communication.usage import read_saved, read_usage
from cco_migrate.communication.wording import WORDINGS
from cco_migrate.errors import InvalidInput
from cco_migrate.model import Plan
from cco_migrate.probes.site import Site
from cco_migrate.recovery.record import read_record
from cco_migrate.runs.journal import Status
from cco_migrate.runs.store import Run
from cco_migrate.session import Result, Session, shown
from cco_migrate.settings_file import FLEET

_REVIEWED = {NoticeKind.WEEK_1: timedelta(weeks=1), NoticeKind.WEEK_4: timedelta(weeks=4)}
_ENDED = frozenset({Status.DONE, Status.ROLLED_BACK, Status.ROLLBACK_FAILED})
_YEARS = range(2000, 2100)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notice.

    Attributes:
        kind: A value of `NoticeKind`.
        run: Run id; empty for the newest.
        plan: File of a plan that is announced before it is carried out; empty for none.
        out: Folder to write it to; empty to print it.
    """

    kind: str
    run: str = ""
    plan: str = ""
    out: str = ""


def notice(session: Session, wanted: Wanted) -> Result:
    """Write a notice as Markdown and as mail; without a folder, print the Markdown.

    Raises:
        InvalidInput: There is nothing yet, or not any more, that such a notice could tell.
    """
    kind = _kind(wanted.kind)
    told = settings.load(session.home / "config", session.world)
    about, run = _about(session, kind, wanted)
    now = session.world.clock.now()
    review = _review(session, kind, run, now) if kind in _REVIEWED and run else None
    written = write(kind, about, told, now, review)
    gaps = _gaps(kind, written, told, now)
    document: dict[str, object] = {
        "schema_version": 1, "kind": kind.value, "subject": written.subject,
        "to": list(written.to), "unknown": gaps, "text": dict(written.text),
    }  # fmt: skip
    for gap in gaps:
        session.out.say(f"  warn  {gap}")
    if not wanted.out:
        return Result(written.text["md"].rstrip(), document)
    name = f"notice-{kind}-{about.state.run if about.state else about.plan.digest}"
    files = {f"{name}.{ending}": text.encode() for ending, text in written.text.items()}
    paths = _write(session, Path(wanted.out).expanduser(), files)
    return Result("\n".join(map(shown, paths)), {**document, "files": [str(p) for p in paths]})


def calendar(session: Session, start: str, out: str) -> Result:
    """Lay the cutover's phases out from a day on; with a file, write them as iCalendar.

    Raises:
        InvalidInput: The day is none, or a deployment finds no day that is neither off nor frozen.
    """
    told = settings.load(session.home / "config", session.world)
    blocks = blocks_of(CUTOVER, _day(start), told)
    events = agenda(blocks, told)
    lines = [f"{_days(one)}  {one.summary}" for one in events]
    lines.append(f"{total_days(blocks)} days from {blocks[0].first} to {blocks[-1].last}")
    rows = [
        {"uid": one.uid, "first": str(one.first), "last": str(one.last), "summary": one.summary,
         "days_repeated": one.days_repeated, "category": one.category}
        for one in events
    ]  # fmt: skip
    document: dict[str, object] = {"schema_version": 1, "events": rows}
    if not out:
        return Result("\n".join([*lines, "for a calendar program: --out FILE.ics"]), document)
    path = Path(out).expanduser()
    name = f"{told.service} cutover"
    data = icalendar.render(events, name, session.world.clock.now())
    _write(session, path.parent, {path.name: data})
    text = "\n".join([*lines, f"{shown(path)}: {len(events)} entries"])
    return Result(text, {**document, "file": str(path)})


def _kind(text: str) -> NoticeKind:
    try:
        return NoticeKind(text)
    except ValueError as error:
        there = ", ".join(NoticeKind)
        said = f"--kind {text}: unknown" if text else "which notice? name it with --kind"
        raise InvalidInput(f"{said}; there is: {there}") from error


def _about(session: Session, kind: NoticeKind, wanted: Wanted) -> tuple[Subject, Run | None]:
    """Return what a notice is about, and its run when there is one.

    Raises:
        InvalidInput: It would tell of something that is not so.
    """
    if wanted.plan:
        if kind is not NoticeKind.BEFORE or wanted.run:
            raise InvalidInput("--plan belongs to --kind before, and goes without --run")
        plan = _saved_plan(session, wanted.plan)
        return Subject(plan, recovery=_recovery(session, plan)), None
    run = session.store.load(wanted.run) if wanted.run else session.store.latest()
    if run is None:
        raise InvalidInput(
            f"no run under {session.store.root}: there is nothing to tell of",
            next_command="invoke plan --out FILE, then invoke notice --kind before --plan FILE",
        )
    _refuse_untrue(kind, run)
    _refuse_unknown(run.plan)
    recovery = _recovery(session, run.plan)
    return Subject(run.plan, run.state, tuple(run.journal.entries), recovery), run


def _recovery(session: Session, plan: Plan) -> facts.Recovery | None:
    runs = ((run.plan, run.state) for run in session.store.all())
    rehearsal = read_record(session.home / "migrate", session.world.files)
    return facts.recovery(plan.kind, runs, rehearsal)


def _saved_plan(session: Session, name: str) -> Plan:
    path = Path(name).expanduser()
    try:
        plan = plan_file.decode(session.world.files.read(path), path)
    except OSError as error:
        raise InvalidInput(f"--plan {path}: {error.strerror}") from error
    _refuse_unknown(plan)
    return plan


def _refuse_unknown(plan: Plan) -> None:
    if plan.kind not in WORDINGS:
        raise InvalidInput(f"plan {plan.digest} is of the kind {plan.kind}: it has no notices")


def _refuse_untrue(kind: NoticeKind, run: Run) -> None:
    """Raise for a notice that does not fit where the run stands."""
    status = run.state.status
    if kind is NoticeKind.BEFORE and status is not Status.OPEN:
        raise InvalidInput(
            f"run {run.id} has been carried out ({status}): it cannot be announced any more",
            next_command="invoke plan --out FILE, then invoke notice --kind before --plan FILE",
        )
    if kind is NoticeKind.AFTER and status not in _ENDED:
        raise InvalidInput(
            f"run {run.id} has not ended ({status}): there is no end to tell of",
            next_command="invoke notice --kind daily",
        )
    if kind in _REVIEWED and status is not Status.DONE:
        raise InvalidInput(
            f"run {run.id} is not done ({status}): only what was migrated is reviewed",
            next_command="invoke status",
        )


def _review(session: Session, kind: NoticeKind, run: Run, now: datetime) -> Review:
    since = datetime.fromisoformat(run.state.changed_at)
    end = since + _REVIEWED[kind]
    until = min(end, now)
    site = Site(run.plan.instance.url, session.world)
    states = [one.state for one in session.store.all()]
    recorded = Recorded(
        read_usage(site, since, until),
        read_saved(site),
        facts.rollbacks(states, since, until),
        run.state.approvals,
    )
    return Review(since, until, now < end, figures(kind, recorded))


def _gaps(kind: NoticeKind, written: Notice, told: Settings, now: datetime) -> list[str]:
    """Return what the writer should look at before the notice is sent; empty when it is whole."""
    gaps = []
    if not told.contact:
        gaps.append(f"{FLEET} names no contact")
    if not written.to:
        gaps.append(f"{FLEET} names nobody who gets the notice {kind}")
    if kind is NoticeKind.BEFORE:
        if told.change_at is None:
            gaps.append(f"{FLEET} does not say when the change is (change_at in [communication])")
        else:
            gaps += _doubts(told.change_at, told, now)
    return gaps


def _doubts(change_at: datetime, told: Settings, now: datetime) -> list[str]:
    past = [f"change_at is over: {change_at.isoformat()}"] if change_at <= now else []
    frozen = forward_block(change_at.astimezone(told.zone).date(), told.freeze)
    return [*past, *([frozen] if frozen else [])]


def _day(text: str) -> date:
    if not text:
        raise InvalidInput("from which day on? name it with --start, e.g. --start 2026-12-07")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"--start {text}: is no day; write YYYY-MM-DD") from error
    if day.year not in _YEARS:
        raise InvalidInput(f"--start {text}: is that year meant?")
    return day


def _days(event: icalendar.Event) -> str:
    last = event.last + timedelta(days=event.days_repeated - 1)
    return f"{event.first:%a %F}" + (f" to {last:%a %F}" if last != event.first else " " * 18)


def _write(session: Session, folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files to a folder that is there.

    Raises:
        InvalidInput: One cannot be written; the others may have been.
    """
    paths = [folder / name for name in files]
    for path, data in zip(paths, files.values(), strict=True):
        try:
            session.world.files.replace(path, data)
        except OSError as error:
            raise InvalidInput(f"{path}: {error.strerror}; it was not written") from error
    return paths
