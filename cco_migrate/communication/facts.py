"""What a plan and the journal of its run say that readers of a notice want to know. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cco_migrate import report
from cco_migrate.migrations.gateway_cutover import KIND
from cco_migrate.model import Certainty, Change, Observation, Plan, Step
from cco_migrate.recovery.record import Record
from cco_migrate.recovery.ways import Way, nearest_rank
from cco_migrate.runs.journal import Entry, Event, RunState, Status, StepState
from cco_migrate.verdict import Verdict

REPLACED, STARTED, RECOVERED = "service.replace", "service.start", "clients.recovered"
"""What steps use: to restart without closing the socket, to start again, to see clients return."""

_LOOKED_AT_FILES = "exists"
_SAID_BY_NOTICE = "Team notified of the change"


@dataclass(frozen=True, slots=True)
class Gate:
    """A check of the run, with its verdict and what was seen."""

    title: str
    verdict: Verdict
    summary: str


class IssueKind(StrEnum):
    """How a known issue came to be known; the word it is told with."""

    WAIVED = "waived"
    WARNED = "warning"
    ASSUMED = "assumed"
    NOT_PROVEN = "not proven"
    NOTED = "note"


@dataclass(frozen=True, slots=True)
class Issue:
    """Something readers should know."""

    kind: IssueKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


_NOTES = {"not checked: ": IssueKind.NOT_PROVEN, "waived: ": IssueKind.WAIVED}
"""What the notes of a plan that are no mere remarks begin with."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long it took, when somebody measured it, until the last client was back.

    Attributes:
        seconds: From the begin of the restart on.
        of: What was taken back, for people: "run gc-1a2b3c", or a rehearsal.
        at: When, aware.
    """

    seconds: float
    of: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the journal that people should hear of."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One change: the file's name, why, and the lines that differ, with their + or -."""

    file: str
    why: str
    lines: tuple[str, ...]


def changes(plan: Plan) -> tuple[ChangedFile, ...]:
    """Return what a plan changes; empty when it changes no file."""
    return tuple(ChangedFile(Path(one.path).name, one.why, _differing(one)) for one in plan.changes)


def gates(plan: Plan, state: RunState) -> tuple[Gate, ...]:
    """Return every check that reached a verdict, in the order of the plan, the way back last."""
    back = {step.id for step in plan.way_back}
    return tuple(
        _gate(step, state.steps[step.id], "way back, " if step.id in back else "")
        for step in (*plan.steps, *plan.way_back)
        if step.id in state.steps and state.steps[step.id].event is Event.JUDGED
    )


def issues(plan: Plan, state: RunState | None) -> tuple[Issue, ...]:
    """Return what was waived, warned of, assumed or not proven; empty when there is nothing.

    Args:
        state: None for a plan that is not carried out yet.
    """
    not_proven = _not_proven(plan, state) if state else ()
    return tuple(dict.fromkeys((*not_proven, *_of_plan(plan, state))))


def assurances(plan: Plan) -> tuple[str, ...]:
    """Return what was verified when the plan was made; empty when nobody looked.

    What was seen in the files is left out: the plan is about to change them.
    """
    seen = plan.basis.observations if plan.basis else ()
    return tuple(
        one.text
        for one in seen
        if one.certainty is Certainty.VERIFIED and one.step != _LOOKED_AT_FILES
    )


def recovery(
    kind: str, runs: Iterable[tuple[Plan, RunState]], rehearsal: Record | None = None
) -> Recovery | None:
    """Return the newest measurement of a way back; None when there is none.

    Args:
        kind: Of the migration: the way back of another one is another way.
        rehearsal: The newest of the gateway cutover; None for none.
    """
    found = [*_rehearsed(rehearsal)] if rehearsal and kind == KIND else []
    for plan, state in runs:
        seconds = _figure(plan, state, "recovered_s", RECOVERED)
        if seconds and plan.kind == kind:  # 0 says that no client had to move: nothing was measured
            at = datetime.fromisoformat(state.changed_at)
            found.append(Recovery(seconds, f"run {state.run}", at))
    return max(found, key=lambda one: one.at, default=None)


def rollbacks(states: Iterable[RunState], since: datetime, until: datetime) -> int:
    """Return how many runs were taken back in a stretch of time, failed attempts included."""
    back = {Status.ROLLED_BACK, Status.ROLLBACK_FAILED, Status.ROLLING_BACK}
    ended = (datetime.fromisoformat(one.changed_at) for one in states if one.status in back)
    return sum(since <= at <= until for at in ended)


def downtime_s(plan: Plan, state: RunState) -> float | None:
    """Return for how long clients got no answer; None when that was not measured."""
    return _figure(plan, state, "downtime_s", REPLACED, STARTED)


def happenings(entries: Sequence[Entry], plan: Plan, since: datetime) -> tuple[Happening, ...]:
    """Return what happened since a time, oldest first; empty for a quiet day."""
    titles = {step.id: step.title for step in (*plan.steps, *plan.way_back)}
    told = ((datetime.fromisoformat(one.ts), one) for one in entries if one.event in _TOLD)
    return tuple(
        Happening(at, _sentence(one, titles.get(one.step, one.step)))
        for at, one in told
        if at >= since
    )


def _rehearsed(record: Record) -> Iterator[Recovery]:
    """Yield what a rehearsal says of the way back by flag, if every client was seen to return."""
    timing = record.timing(Way.FLAG)
    times = [one for one in timing.recovered_s if one is not None] if timing else []
    if record.verdict is Verdict.GO and timing and len(times) == len(timing.seconds):
        of = f"95th percentile of {len(times)} rehearsals"
        yield Recovery(nearest_rank(times, 95), of, record.origin.at)


_TOLD = {
    Event.PLANNED: "the run began",
    Event.APPLIED: "done",
    Event.JUDGED: "",
    Event.FAILED: "failed",
    Event.UNDONE: "undone",
    Event.ROLLING_BACK: "the rollback began",
    Event.HELD: "held",
    Event.RELEASED: "released",
    Event.INTERRUPTED: "interrupted; a rerun goes on",
    Event.APPROVED: "approved",
    Event.FINISHED: "the run is done",
    Event.ROLLED_BACK: "rolled back; the old state is in place",
    Event.ROLLBACK_FAILED: "the rollback failed",
}


def _gate(step: Step, state: StepState, prefix: str) -> Gate:
    verdict = Verdict((state.evidence or {}).get("verdict", Verdict.INCONCLUSIVE))
    return Gate(prefix + step.title, verdict, state.reason)


def _sentence(entry: Entry, title: str) -> str:
    word = _TOLD[entry.event]
    if entry.event is Event.JUDGED:
        word = str((entry.data.get("evidence") or {}).get("verdict", Verdict.INCONCLUSIVE.value))
    reason = (
        "" if entry.event is Event.PLANNED else entry.reason
    )  # its digest tells readers nothing
    return ": ".join(part for part in (title, word) if part) + (f" ({reason})" if reason else "")


def _figure(plan: Plan, state: RunState, name: str, *uses: str) -> float | None:
    """Return what the last step that uses something found; None when it found nothing."""
    found = (
        (state.steps[step.id].evidence or {}).get(name)
        for step in (*plan.steps, *plan.way_back)
        if step.uses in uses and step.id in state.steps
    )
    measured = [float(value) for value in found if value is not None]
    return measured[-1] if measured else None


def _differing(change: Change) -> tuple[str, ...]:
    lines = change.diff.splitlines()
    return tuple(
        line
        for line in lines
        if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
    )


def _of_plan(plan: Plan, state: RunState | None) -> Iterator[Issue]:
    validated = _warnings(plan, state)
    for one in plan.basis.observations if plan.basis else ():
        if one.certainty is Certainty.ASSUMED:
            yield Issue(IssueKind.ASSUMED, one.text)
        # what is wrong with the files the run may have put right: its own look counts
        elif one.certainty is Certainty.WARNED and not (
            one.step == _LOOKED_AT_FILES and (validated is not None or _put_right(plan, one))
        ):
            yield Issue(IssueKind.WARNED, one.text)
    yield from (Issue(IssueKind.WARNED, text) for text in validated or ())
    for note in plan.notes:
        prefix = next((one for one in _NOTES if note.startswith(one)), "")
        yield Issue(_NOTES.get(prefix, IssueKind.NOTED), note.removeprefix(prefix))


def _put_right(plan: Plan, one: Observation) -> bool:
    """Return whether a step of the plan mends what was seen."""
    return "--fix" in one.text and any(step.id == "fix" for step in plan.steps)


def _not_proven(plan: Plan, state: RunState) -> Iterator[Issue]:
    if state.status is Status.DONE:
        for item in report.checklist(plan, state):
            if item.answer is not report.Answer.PROVEN and item.text != _SAID_BY_NOTICE:
                yield Issue(IssueKind.NOT_PROVEN, f"{item.text}: {item.evidence}")


def _warnings(plan: Plan, state: RunState | None) -> list[str] | None:
    """Return what the run found doubtful in the changed files; None when it has not looked."""
    validated = state.steps.get("validate") if state else None
    found = ((validated.evidence if validated else None) or {}).get("warnings")
    folder = f"{plan.instance.config_dir}/"  # tells readers nothing, and is long
    return None if found is None else [str(warning).removeprefix(folder) for warning in found]
