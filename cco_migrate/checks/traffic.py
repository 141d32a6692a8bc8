"""Does traffic flow through the gateway as it should? Sends requests, or watches clients."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cco_migrate.checks.client_requests import ClientRequest, client_requests, small_request
from cco_migrate.checks.sending import resolve_credential, send_requests
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

LOG_SETTLE_S = 3.0
OVERRIDE_LINE = re.compile(
    rb"model override(?: \([^)]*\))?: (\S+) (?:\xe2\x86\x92|->) (\S+)", re.IGNORECASE
)
ERROR_LINE = re.compile(rb"^.*\b(?:ERROR|CRITICAL|Traceback)\b.*$", re.MULTILINE)
NO_LOG: dict[str, int | None] = {"log_lines": None, "log_errors": None}
DASHBOARD_SECTIONS = ("Model Overrides", "Cost Savings")


class TrafficFlows:
    """Send verification requests and look at every answer; or watch until real clients sent some.

    Params: `mode` "send" or "watch"; `models`, one per request; `streamed`, how many of them;
    `shape` "claude-code" or "small"; `credential`, a reference ("env:NAME", "file:PATH", "demo");
    `rules`, `[from, to]` in order; `log_overrides`, whether the file asks for log lines; `watch_s`.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Take the baseline of the counters and of the log."""
        try:
            counts, totals = context.gateway.overrides(), context.gateway.model_totals()
            rows = context.gateway.audit()  # as the other checks ask it: one look asks it once
        except (Unreachable, NotAGateway) as error:
            raise ToolkitError(f"no baseline: {error}") from error
        return {
            "total": counts.total,
            "models": {name: calls for name, (calls, _) in (totals or {}).items()},
            "log_bytes": _size(context.instance.log),
            "last_id": rows[0]["request_id"] if rows else None,
        }

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Send or watch; a failing request is a fact, not an exception."""
        rules = dict(reversed(step.params["rules"]))  # the first of two rules for one source wins
        if step.params["mode"] == "watch":
            facts = _watch(step, receipt, context, rules)
        else:
            facts = _send(step, context, rules)
        log = NO_LOG
        if step.params["log_overrides"]:
            log = _watch_log(receipt, context, int(facts["expected_overrides"]))
        return {**facts, "baseline": dict(receipt), **log, "dashboard": _look_at_dashboard(context)}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when every answer was whole and every override left its line in the log, if any."""
        if facts["faults"]:
            first = facts["faults"][0]
            said = (
                f"{len(facts['faults'])} of {facts['sent']} answers were wrong; the first: {first}"
            )
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        if not facts["sent"]:
            said = "no client sent anything: the rules are loaded and unproved"
            return Judgement(step.id, Verdict.INCONCLUSIVE, said, dict(facts))
        said = f"{facts['sent']} sent, {facts['streamed']} streamed: "
        said += "order, terminator, usage, tool calls intact"
        if facts.get("read_late"):
            said += f"; {facts['read_late']} of them read late, all at once"
        if step.params["mode"] == "watch":
            said = f"{facts['sent']} requests of real clients seen"
        lines, expected = facts["log_lines"], facts["expected_overrides"]
        if not step.params["log_overrides"]:
            said += "; the file switches the override lines of the log off"
        elif lines is None:
            said += "; no log to watch"
        elif lines < expected:
            said += f"; {lines} override lines in the log, {expected} expected"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        else:
            said += f"; {lines} override lines in the log"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def _send(step: Step, context: Context, rules: Mapping[str, str]) -> dict[str, Any]:  # Any: JSON
    models, params = step.params["models"], step.params
    if params["shape"] == "small":
        requests: Sequence[ClientRequest] = [
            small_request(model, run=context.run, stream=number % 2 == 0)
            for number, model in enumerate(models)
        ]
    else:
        requests = client_requests(models, run=context.run, streamed=params["streamed"])
    key = resolve_credential(params["credential"])
    ids, faults, late = send_requests(context.instance.url, requests, key, context)
    targets = [rules[request.model] for request in requests if request.model in rules]
    return {
        "sent": len(requests),
        "streamed": sum(request.stream for request in requests),
        "faults": faults,
        "read_late": late,
        "request_ids": ids,
        "expected_overrides": len(targets),
        "expected_targets": sorted(set(targets)),
    }


def _watch(
    step: Step, receipt: JsonObject, context: Context, rules: Mapping[str, str]
) -> dict[str, Any]:  # Any: JSON
    context.waiting("a request of a real client that a rule matches", step.params["watch_s"])

    def overridden() -> bool:
        try:
            return context.gateway.overrides().total > int(receipt["total"])
        except (Unreachable, NotAGateway):
            return False

    context.world.clock.wait_until(overridden, step.params["watch_s"], every_s=0.5)
    try:
        rows, counted = (
            context.gateway.audit(),
            context.gateway.overrides().total - receipt["total"],
        )
    except (Unreachable, NotAGateway) as error:
        return {"sent": 0, "streamed": 0, "faults": [str(error)], "request_ids": [],
                "expected_overrides": 0, "expected_targets": []}  # fmt: skip
    fresh = _since(rows or [], receipt["last_id"])
    matched = [row for row in fresh if row["requested_model"] in rules]
    return {
        "sent": len(fresh) if rows is not None else counted,
        "streamed": sum(bool(row["stream"]) for row in fresh),
        "faults": [],
        "request_ids": [row["request_id"] for row in fresh],
        "expected_overrides": len(matched) if rows is not None else counted,
        "expected_targets": sorted(
            {rules[row["requested_model"]] for row in matched} or set(rules.values())
        ),
    }


def _since(
    rows: Sequence[Mapping[str, Any]], last_id: str | None
) -> list[Mapping[str, Any]]:  # Any: JSON
    fresh = []
    for row in rows:  # newest first
        if row["request_id"] == last_id:
            break
        fresh.append(row)
    return fresh


def _watch_log(receipt: JsonObject, context: Context, expected: int) -> dict[str, int | None]:
    """Count the override and error lines logged since the baseline; None without a log."""
    log = context.instance.log
    if log is None or receipt["log_bytes"] is None:
        return NO_LOG

    def fresh() -> bytes:
        with log.open("rb") as file:
            file.seek(min(receipt["log_bytes"], _size(log) or 0))
            return file.read()

    try:
        context.world.clock.wait_until(
            lambda: len(OVERRIDE_LINE.findall(fresh())) >= expected, LOG_SETTLE_S
        )
        data = fresh()
    except OSError:
        return NO_LOG
    return {
        "log_lines": len(OVERRIDE_LINE.findall(data)),
        "log_errors": len(ERROR_LINE.findall(data)),
    }


def _look_at_dashboard(context: Context) -> dict[str, object]:
    """Fetch the page a person would open; a gateway without one is told, not failed."""
    try:
        page = context.gateway.page()
    except (Unreachable, NotAGateway) as error:
        return {"complete": False, "said": str(error)}
    missing = [section for section in DASHBOARD_SECTIONS if section not in page]
    said = f"lacks {', '.join(missing)}" if missing else f"has {' and '.join(DASHBOARD_SECTIONS)}"
    return {"complete": not missing, "said": f"{context.instance.url}/ {said}"}


def _size(path: Path | None) -> int | None:
    try:
        return path.stat().st_size if path else None
    except OSError:
        return None
