"""The one loop: prepare, receipt to disk, apply; measure, judge; and back. All is journaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cco_migrate.checks import CHECKS, Check
from cco_migrate.context import Context
from cco_migrate.errors import (
    Aborted,
    CheckFailed,
    LockLost,
    NotJournaled,
    RollbackFailed,
    RolledBack,
    RunStaysOpen,
    ToolkitError,
)
from cco_migrate.model import Plan, Step
from cco_migrate.runs import attestations, hold, inbox
from cco_migrate.runs.consequences import goes_back, stays_open
from cco_migrate.runs.control import Control, Wish, watched
from cco_migrate.runs.journal import Entry, Event, Journal, RunState
from cco_migrate.runs.run_log import RunLog
from cco_migrate.soak import terms as soak_terms
from cco_migrate.soak.check import SoakThrough
from cco_migrate.steps import ACTIONS, Action
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import World

SOAK: Mapping[str, Check] = {soak_terms.USES: SoakThrough()}


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
        ask: Asks a person yes or no; None when nobody can be asked.
    """

    plan: Plan
    journal: Journal
    world: World
    progress: Progress
    render: Callable[[], Mapping[str, str]]
    confirm: Callable[[], None] = lambda: None
    actions: Mapping[str, Action] = field(default_factory=lambda: ACTIONS)
    checks: Mapping[str, Check] = field(default_factory=lambda: {**CHECKS, **SOAK})
    announce: Callable[[Entry], None] = lambda _: None
    ask: Callable[[str], bool | None] = lambda _: None

    @property
    def log(self) -> RunLog:
        """What the run writes down."""
        return RunLog(self.journal, self.confirm, self.announce)

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
        return self.log.state

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
        with self.log.signals():
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
        with self.log.signals():
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
        state = self.state
        if all(state.done(step.id) for step in self.plan.steps):
            self._end(Event.FINISHED, "GO")

    def _heed_requests(self) -> None:
        hold.heed(self.control, self.log, self.world, self.progress.waiting)
        inbox.take(self.run_dir, self.log, self.world)

    def _go_back(self, restore: Callable[[Context], str] | None, why: str) -> None:
        try:
            self.log.record(Event.ROLLING_BACK, reason=why)
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
                self.log.record(Event.ROLLBACK_FAILED, reason=str(error))
            raise _rollback_failed(error) from error

    def _give_up(self, error: ToolkitError) -> None:
        state = self.state
        touched = [s.uses for s in self.plan.steps if state.receipt_to_undo(s.id) is not None]
        if not any(uses.startswith(("files.edit", "git.", "service.")) for uses in touched):
            self._end(Event.ROLLED_BACK, f"nothing had been changed: {error}")
            raise error
        self._go_back(None, str(error))
        raise RolledBack(
            f"{error}",
            state=_state_back(self.plan),
            next_command="invoke report",
        ) from error

    def _once(self, step: Step) -> None:
        if not self.state.done(step.id):
            self._forward(step)
            return
        kept = self.state.steps[step.id]
        self.progress.step_ends(
            step, verdict="kept", summary=kept.reason, seconds=kept.seconds or 0
        )

    def _forward(self, step: Step) -> None:
        self.progress.step_begins(step)
        begun = self.world.clock.monotonic()
        try:
            self._carry_out(step, begun)
        except (RunStaysOpen, Aborted):
            raise
        except ToolkitError as error:
            self.log.record(Event.FAILED, step.id, reason=str(error))
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
            self.log.record(Event.PREPARED, step.id, data=receipt)
        self.log.record(Event.APPLYING, step.id)
        outcome = action.apply(step, receipt, context)
        seconds = round(self.world.clock.monotonic() - begun, 3)
        data = {"evidence": outcome.facts, "seconds": seconds}
        self.log.record(Event.APPLIED, step.id, reason=outcome.summary, data=data)
        self.progress.step_ends(step, verdict="ok", summary=outcome.summary, seconds=seconds)

    def _judge(self, step: Step, begun: float) -> None:
        check, context = self.checks[step.uses], self._context()
        if step.number:  # on the way back nobody is asked any more
            context = replace(context, world=watched(self.world, self._heed_while_waiting))
        receipt = check.prepare(step, context)
        self.log.record(Event.PREPARED, step.id, data=receipt)
        judgement = check.judge(step, check.measure(step, receipt, context))
        now = self.world.clock.now()
        judgement = attestations.decided(judgement, self.state.approvals, now)
        seconds = round(self.world.clock.monotonic() - begun, 3)
        evidence = {**judgement.facts, "verdict": judgement.verdict.value}
        data = {"evidence": evidence, "seconds": seconds}
        self.log.record(Event.JUDGED, step.id, reason=judgement.summary, data=data)
        self._conclude(step, judgement, seconds)

    def _conclude(self, step: Step, judgement: Judgement, seconds: float) -> None:
        if judgement.verdict is Verdict.NO_GO and goes_back(step, judgement, self.ask):
            raise CheckFailed(f"{step.title}: {judgement.summary}")
        self.progress.step_ends(
            step, verdict=judgement.verdict.value, summary=judgement.summary, seconds=seconds
        )
        if judgement.verdict is not Verdict.GO:
            raise stays_open(step, judgement)

    def _heed_while_waiting(self) -> None:
        """Raise Aborted when somebody asked for it, LockLost when the run is somebody else's."""
        self.confirm()
        self.control.refuse_when_aborted()
        inbox.take(self.run_dir, self.log, self.world)

    def _undo_all(self) -> None:
        run = self.state  # an undo changes what is known of its own step alone
        for step in reversed(self.plan.steps):
            receipt = run.receipt_to_undo(step.id)
            if step.uses not in self.actions or receipt is None:
                continue
            self.log.record(Event.UNDOING, step.id)
            said = self.actions[step.uses].undo(step, receipt, self._context())
            self.log.record(Event.UNDONE, step.id, reason=said)
            if said:
                self.progress.step_ends(step, verdict="undone", summary=said, seconds=0)

    def _journal_undone(self, step_id: str, said: str) -> None:
        step = Step(0, step_id, "restore the backup", "files.backup")
        self.log.record(Event.UNDONE, step_id, reason=said)
        self.progress.step_ends(step, verdict="undone", summary=said, seconds=0)

    def _end(self, event: Event, reason: str) -> None:
        self.log.record(event, reason=reason)
        for wish in Wish:
            self.control.withdraw(wish)

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


def _state_back(plan: Plan) -> str:
    """Return what the way back of a plan has proved; not every plan is about what is loaded."""
    if any(step.uses == "config.loaded" for step in plan.way_back):
        return "The old configuration is back, loaded and proved."
    return "What was made is gone again; no configuration and no gateway was touched."


def _rollback_failed(error: ToolkitError) -> RollbackFailed:
    said = "" if isinstance(error, RunStaysOpen) else error.state  # it speaks of going forwards
    return RollbackFailed(
        f"the way back stopped: {error}",
        state=said or "The old state is not proved. What was done is in the journal.",
        next_command=(error.next_command if said else None) or "invoke status",
    )
