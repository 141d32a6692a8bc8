"""The journal of a run: append-only JSON Lines, synced, hash-chained; state is a fold over it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject, canonical
from cco_migrate.runs.attestations import Approval
from cco_migrate.verdict import Verdict
from cco_migrate.world import World

VERSION = 1
GENESIS = "0" * 64


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
        known = self.steps.get(step_id, StepState())
        if known.event is Event.JUDGED:
            return (known.evidence or {}).get("verdict") == Verdict.GO.value
        return known.event is Event.APPLIED

    def receipt_to_undo(self, step_id: str) -> JsonObject | None:
        """Return the receipt of a step that may have changed something; None when it has not."""
        known = self.steps.get(step_id, StepState())
        return known.receipt if known.event in _MAY_HAVE_CHANGED else None


_MAY_HAVE_CHANGED = frozenset({Event.APPLYING, Event.APPLIED, Event.FAILED, Event.UNDOING})


def replay(entries: Iterable[Entry]) -> RunState | None:
    """Fold a journal into the state of its run; None when there is no line yet."""
    state: RunState | None = None
    for entry in entries:
        state = _advance(state, entry)
    return state


_STATUS = {
    Event.ROLLING_BACK: Status.ROLLING_BACK,
    Event.FINISHED: Status.DONE,
    Event.ROLLED_BACK: Status.ROLLED_BACK,
    Event.ROLLBACK_FAILED: Status.ROLLBACK_FAILED,
}


def _advance(state: RunState | None, entry: Entry) -> RunState:
    if state is None:
        state = RunState(entry.run, Status.OPEN, entry.ts, entry.ts, {}, {})
    return replace(state, **_told(state, entry))


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
    old = state.steps.get(entry.step, StepState())
    receipt, evidence, seconds = old.receipt, old.evidence, old.seconds
    if entry.event is Event.PREPARED:
        receipt, evidence, seconds = entry.data, None, None
    elif entry.event in {Event.APPLIED, Event.JUDGED}:
        evidence, seconds = entry.data.get("evidence"), entry.data.get("seconds")
    return StepState(entry.event, receipt, evidence, entry.reason, seconds)


class Journal:
    """One run's journal file. One writer at a time: the holder of the lock."""

    def __init__(self, path: Path, run: str, world: World) -> None:
        self.path, self.run, self.world = path, run, world
        self.entries: list[Entry] = []
        self._head = GENESIS
        self._torn: int | None = None
        self._state: RunState | None = None
        self._load()

    def _load(self) -> None:
        data = self.world.files.read_if_there(self.path) or b""
        self.entries, self._head, whole = read_lines(data, self.path)
        self._state = replay(self.entries)
        self._torn = whole if whole < len(data) else None

    def append(
        self, event: Event, step: str = "", *, reason: str = "", data: JsonObject | None = None
    ) -> Entry:
        """Write one line and sync it; a torn tail left by a killed writer is cut off first.

        Raises:
            OSError: It could not be written; the next one cuts off what was.
        """
        if self._torn is not None:
            self.world.files.truncate(self.path, self._torn)
            self._torn = None
        entry = Entry(
            seq=len(self.entries),
            ts=self.world.clock.now().isoformat(timespec="milliseconds"),
            mono_ms=int(self.world.clock.monotonic() * 1000),
            run=self.run,
            step=step,
            event=event,
            reason=reason,
            data=data or {},
        )
        line, head = _encode(entry, self._head)
        try:
            self.world.files.append(self.path, line)
        except OSError:
            self._load()  # what was written of it is a torn tail now
            raise
        self._head = head
        self.entries.append(entry)
        self._state = _advance(self._state, entry)
        return entry

    def reload(self) -> None:
        """Read the file again, after a write that may have been cut short."""
        self._load()

    @property
    def state(self) -> RunState | None:
        """The run as told so far, folded line by line; None for an empty journal."""
        return self._state


def read_lines(data: bytes, path: Path) -> tuple[list[Entry], str, int]:
    """Check the chain and return (entries, hash of the last line, bytes of whole lines).

    A last line without its newline is a torn write and is left out.

    Raises:
        ToolkitError: Any other fault; the message names file and line.
    """
    entries: list[Entry] = []
    head = GENESIS
    *lines, torn = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        entry, head = _decode(line, head, path, number)
        entries.append(entry)
    return entries, head, len(data) - len(torn)


def _encode(entry: Entry, prev: str) -> tuple[bytes, str]:
    row = {
        "v": VERSION, "seq": entry.seq, "prev": prev, "ts": entry.ts, "mono_ms": entry.mono_ms,
        "run": entry.run, "step": entry.step, "event": entry.event.value, "reason": entry.reason,
        "data": entry.data,
    }  # fmt: skip
    digest = hashlib.sha256(canonical(row)).hexdigest()
    return canonical({**row, "hash": digest}) + b"\n", digest


def _decode(line: bytes, prev: str, path: Path, number: int) -> tuple[Entry, str]:
    def broken(why: str) -> ToolkitError:
        return ToolkitError(
            f"{path}:{number}: {why}; the journal was changed by something else",
            state="Nothing was changed. What the run did can no longer be proved from its journal.",
            next_command="invoke rollback --by backup",
        )

    try:
        row: dict[str, Any] = json.loads(line)  # Any: JSON
        entry = _entry(row) if row["v"] == VERSION else None
    except (ValueError, KeyError, TypeError) as error:
        raise broken("not a journal line") from error
    if entry is None:
        raise broken(f"version {row['v']}, this tool reads {VERSION}")
    expected, digest = _encode(entry, prev)
    if line + b"\n" != expected:
        raise broken("the hash chain is broken")
    return entry, digest


def _entry(row: JsonObject) -> Entry:
    return Entry(
        row["seq"], row["ts"], row["mono_ms"], row["run"], row["step"], Event(row["event"]),
        row["reason"], row["data"],
    )  # fmt: skip
