"""The one loop: prepare, receipt to disk, apply; measure, judge; and back. All is journaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cco_migrate.checks import CHECKS
from cco_migrate.context import Context
from cco_migrate.errors import CheckFailed, RollbackFailed, RolledBack, ToolkitError, Undecided
from cco_migrate.journal import Event, Journal, RunState, StepState
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.steps import ACTIONS
from cco_migrate.verdict import Judgement, Verdict
from cco_migrate.world import World


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
    """

    plan: Plan
    journal: Journal
    world: World
    progress: Progress
    render: Callable[[], Mapping[str, str]]

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
            Undecided: A check had not enough evidence; run again to look again.
        """
        try:
            for step in self.plan.steps:
                self._once(step)
                if step.id == only:
                    break
        except Undecided:
            raise
        except ToolkitError as error:
            self._give_up(error)
        if all(_is_done(self.state.steps.get(step.id)) for step in self.plan.steps):
            self.journal.append(Event.FINISHED, reason="GO")

    def roll_back(self, restore: Callable[[Context], str] | None = None, *, why: str) -> None:
        """Undo what was applied, newest first; bring the gateway to the old files and prove it.

        Args:
            restore: Puts the files back in place of the steps' own undo (rollback by backup).
            why: For the journal.

        Raises:
            RollbackFailed: Something could not be restored; the message says what.
        """
        self.journal.append(Event.ROLLING_BACK, reason=why)
        try:
            if restore is None:
                self._undo_all()
            else:
                said = restore(self._context())
                self._journal_undone("restore", said)
            for step in self.plan.way_back:
                self._forward(step)
        except ToolkitError as error:
            self.journal.append(Event.ROLLBACK_FAILED, reason=str(error))
            said = (
                "" if isinstance(error, Undecided) else error.state
            )  # it speaks of going forwards
            raise RollbackFailed(
                f"the way back stopped: {error}",
                state=said or "The old state is not proved. What was done is in the journal.",
                next_command=(error.next_command if said else None) or "invoke status",
            ) from error
        self.journal.append(Event.ROLLED_BACK, reason=why)

    def _give_up(self, error: ToolkitError) -> None:
        touched = [s for s in self.plan.steps if s.uses in ACTIONS and _touched(self.state, s)]
        if not any(step.uses.startswith(("files.edit", "service.")) for step in touched):
            self.journal.append(Event.ROLLED_BACK, reason=f"nothing had been changed: {error}")
            raise error
        self.roll_back(why=str(error))
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
        except Undecided:
            raise
        except ToolkitError as error:
            self.journal.append(Event.FAILED, step.id, reason=str(error))
            seconds = self.world.clock.monotonic() - begun
            verdict = Verdict.NO_GO.value if isinstance(error, CheckFailed) else "failed"
            self.progress.step_ends(step, verdict=verdict, summary=str(error), seconds=seconds)
            raise

    def _carry_out(self, step: Step, begun: float) -> None:
        try:
            if step.uses in ACTIONS:
                self._apply(step, begun)
            else:
                self._judge(step, begun)
        except OSError as error:  # a full disk, a file that may not be read: the step failed
            raise ToolkitError(f"{step.title}: {error}") from error

    def _apply(self, step: Step, begun: float) -> None:
        action, context = ACTIONS[step.uses], self._context()
        known = self.state.steps.get(step.id)
        if known is not None and known.event is Event.APPLYING and known.receipt is not None:
            receipt = known.receipt  # killed while applying: what was captured before still holds
        else:
            receipt = action.prepare(step, context)
            self.journal.append(Event.PREPARED, step.id, data=receipt)
        self.journal.append(Event.APPLYING, step.id)
        outcome = action.apply(step, receipt, context)
        seconds = round(self.world.clock.monotonic() - begun, 3)
        data = {"evidence": outcome.facts, "seconds": seconds}
        self.journal.append(Event.APPLIED, step.id, reason=outcome.summary, data=data)
        self.progress.step_ends(step, verdict="ok", summary=outcome.summary, seconds=seconds)

    def _judge(self, step: Step, begun: float) -> None:
        check, context = CHECKS[step.uses], self._context()
        receipt = check.prepare(step, context)
        self.journal.append(Event.PREPARED, step.id, data=receipt)
        judgement = check.judge(step, check.measure(step, receipt, context))
        seconds = round(self.world.clock.monotonic() - begun, 3)
        evidence = {**judgement.facts, "verdict": judgement.verdict.value}
        data = {"evidence": evidence, "seconds": seconds}
        self.journal.append(Event.JUDGED, step.id, reason=judgement.summary, data=data)
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
        for step in reversed(self.plan.steps):
            state = self.state.steps.get(step.id)
            if step.uses not in ACTIONS or not _touched(self.state, step):
                continue
            if state is None or state.receipt is None or state.event is Event.UNDONE:
                continue
            self.journal.append(Event.UNDOING, step.id)
            said = ACTIONS[step.uses].undo(step, state.receipt, self._context())
            self.journal.append(Event.UNDONE, step.id, reason=said)
            if said:
                self.progress.step_ends(step, verdict="undone", summary=said, seconds=0)

    def _journal_undone(self, step_id: str, said: str) -> None:
        step = Step(0, step_id, "restore the backup", "files.backup")
        self.journal.append(Event.UNDONE, step_id, reason=said)
        self.progress.step_ends(step, verdict="undone", summary=said, seconds=0)

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
