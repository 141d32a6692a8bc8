"""What is said of a run when a command ends: a sentence, a document, the command that undoes it."""

from __future__ import annotations

from cco_migrate import report
from cco_migrate.report import Answer
from cco_migrate.runs.journal import Event, Status
from cco_migrate.runs.store import Run
from cco_migrate.session import DEFAULT_KIND, Result, shown


def summary(run: Run) -> Result:
    """Return how the run ended, or what comes next when it is open."""
    state = run.state
    if state.status is not Status.DONE:
        last = next((s for s in run.plan.steps if not has_good_evidence(run, s.id)), None)
        if last is None:
            return Result(f"run {run.id} is open", document(run))
        following = f"invoke step.{last.id}, or all of it: invoke migrate"
        if run.plan.kind != DEFAULT_KIND:  # the others have no task for each step
            following = "invoke migrate"
        return Result(f"run {run.id} is open; next: {following}", document(run))
    items = report.checklist(run.plan, state)
    proven = sum(item.answer is Answer.PROVEN for item in items)
    parts = [f"GO  {proven} of {len(items)} proven"]
    parts += [
        f"{item.answer.value.upper()} {item.text}"
        for item in items
        if item.answer is not Answer.PROVEN
    ]
    seconds = sum(step.seconds or 0 for step in state.steps.values())
    where = shown(run.directory / "report.html")
    rest = f"{seconds:.1f} s · report {where} · undo: {undo_command(run)}"
    return Result(" · ".join(parts) + f"\n{rest}", document(run))


def document(run: Run) -> dict[str, object]:
    """Return the run as one JSON document."""
    state = run.state
    return {
        "schema_version": 1,
        "run": run.id,
        "kind": run.plan.kind,
        "status": state.status.value,
        "verdict": "GO" if state.status is Status.DONE else None,
        "reason": state.reason,
        "steps": [
            {
                "number": step.number,
                "id": step.id,
                "event": state.steps[step.id].event if step.id in state.steps else None,
                "summary": state.steps[step.id].reason if step.id in state.steps else "",
                "seconds": state.steps[step.id].seconds if step.id in state.steps else None,
            }
            for step in run.plan.steps
        ],
        "checklist": [
            {"text": item.text, "answer": item.answer.value, "evidence": item.evidence}
            for item in report.checklist(run.plan, state)
        ],
        "approvals": [one.to_json() for one in state.approvals],
        "report": str(run.directory / "report.md"),
        "undo": undo_command(run),
    }


def has_good_evidence(run: Run, step_id: str) -> bool:
    """Return whether a step is applied, or judged GO."""
    known = run.state.steps.get(step_id)
    if known is None or known.event not in {Event.APPLIED, Event.JUDGED}:
        return False
    return bool((known.evidence or {}).get("verdict", "GO") == "GO")


def undo_command(run: Run) -> str:
    """Return the command that rolls the run back."""
    return report.rollback_command(run.plan, run.id)
