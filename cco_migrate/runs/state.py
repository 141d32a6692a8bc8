"""The lines of a journal and the state of the run they tell: a fold and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from cco_migrate.model import JsonObject
from cco_migrate.runs.attestations import Approval
from cco_migrate.verdict import Verdict


class Event(StrEnum):
    """What a line says happened."""

    PLANNED = "planned"  # the run exists; reason = plan digest, data.by = who began it
    PREPARED = "prepared"  # receipt captured, nothing changed yet
    APPLYING = "applying"  # from here on the world may have changed
    APPLIED = "applied"
    JUDGED = "judged"  # a check reached a verdict
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"
    ROLLING_BACK = "rolling-back"
    HELD = "held"  # an operator asked to hold: reason = who and why
    RELEASED = "released"
    INTERRUPTED = "interrupted"  # a signal asked us to stop; no step failed
    TAKEN_OVER = "taken-over"  # the lock, from a dead owner: reason = from whom and by whom
    ATTESTED = "attested"  # a person's word: step = item, reason = who
    APPROVED = "approved"  # a person's word about a gate: step = gate, data = the approval
    TOLD = "told"  # hooks, of the line data.seq: data.hooks = who, and what went wrong or null
    FINISHED = "finished"
    ROLLED_BACK = "rolled-back"
    ROLLBACK_FAILED = "rollback-failed"


class Status(StrEnum):
    """Where a run stands."""

    OPEN = "open"
    DONE = "done"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    ROLLBACK_FAILED = "rollback-failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        ts: RFC 3339, UTC.
        mono_ms: Monotonic milliseconds; comparable within one boot only.
        step: Step id; empty for a line about the run.
        data: Receipt, evidence or judgement; JSON values only, never a secret.
    """

    seq: int
    ts: str
    mono_ms: int
    run: str
    step: str
    event: Event
    reason: str = ""
    data: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepState:
    """What the journal knows of one step.

    Attributes:
        event: The last event; None when nothing happened yet.
        receipt: What `prepare` captured; None before that.
        evidence: What `apply` or the check returned; None before that.
        reason: The sentence that came with the last event.
        seconds: Duration of the last apply or check; None when unknown.
    """

    event: Event | None = None
    receipt: JsonObject | None = None
    evidence: JsonObject | None = None
    reason: str = ""
    seconds: float | None = None


_UNTOUCHED = StepState()


@dataclass(frozen=True, slots=True)
class RunState:
    """A run as its journal tells it.

    Attributes:
        by: Who began it, user@host; empty when the journal does not say.
        number: Counts the runs of a state root, whatever the clock says; 0 in older journals.
        held: Who asked to hold it, and why; empty when it is not held.
        attested: Who gave their word, by item.
        approvals: What people approved about gates, oldest first, expired ones included.
    """

    run: str
    status: Status
    started_at: str
    changed_at: str
    steps: dict[str, StepState]
    attested: dict[str, str]
    reason: str = ""
    by: str = ""
    number: int = 0
    held: str = ""
    approvals: tuple[Approval, ...] = ()

    def done(self, step_id: str) -> bool:
        """Return whether a step was applied, or its check said GO, and was not undone since."""
        known = self.steps.get(step_id, _UNTOUCHED)
        if known.event is Event.JUDGED:
            return (known.evidence or {}).get("verdict") == Verdict.GO.value
        return known.event is Event.APPLIED

    def receipt_to_undo(self, step_id: str) -> JsonObject | None:
        """Return the receipt of a step that may have changed something; None when it has not."""
        known = self.steps.get(step_id, _UNTOUCHED)
        return known.receipt if known.event in _MAY_HAVE_CHANGED else None


def replay(entries: Iterable[Entry]) -> RunState | None:
    """Fold a journal into the state of its run; None when there is no line yet."""
    state: RunState | None = None
    for entry in entries:
        state = advance(state, entry)
    return state


def advance(state: RunState | None, entry: Entry) -> RunState:
    """Return the state one line later; of None it is the first."""
    if state is None:
        state = RunState(entry.run, Status.OPEN, entry.ts, entry.ts, {}, {})
    return replace(state, **_told(state, entry))


_MAY_HAVE_CHANGED = frozenset({Event.APPLYING, Event.APPLIED, Event.FAILED, Event.UNDOING})
_STATUS = {
    Event.ROLLING_BACK: Status.ROLLING_BACK,
    Event.FINISHED: Status.DONE,
    Event.ROLLED_BACK: Status.ROLLED_BACK,
    Event.ROLLBACK_FAILED: Status.ROLLBACK_FAILED,
}


def _told(state: RunState, entry: Entry) -> dict[str, Any]:  # Any: fields of RunState, by name
    """Return what a line says anew of the run."""
    match entry.event:
        case Event.ATTESTED:  # may come weeks later: the run did not change
            return {"attested": {**state.attested, entry.step: entry.reason}}
        case Event.TOLD:  # whatever hooks do, the run did not change
            return {}
        case Event.APPROVED:
            return {"approvals": (*state.approvals, Approval.from_json(entry.data))}
        case Event.PLANNED:
            by, number = str(entry.data.get("by", "")), int(entry.data.get("number", 0))
            told: dict[str, Any] = {"by": by, "number": number}  # Any: see above
        case Event.HELD | Event.RELEASED:
            told = {"held": entry.reason if entry.event is Event.HELD else ""}
        case event if event in _STATUS:
            told = {"status": _STATUS[event], "reason": entry.reason, "held": ""}
        case _ if entry.step:
            told = {"steps": {**state.steps, entry.step: _step_advanced(state, entry)}}
        case _:
            told = {}
    return {"changed_at": entry.ts, **told}


def _step_advanced(state: RunState, entry: Entry) -> StepState:
    old = state.steps.get(entry.step, _UNTOUCHED)
    receipt, evidence, seconds = old.receipt, old.evidence, old.seconds
    if entry.event is Event.PREPARED:
        receipt, evidence, seconds = entry.data, None, None
    elif entry.event is Event.APPLIED or entry.event is Event.JUDGED:
        evidence, seconds = entry.data.get("evidence"), entry.data.get("seconds")
    return StepState(entry.event, receipt, evidence, entry.reason, seconds)
