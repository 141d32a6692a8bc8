"""The verification checklist of a run: each item with what answers it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cco_migrate.model import Plan
from cco_migrate.report.answers import Answer, ChecklistItem, Found, is_good
from cco_migrate.report.cutover_checklist import cutover
from cco_migrate.runs.journal import RunState, Status, StepState

TAKEN_BACK = "taken back by the rollback"

_WENT_BACK = frozenset({Status.ROLLING_BACK, Status.ROLLED_BACK, Status.ROLLBACK_FAILED})


def checklist(plan: Plan, state: RunState) -> tuple[ChecklistItem, ...]:
    """Answer the items of the checklist by what the journal holds.

    A plan without a checklist of its own is asked for each of its steps. After a rollback only
    what outlives it is proven.
    """
    documented = CHECKLISTS.get(plan.kind, _none)(Found(plan, state))
    items = (*(documented or _every_step(plan, state)), *_closing(state))
    if state.status not in _WENT_BACK:
        return items
    return tuple(
        item if item.outlives else ChecklistItem(item.text, Answer.NOT_PROVEN, TAKEN_BACK)
        for item in items
    )


def _none(_found: Found) -> tuple[ChecklistItem, ...]:
    return ()


def _model_overrides(found: Found) -> tuple[ChecklistItem, ...]:
    steps = found.state.steps
    traffic = steps.get("traffic", StepState()).evidence or {}
    page, errors = traffic.get("dashboard", {}), traffic.get("log_errors")
    return (
        _saved("Configuration file backed up", steps.get("backup")),
        _from_step("Configuration file syntax validated", steps.get("validate")),
        _from_step("enabled = true in [overrides]", steps.get("enable")),
        _from_step("Service stopped cleanly", steps.get("stop")),
        _from_step("Service started without errors", steps.get("restart")),
        _from_step("/health returns overrides_enabled: true", steps.get("proof")),
        _from_step("Override statistics show non-zero counts", steps.get("counts")),
        _item(
            "Dashboard accessible", bool(page.get("complete")),
            str(page.get("said", "")) or "not looked at yet",
        ),
        _from_step("Cost metrics show the target's price", steps.get("cost")),
        _item(
            "No error messages in the log", errors == 0,
            "no log to read" if errors is None else f"{errors} error lines since the traffic began",
        ),
    )  # fmt: skip


CHECKLISTS: Mapping[str, Callable[[Found], tuple[ChecklistItem, ...]]] = {
    "model-overrides": _model_overrides,
    "gateway-cutover": cutover,
}
"""The documented checklist of a kind of migration; one that is not here is asked step by step."""


def _every_step(plan: Plan, state: RunState) -> tuple[ChecklistItem, ...]:
    items = []
    for step in plan.steps:
        known = state.steps.get(step.id)
        if step.uses == "files.backup":
            items.append(_saved(step.title, known))
        elif step.uses != "report.write":
            items.append(_from_step(step.title, known))
    return tuple(items)


def _closing(state: RunState) -> tuple[ChecklistItem, ChecklistItem]:
    notified = state.attested.get("team-notified")
    word = f"by word of {notified}" if notified else (
        "nobody has said so: invoke approve --item team-notified --person NAME"
    )  # fmt: skip
    written = f"this report, run {state.run}"
    return (
        ChecklistItem("Migration report created", Answer.PROVEN, written, outlives=True),
        ChecklistItem(
            "Team notified of the change",
            Answer.PROVEN if notified else Answer.OPEN,
            word,
            outlives=True,
        ),
    )


def _saved(text: str, saved: StepState | None) -> ChecklistItem:
    kept = saved is not None and saved.evidence is not None
    said = (saved.reason if saved and kept else "") or ("kept" if kept else "not reached")
    answer = Answer.PROVEN if kept else Answer.NOT_PROVEN
    return ChecklistItem(text, answer, said, outlives=True)


def _from_step(text: str, state: StepState | None) -> ChecklistItem:
    reason = state.reason if state and state.reason else "not reached"
    return _item(text, is_good(state), reason)


def _item(text: str, proven: bool, evidence: str) -> ChecklistItem:
    return ChecklistItem(text, Answer.PROVEN if proven else Answer.NOT_PROVEN, evidence)
