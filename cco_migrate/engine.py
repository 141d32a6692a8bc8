"""The one loop: prepare, receipt to disk, apply; measure, judge; and back. All is journaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cco_migrate.checks import CHECKS, Check
from cco_migrate.context import Context
from cco_migrate.control import Control, Wish, watched
from cco_migrate.errors import (
    Aborted,
    CheckFailed,
    Held,
    Interrupted,
    LockLost,
    NotJournaled,
    RollbackFailed,
    RolledBack,
    RunStaysOpen,
    ToolkitError,
    Undecided,
)
from cco_migrate.journal import Entry, Event, Journal, RunState, StepState
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.steps import ACTIONS, Action
from cco_migrate.steps.git import GIT_ACTIONS
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import World

HOLD_TIMEOUT_S = 3600.0


class Progress(Protocol):
    """Shows a person what happens; never decides anything."""

    def step_begins(self, step: Step) -> None:
        """A step is about to run."""

    def waiting(self, what: str, timeout_s: float) -> None:
        """Something is awaited, for so long at most."""

    def step_ends(self, step: Step, *, verdict: str, summary: str, seconds: float) -> None:
        """A step ended: verdict "ok", "GO", "NO-GO", …, "failed", "undone" or "kept"."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Carries out one run.

    Attributes:
        render: Returns the report's files by name; called by the report step.
        confirm: Raises LockLost when the lock is not ours any more; called before every line.
        actions: What carries out the steps that change something, by `Step.uses`.
        checks: What carries out those that look at something.
        announce: Tells hooks of a line that is on disk; never raises for one of them.
    """

    plan: Plan
    journal: Journal
    world: World
    progress: Progress
    render: Callable[[], Mapping[str, str]]
    confirm: Callable[[], None] = lambda: None
    actions: Mapping[str, Action] = field(default_factory=lambda: {**ACTIONS, **GIT_ACTIONS})
    checks: Mapping[str, Check] = field(default_factory=lambda: CHECKS)
    announce: Callable[[Entry], None] = lambda _: None

    @property
    def control(self) -> Control:
        """What operators ask of the run."""
        return Control(self.run_dir, self.world)

    @property
    def run_dir(self) -> Path:
        """Where the run keeps its files."""
        return self.journal.path.parent

    @property
    def state(self) -> RunState:
        """The run as journaled; raises ToolkitError when it has not begun."""
        state = self.journal.state
        if state is None:
            raise ToolkitError(f"{self.journal.path} is empty: this run never began")
        return state

    def run(self, *, only: str | None = None) -> None:
        """Carry out every step that is not done yet, in order.

        Args:
            only: Stop after this step. None goes on to the end.

        Raises:
            RolledBack: A step failed or a check said NO-GO; the old state is back and proved.
            RollbackFailed: It is not.
            RunStaysOpen: Not enough evidence, held, or the lock was lost; run again to go on.
            Interrupted: A signal came; it is journaled.
        """
        self._sweep()
        with self._signals_journaled():
            try:
                self._go_forward(only)
            except RunStaysOpen:
                raise
            except ToolkitError as error:
                self._give_up(error)

    def roll_back(self, restore: Callable[[Context], str] | None = None, *, why: str) -> None:
        """Undo what was applied, newest first; bring the gateway to the old files and prove it.

        Args:
            restore: Puts the files back in place of the steps' own undo (rollback by backup).
            why: For the journal.

        Raises:
            RollbackFailed: Something could not be restored; the message says what.
        """
        self._sweep()
        with self._signals_journaled():
            self._go_back(restore, why)

    def _sweep(self) -> None:
        """Remove the temporary files of an attempt that was killed."""
        instance, backups = self.plan.instance, self._context().backups.root
        for directory in (instance.config_dir, backups, backups / "objects"):
            self.world.files.sweep(directory)

    def _go_forward(self, only: str | None) -> None:
        for step in self.plan.steps:
            self._heed_requests()
            self._once(step)
            if step.id == only:
                break
        self._heed_requests()
        known = self.state.steps
        if all(_is_done(known.get(step.id)) for step in self.plan.steps):
            self._end(Event.FINISHED, "GO")

    def _heed_requests(self) -> None:
        """Abort, or wait while the run is held; raises Aborted, or Held when nobody releases it."""
        self.control.refuse_when_aborted()
        request = self.control.asked(Wish.HOLD)
        if request is not None and not self.state.held:
            self._record(Event.HELD, reason=str(request))
        if request is not None and not self._released(f"invoke release (held {request})"):
            raise Held(
                f"held {request}, and not released within {HOLD_TIMEOUT_S:.0f} s",
                state="The run is open and waits between two steps.",
                next_command="invoke release",
            )
        if self.state.held:
            self._record(Event.RELEASED)

    def _released(self, by: str) -> bool:
        self.progress.waiting(by, HOLD_TIMEOUT_S)
        clock = watched(self.world, self.control.refuse_when_aborted).clock
        return clock.wait_until(
            lambda: self.control.asked(Wish.HOLD) is None, HOLD_TIMEOUT_S, every_s=0.1
        )

    def _go_back(self, restore: Callable[[Context], str] | None, why: str) -> None:
        try:
            self._record(Event.ROLLING_BACK, reason=why)
            if restore is None:
                self._undo_all()
            else:
                said = restore(self._context())
                self._journal_undone("restore", said)
            for step in self.plan.way_back:
                self._forward(step)
            self._end(Event.ROLLED_BACK, why)
        except LockLost:
            raise
        except ToolkitError as error:
            if not isinstance(error, NotJournaled):
                self._record(Event.ROLLBACK_FAILED, reason=str(error))
            raise _rollback_failed(error) from error

    def _give_up(self, error: ToolkitError) -> None:
        state = self.state
        touched = [s for s in self.plan.steps if s.uses in self.actions and _touched(state, s)]
        if not any(step.uses.startswith(("files.edit", "git.", "service.")) for step in touched):
            self._end(Event.ROLLED_BACK, f"nothing had been changed: {error}")
            raise error
        self._go_back(None, str(error))
        raise RolledBack(
            f"{error}",
            state="The old configuration is back, loaded and proved.",
            next_command="invoke report",
        ) from error

    def _once(self, step: Step) -> None:
        if _is_done(self.state.steps.get(step.id)):
            state = self.state.steps[step.id]
            self.progress.step_ends(
                step, verdict="kept", summary=state.reason, seconds=state.seconds or 0
            )
            return
        self._forward(step)

    def _forward(self, step: Step) -> None:
        self.progress.step_begins(step)
        begun = self.world.clock.monotonic()
        try:
            self._carry_out(step, begun)
        except (RunStaysOpen, Aborted):
            raise
        except ToolkitError as error:
            self._record(Event.FAILED, step.id, reason=str(error))
            seconds = self.world.clock.monotonic() - begun
            verdict = Verdict.NO_GO.value if isinstance(error, CheckFailed) else "failed"
            self.progress.step_ends(step, verdict=verdict, summary=str(error), seconds=seconds)
            raise

    def _carry_out(self, step: Step, begun: float) -> None:
        try:
            if step.uses in self.actions:
                self._apply(step, begun)
            else:
                self._judge(step, begun)
        except OSError as error:  # a full disk, a file that may not be read: the step failed
            raise ToolkitError(f"{step.title}: {error}") from error

    def _apply(self, step: Step, begun: float) -> None:
        action, context = self.actions[step.uses], self._context()
        known = self.state.steps.get(step.id)
        begun_before = known is not None and known.event in {Event.APPLYING, Event.FAILED}
        if known is not None and begun_before and known.receipt is not None:
            receipt = known.receipt  # killed after it began: what was captured before still holds
        else:
            receipt = action.prepare(step, context)
            self._record(Event.PREPARED, step.id, data=receipt)
        self._record(Event.APPLYING, step.id)
        outcome = action.apply(step, receipt, context)
        seconds = round(self.world.clock.monotonic() - begun, 3)
        data = {"evidence": outcome.facts, "seconds": seconds}
        self._record(Event.APPLIED, step.id, reason=outcome.summary, data=data)
        self.progress.step_ends(step, verdict="ok", summary=outcome.summary, seconds=seconds)

    def _judge(self, step: Step, begun: float) -> None:
        check, context = self.checks[step.uses], self._context()
        if step.number:  # on the way back nobody is asked any more
            look = self.control.refuse_when_aborted
            context = replace(context, world=watched(self.world, look))
        receipt = check.prepare(step, context)
        self._record(Event.PREPARED, step.id, data=receipt)
        judgement = check.judge(step, check.measure(step, receipt, context))
        seconds = round(self.world.clock.monotonic() - begun, 3)
        evidence = {**judgement.facts, "verdict": judgement.verdict.value}
        data = {"evidence": evidence, "seconds": seconds}
        self._record(Event.JUDGED, step.id, reason=judgement.summary, data=data)
        self._conclude(step, judgement, seconds)

    def _conclude(self, step: Step, judgement: Judgement, seconds: float) -> None:
        if judgement.verdict is Verdict.NO_GO:
            raise CheckFailed(f"{step.title}: {judgement.summary}")
        self.progress.step_ends(
            step, verdict=judgement.verdict.value, summary=judgement.summary, seconds=seconds
        )
        if judgement.verdict is not Verdict.GO:
            raise Undecided(
                f"{step.title}: {judgement.summary}",
                state="The change is applied and serves; this run is open.",
                next_command="invoke migrate",
            )

    def _undo_all(self) -> None:
        run = self.state  # an undo changes what is known of its own step alone
        for step in reversed(self.plan.steps):
            state = run.steps.get(step.id)
            if step.uses not in self.actions or not _touched(run, step):
                continue
            if state is None or state.receipt is None or state.event is Event.UNDONE:
                continue
            self._record(Event.UNDOING, step.id)
            said = self.actions[step.uses].undo(step, state.receipt, self._context())
            self._record(Event.UNDONE, step.id, reason=said)
            if said:
                self.progress.step_ends(step, verdict="undone", summary=said, seconds=0)

    def _journal_undone(self, step_id: str, said: str) -> None:
        step = Step(0, step_id, "restore the backup", "files.backup")
        self._record(Event.UNDONE, step_id, reason=said)
        self.progress.step_ends(step, verdict="undone", summary=said, seconds=0)

    def _record(
        self, event: Event, step: str = "", *, reason: str = "", data: JsonObject | None = None
    ) -> None:
        self.announce(self._write(event, step, reason, data))

    def _write(self, event: Event, step: str, reason: str, data: JsonObject | None) -> Entry:
        self.confirm()
        try:
            return self.journal.append(event, step, reason=reason, data=data)
        except OSError as error:
            raise NotJournaled(
                f"{self.journal.path}: {error.strerror}; `{event}` could not be written down",
                state="Nothing more was done than the journal says; the run is open. "
                "Make room, or mend the permissions, before it goes on.",
                next_command="invoke status",
            ) from error

    def _end(self, event: Event, reason: str) -> None:
        self._record(event, reason=reason)
        for wish in Wish:
            self.control.withdraw(wish)

    @contextmanager
    def _signals_journaled(self) -> Iterator[None]:
        try:
            yield
        except Interrupted as error:
            self.journal.reload()  # it may have come in the middle of a line
            self._record(Event.INTERRUPTED, reason=str(error))
            raise

    def _context(self) -> Context:
        evidence = {
            step_id: state.evidence
            for step_id, state in self.state.steps.items()
            if state.evidence is not None
        }
        return Context(
            self.world, self.plan.instance, self.journal.run, self.run_dir, evidence,
            self.progress.waiting, self.render,
        )  # fmt: skip


def _rollback_failed(error: ToolkitError) -> RollbackFailed:
    said = "" if isinstance(error, RunStaysOpen) else error.state  # it speaks of going forwards
    return RollbackFailed(
        f"the way back stopped: {error}",
        state=said or "The old state is not proved. What was done is in the journal.",
        next_command=(error.next_command if said else None) or "invoke status",
    )


def _is_done(state: StepState | None) -> bool:
    if state is None:
        return False
    if state.event is Event.APPLIED:
        return True
    return state.event is Event.JUDGED and _verdict(state.evidence) == Verdict.GO.value


def _touched(state: RunState, step: Step) -> bool:
    known = state.steps.get(step.id)
    return known is not None and known.event in {
        Event.APPLYING, Event.APPLIED, Event.FAILED, Event.UNDOING,
    } and known.receipt is not None  # fmt: skip


def _verdict(evidence: JsonObject | None) -> object:
    return (evidence or {}).get("verdict")
