"""The report of a run as data: one JSON document out of plan and journal. Pure.

It matches `schemas/report.schema.json`, is what `report.json` holds, and is all that the templates
of `report.md` and `report.html` are given, for every kind of migration.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cco_migrate.forecast import text as forecast_text
from cco_migrate.judge.gate import Unmeasured
from cco_migrate.model import JsonObject, Plan, Step
from cco_migrate.report import charts, lines
from cco_migrate.report.answers import Answer, ChecklistItem, is_good
from cco_migrate.report.checklist import checklist
from cco_migrate.report.kpis import kpis
from cco_migrate.report.lines import Stage
from cco_migrate.report.verdicts import newest, verdicts, waived
from cco_migrate.runs import attestations
from cco_migrate.runs.journal import Entry, Event, RunState, Status, StepState
from cco_migrate.soak.terms import USES as SOAK
from cco_migrate.verdict import Verdict

SCHEMA_VERSION = 1
TITLES = {
    "model-overrides": "Model override migration",
    "gateway-cutover": "Gateway cutover",
    "local-router": "Move to the local-first router",
}
HEADLINES = {
    Status.OPEN: "The run is open",
    Status.DONE: "GO: the change is applied, loaded and proved",
    Status.ROLLING_BACK: "A rollback is under way",
    Status.ROLLED_BACK: "Rolled back: the old state is in place",
    Status.ROLLBACK_FAILED: "The rollback failed: a person is needed",
}
UNCHANGED = "GO: every check is passed; no file was to be changed"
VERDICTS = {
    Status.OPEN: "OPEN",
    Status.DONE: "GO",
    Status.ROLLING_BACK: "ROLLING BACK",
    Status.ROLLED_BACK: "ROLLED BACK",
    Status.ROLLBACK_FAILED: "FAILED",
}
CLIENT_COST = (
    "A client's own cost display stays on the price of the model it asked for: it multiplies the "
    "tokens it was told by that model's list price and does not see the override. What was billed "
    "is what the gateway's audit says."
)
_SILENT = frozenset({Event.PREPARED, Event.APPLYING, Event.UNDOING, Event.TOLD})
_DOWN_AND_UP = ("service.replace", "service.start", "service.converge")


def build(
    plan: Plan,
    state: RunState,
    version: str,
    now: datetime | None = None,
    entries: Sequence[Entry] = (),
    stages: Sequence[Stage] | Unmeasured = (),
) -> dict[str, Any]:  # Any: a template's context
    """Return the report as JSON values.

    Args:
        now: Tells which approvals have expired; None for the time of the journal's last change.
        entries: The journal, for the timeline; empty for a report without one.
        stages: The looks of each soak, for its lines; Unmeasured says why they cannot be drawn.
    """
    items = checklist(plan, state)
    judged = verdicts(plan, state)
    return {
        "schema_version": SCHEMA_VERSION,
        **_head(plan, state, version),
        "proven": sum(item.answer is Answer.PROVEN for item in items),
        "summary": _summary(plan, state, items, judged),
        "changes": [asdict(change) for change in plan.changes],
        "steps": [_row(step, state.steps.get(step.id)) for step in plan.steps],
        "way_back": [_row(s, state.steps[s.id]) for s in _way_back(plan) if s.id in state.steps],
        "timeline": _timeline(plan, entries),
        "verdicts": judged,
        "kpis": kpis(plan, state),
        "latency": charts.arms(newest(plan, state, "latency-ratio").get("arms", {})),
        "lines": [] if isinstance(stages, Unmeasured) else lines.over_time(stages),
        "undrawn": stages.why if isinstance(stages, Unmeasured) else "",
        "rehearsal": charts.ways_back(plan.basis.rehearsal if plan.basis else None),
        "checklist": [_item(item) for item in items],
        **_figures(plan, state),
        "notes": list(plan.notes),
        "waived": waived(plan),
        "approvals": attestations.lines(
            state.approvals, now or datetime.fromisoformat(state.changed_at)
        ),
        "rollback_command": rollback_command(plan, state.run),
        "verify_command": f"invoke report.verify{_home(plan)} --run {state.run}",
    }


def rollback_command(plan: Plan, run: str) -> str:
    """Return the exact command that undoes a run."""
    return f"invoke rollback{_home(plan)} --run {run}"


def _home(plan: Plan) -> str:
    return "" if plan.instance.demo else f" --home {shlex.quote(str(plan.instance.home))}"


def _head(plan: Plan, state: RunState, version: str) -> JsonObject:
    status = _status(plan, state)
    return {
        "kind": plan.kind,
        "title": TITLES.get(plan.kind, plan.kind),
        "version": version,
        "run": state.run,
        "digest": plan.digest,
        "headline": _headline(plan, state),
        "verdict": VERDICTS[status],
        "reason": state.reason,
        "by": state.by,
        "started_at": state.started_at,
        "finished_at": state.changed_at,
        "duration_s": round(_seconds(state.started_at, state.changed_at), 1),
        "instance": plan.instance.to_json(),
        "demo": plan.instance.demo,
        "journal": str(plan.instance.migrate_dir / "runs" / state.run / "journal.jsonl"),
        "fingerprints": [plan.fingerprint_before, plan.fingerprint_after],
    }


def _figures(plan: Plan, state: RunState) -> JsonObject:
    """Return what was measured, by what it is about; empty objects where nothing was."""
    cost = _facts(plan.steps, state, "cost.fell")
    return {
        "forecast": [list(row) for row in forecast_text.rows(plan.basis)] if plan.basis else [],
        "traffic": _facts(plan.steps, state, "traffic.flows"),
        "cost": cost,
        "bars": charts.cost_bars(cost),
        "client_cost": CLIENT_COST,
        "overrides": charts.override_bars(_facts(plan.steps, state, "statistics.agree")),
        "soak": _facts(plan.steps, state, SOAK),
        "backup": _facts(plan.steps, state, "files.backup"),
        "downtime_s": _facts(plan.steps, state, *_DOWN_AND_UP).get("downtime_s"),
        "way_back_downtime_s": _facts(plan.way_back, state, *_DOWN_AND_UP).get("downtime_s"),
        "warnings": _facts(plan.steps, state, "config.valid").get("warnings", []),
    }


def _facts(steps: Iterable[Step], state: RunState, *uses: str) -> JsonObject:
    """Return the evidence of the last step of these uses that has some; empty without any."""
    found = [
        state.steps[step.id].evidence
        for step in steps
        if step.uses in uses and step.id in state.steps
    ]
    return next((one for one in reversed(found) if one), {})


def _summary(
    plan: Plan, state: RunState, items: Sequence[ChecklistItem], judged: Sequence[JsonObject]
) -> list[str]:
    """Return what a manager has to know, in sentences."""
    proven = sum(item.answer is Answer.PROVEN for item in items)
    why = state.reason if state.status is not Status.DONE else ""
    said = [f"{_headline(plan, state)}." + (f" {why}." if why else "")]
    said.append(f"{proven} of {len(items)} items of the checklist are proven.")
    bad = [one for one in judged if one["enforced"] and one["verdict"] != Verdict.GO.value]
    said.append(
        f"{len(judged)} verdicts were reached, "
        + (f"{len(bad)} of those that count are not GO: " + ", ".join(_name(one) for one in bad)
           if bad else "all that count are GO") + "."
    )  # fmt: skip
    cost = next((known for step in plan.steps if step.uses == "cost.fell"
                 and (known := state.steps.get(step.id)) and known.evidence), None)  # fmt: skip
    said.append(f"Cost: {cost.reason}." if cost else "Cost: nothing was priced.")
    said.append(f"The way back is one command: {rollback_command(plan, state.run)}")
    return said


def _headline(plan: Plan, state: RunState) -> str:
    status = _status(plan, state)
    return UNCHANGED if status is Status.DONE and not plan.changes else HEADLINES[status]


def _name(row: JsonObject) -> str:
    return str(row["criterion"] or row["step"])


def _status(plan: Plan, state: RunState) -> Status:
    """Return the status; that of a run whose report is being written as its last step is DONE."""
    others = [step for step in plan.steps if step.uses != "report.write"]
    done = all(is_good(state.steps.get(step.id)) for step in others)
    return Status.DONE if done and state.status is Status.OPEN else state.status


def _way_back(plan: Plan) -> tuple[Step, ...]:
    """Return the steps of the way back, with the one the engine adds when it restores a backup."""
    return (Step(0, "restore", "restore the backup", "files.backup"), *plan.way_back)


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


def _item(item: ChecklistItem) -> JsonObject:
    return {"text": item.text, "answer": item.answer.value, "evidence": item.evidence}


def _timeline(plan: Plan, entries: Sequence[Entry]) -> list[JsonObject]:
    """Return when what came about; the beginning of a step is left out, its end says its time."""
    titles = {step.id: step.title for step in (*plan.steps, *_way_back(plan))}
    return [
        {
            "at": entry.ts,
            "offset_s": round(_seconds(entries[0].ts, entry.ts), 1),
            "event": entry.event.value,
            "what": titles.get(entry.step, entry.step),
            "said": "" if entry.event is Event.PLANNED else entry.reason,
        }
        for entry in entries
        if entry.event not in _SILENT
    ]


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
