"""What keeps a run from going on, and what clears it, in words."""

from __future__ import annotations

from cco_migrate.commands.run_summary import has_good_evidence, undo_command
from cco_migrate.model import Step
from cco_migrate.runs.control import Control, Wish
from cco_migrate.runs.journal import RunState, Status
from cco_migrate.runs.lock import Standing
from cco_migrate.runs.store import Run
from cco_migrate.session import Session


def blocking(session: Session, run: Run, standing: Standing, owner: str) -> tuple[str, str]:
    """Return what keeps the run from going on, and what clears it; empty when it has ended."""
    state = run.state
    if state.status in {Status.DONE, Status.ROLLED_BACK}:
        return "", ""
    if state.status is Status.OPEN and (asked := _asked(session, run, standing)):
        return asked
    if standing is Standing.HELD:
        return f"{owner} works on it{_at(run)}", "see it end with: invoke wait"
    if standing is Standing.ELSEWHERE:
        return f"{owner} works on it{_at(run)}", "if that machine is dead: invoke takeover"
    if state.status is Status.OPEN:
        return f"next is {_next(run, state)}", "go on with: invoke migrate"
    if state.status is Status.ROLLING_BACK:
        return "the way back was cut short", f"finish it with: {undo_command(run)}"
    return "the old state is not proved", f"mend what it names, then: {undo_command(run)}"


def _asked(session: Session, run: Run, standing: Standing) -> tuple[str, str] | None:
    control = control_of(session, run)
    idle = standing in {Standing.FREE, Standing.DEAD}
    if (request := control.asked(Wish.ABORT)) is not None:
        clear = "carry it out with: invoke abort" if idle else "see it end with: invoke wait"
        return f"abort was asked for {request}", clear
    if (request := control.asked(Wish.HOLD)) is not None:
        after = ", then go on with: invoke migrate" if idle else ""
        return f"held {request}", f"clear it with: invoke release{after}"
    return None


def _at(run: Run) -> str:
    step = current_step(run)
    return f", at step {step.number} {step.title}" if step else ""


def _next(run: Run, state: RunState) -> str:
    step = current_step(run)
    if step is None:
        return "the end"
    known = state.steps.get(step.id)
    said = f": {known.reason}" if known and known.reason else ""
    return f"step {step.number} {step.title}{said}"


def current_step(run: Run) -> Step | None:
    """Return the first step that is not done well; None when all of them are."""
    return next((s for s in run.plan.steps if not has_good_evidence(run, s.id)), None)


def control_of(session: Session, run: Run) -> Control:
    """Return what operators ask of a run."""
    return Control(run.directory, session.world)
