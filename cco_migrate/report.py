"""The report of a run: a context from plan and journal (pure), and its rendering with Jinja2."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from cco_migrate import resources
from cco_migrate.forecast import text as forecast_text
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.runs import attestations
from cco_migrate.runs.journal import Event, RunState, Status, StepState

if TYPE_CHECKING:
    import jinja2

FILES = {"report.md": "report.md.j2", "report.html": "report.html.j2"}
HEADLINES = {
    Status.OPEN: "The run is open",
    Status.DONE: "GO: the change is applied, loaded and proved",
    Status.ROLLING_BACK: "A rollback is under way",
    Status.ROLLED_BACK: "Rolled back: the old state is in place",
    Status.ROLLBACK_FAILED: "The rollback failed: a person is needed",
}
VERDICTS = {
    Status.OPEN: "OPEN",
    Status.DONE: "GO",
    Status.ROLLING_BACK: "ROLLING BACK",
    Status.ROLLED_BACK: "ROLLED BACK",
    Status.ROLLBACK_FAILED: "FAILED",
}

TAKEN_BACK = "taken back by the rollback"


class Answer(StrEnum):
    """How an item of the checklist is answered."""

    PROVEN = "proven"
    OPEN = "open"
    NOT_PROVEN = "not proven"


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One item of the verification checklist, with what answers it."""

    text: str
    answer: Answer
    evidence: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the cost chart.

    Attributes:
        usd: Amount as text, e.g. "0.2100".
        share: Length in percent of the longest bar.
    """

    label: str
    usd: str
    share: float


def build(
    plan: Plan, state: RunState, version: str, now: datetime | None = None
) -> dict[str, Any]:  # Any: a template's context
    """Return the context of the report's templates.

    Args:
        now: Tells which approvals have expired; None for the time of the journal's last change.
    """
    evidence = {name: step.evidence or {} for name, step in state.steps.items()}
    items = checklist(plan, state)
    done = state.status is Status.OPEN and _finished(plan, state)
    status = Status.DONE if done else state.status
    return {
        "version": version,
        "run": state.run,
        "digest": plan.digest,
        "headline": HEADLINES[status],
        "verdict": VERDICTS[status],
        "reason": state.reason,
        "by": state.by,
        "started_at": state.started_at,
        "finished_at": state.changed_at,
        "duration_s": round(_seconds(state.started_at, state.changed_at), 1),
        "instance": plan.instance,
        "demo": plan.instance.demo,
        "changes": plan.changes,
        "steps": [_row(step, state.steps.get(step.id)) for step in plan.steps],
        "way_back": [_row(s, state.steps[s.id]) for s in _way_back(plan) if s.id in state.steps],
        "fingerprints": (plan.fingerprint_before, plan.fingerprint_after),
        "traffic": evidence.get("traffic", {}),
        "cost": evidence.get("cost", {}),
        "bars": cost_bars(evidence.get("cost", {})),
        "backup": evidence.get("backup", {}),
        "downtime_s": evidence.get("restart", {}).get("downtime_s"),
        "way_back_downtime_s": evidence.get("back-restart", {}).get("downtime_s"),
        "checklist": items,
        "proven": sum(item.answer is Answer.PROVEN for item in items),
        "warnings": evidence.get("validate", {}).get("warnings", []),
        "notes": plan.notes,
        "forecast": forecast_text.rows(plan.basis) if plan.basis else (),
        "soak": evidence.get("soak", {}),
        "approvals": attestations.lines(
            state.approvals, now or datetime.fromisoformat(state.changed_at)
        ),
        "rollback_command": rollback_command(plan, state.run),
    }


def render(
    plan: Plan, state: RunState, version: str, now: datetime | None = None
) -> dict[str, str]:
    """Return the report's files by name; see `build`."""
    context, templates = build(plan, state, version, now), environment()
    return {name: templates.get_template(source).render(context) for name, source in FILES.items()}


@cache  # each template is compiled once a process: a dry run of many targets renders many reports
def environment() -> jinja2.Environment:
    """Return the environment of all templates: HTML is escaped, a missing name is an error."""
    import jinja2  # noqa: PLC0415  # 60 ms that `--list` must not pay

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.template_dir()),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rollback_command(plan: Plan, run: str) -> str:
    """Return the exact command that undoes a run."""
    home = "" if plan.instance.demo else f" --home {shlex.quote(str(plan.instance.home))}"
    return f"invoke rollback{home} --run {run}"


def checklist(plan: Plan, state: RunState) -> tuple[ChecklistItem, ...]:
    """Answer the twelve items of the verification checklist by what the journal holds.

    After a rollback only what outlives it is proven: the backup, the report, a person's word.
    """
    items = _checklist(state)
    if state.status not in {Status.ROLLING_BACK, Status.ROLLED_BACK, Status.ROLLBACK_FAILED}:
        return items
    kept = {items[0], items[-2], items[-1]}
    return tuple(
        item if item in kept else ChecklistItem(item.text, Answer.NOT_PROVEN, TAKEN_BACK)
        for item in items
    )


def cost_bars(cost: JsonObject) -> tuple[Bar, ...]:
    """Return the bars of before and after; empty when nothing was priced."""
    if cost.get("method") != "audit" or not cost.get("overridden"):
        return ()
    before, billed = float(cost["before_usd"]), float(cost["billed_usd"])
    longest = max(before, billed)
    if not longest:
        return ()
    digits = 4 if longest >= 0.01 else 6  # a few small requests cost less than a cent
    return (
        Bar(
            "at the requested model's price",
            f"{before:.{digits}f}",
            round(before / longest * 100, 1),
        ),
        Bar("billed", f"{billed:.{digits}f}", round(billed / longest * 100, 1)),
    )


def _checklist(state: RunState) -> tuple[ChecklistItem, ...]:
    steps = state.steps
    saved = steps.get("backup", StepState())
    facts = {name: step.evidence or {} for name, step in steps.items()}
    page = facts.get("traffic", {}).get("dashboard", {})
    errors = facts.get("traffic", {}).get("log_errors")
    notified = state.attested.get("team-notified")
    return (
        _item(
            "Configuration file backed up", saved.evidence is not None, _backup_said(saved)
        ),
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
        ChecklistItem("Migration report created", Answer.PROVEN, f"this report, run {state.run}"),
        ChecklistItem(
            "Team notified of the change",
            Answer.PROVEN if notified else Answer.OPEN,
            f"by word of {notified}" if notified
            else "nobody has said so: invoke approve --item team-notified --person NAME",
        ),
    )  # fmt: skip


def _backup_said(saved: StepState) -> str:
    if saved.evidence is None:
        return "not reached"
    return saved.reason or "kept"


def _finished(plan: Plan, state: RunState) -> bool:
    others = [step for step in plan.steps if step.uses != "report.write"]
    return all(_good(state.steps.get(step.id)) for step in others)


def _way_back(plan: Plan) -> tuple[Step, ...]:
    """Return the steps of the way back, with the one the engine adds when it restores a backup."""
    return (Step(0, "restore", "restore the backup", "files.backup"), *plan.way_back)


def _good(state: StepState | None) -> bool:
    if state is None or state.event not in {Event.APPLIED, Event.JUDGED}:
        return False
    return bool((state.evidence or {}).get("verdict", "GO") == "GO")


def _row(step: Step, state: StepState | None) -> Mapping[str, object]:
    event = state.event if state else None
    word = {Event.APPLIED: "done", Event.UNDONE: "undone", Event.FAILED: "failed", None: "not run"}
    verdict = (state.evidence or {}).get("verdict") if state and event is Event.JUDGED else None
    return {
        "number": step.number,
        "uses": step.uses,
        "title": step.title,
        "outcome": verdict or word.get(event, event.value if event else ""),
        "seconds": state.seconds if state else None,
        "summary": state.reason if state else "",
    }


def _from_step(text: str, state: StepState | None) -> ChecklistItem:
    reason = state.reason if state and state.reason else "not reached"
    return _item(text, _good(state), reason)


def _item(text: str, proven: bool, evidence: str) -> ChecklistItem:
    return ChecklistItem(text, Answer.PROVEN if proven else Answer.NOT_PROVEN, evidence)


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
