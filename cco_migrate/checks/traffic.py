"""Does traffic flow through the gateway as it should? Sends requests, or watches clients."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cco_migrate.checks.client_requests import ClientRequest, client_requests, small_request
from cco_migrate.checks.sse import StreamCheck
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

LOG_SETTLE_S = 3.0
OVERRIDE_LINE = re.compile(
    rb"model override(?: \([^)]*\))?: (\S+) (?:\xe2\x86\x92|->) (\S+)", re.IGNORECASE
)
ERROR_LINE = re.compile(rb"^.*\b(?:ERROR|CRITICAL|Traceback)\b.*$", re.MULTILINE)
DASHBOARD_SECTIONS = ("Model Overrides", "Cost Savings")


class TrafficFlows:
    """Send verification requests and look at every answer; or watch until real clients sent some.

    Params: `mode` "send" or "watch"; `models`, one per request; `streamed`, how many of them;
    `shape` "claude-code" or "small"; `credential`, a reference ("env:NAME", "file:PATH", "demo");
    `rules`, `[from, to]` in order; `watch_s`.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Take the baseline of the counters and of the log."""
        try:
            counts, totals = context.gateway.overrides(), context.gateway.model_totals()
            rows = context.gateway.audit(limit=1)
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
        if step.params["mode"] == "watch":
            said = f"{facts['sent']} requests of real clients seen"
        lines, expected = facts["log_lines"], facts["expected_overrides"]
        if lines is None:
            said += "; no log to watch"
        elif lines < expected:
            said += f"; {lines} override lines in the log, {expected} expected"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        else:
            said += f"; {lines} override lines in the log"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


@dataclass(slots=True)
class _Tally:
    ids: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    streamed: int = 0


def send_requests(
    url: str, requests: Sequence[ClientRequest], credential: str, context: Context
) -> tuple[list[str], list[str]]:
    """Send requests one after another and return (request ids, faults)."""
    tally = _Tally()
    for number, request in enumerate(requests, 1):
        context.waiting(f"answer {number} of {len(requests)}", 120)
        _exchange(url, request, credential, context, tally)
    return tally.ids, tally.faults


def resolve_credential(reference: str) -> str:
    """Return the secret a reference names; raises InvalidInput when there is none."""
    kind, _, name = reference.partition(":")
    if reference == "demo":
        return "demo-key-without-value"
    if kind == "env" and os.environ.get(name):
        return os.environ[name]
    if kind == "file":
        try:
            return Path(name).expanduser().read_text().strip()
        except OSError as error:
            raise InvalidInput(f"--key {reference}: {error.strerror}") from error
    raise InvalidInput(
        f"--key {reference}: nothing there; write env:NAME with NAME set, or file:PATH"
    )


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
    ids, faults = send_requests(context.instance.url, requests, key, context)
    targets = [rules[request.model] for request in requests if request.model in rules]
    return {
        "sent": len(requests),
        "streamed": sum(request.stream for request in requests),
        "faults": faults,
        "request_ids": ids,
        "expected_overrides": len(targets),
        "expected_targets": sorted(set(targets)),
    }


def _exchange(url: str, request: ClientRequest, key: str, context: Context, tally: _Tally) -> None:
    import httpx  # noqa: PLC0415  # see world.Http

    headers = [*request.headers, ("x-api-key", key)]
    client = context.world.http.client
    try:
        with client.stream(
            "POST", f"{url}/v1/messages?beta=true", headers=headers, content=request.body
        ) as answer:
            if request_id := answer.headers.get("x-gateway-request-id"):
                tally.ids.append(request_id)
            if answer.status_code != 200:
                answer.read()
                tally.faults.append(f"{request.label}: {answer.status_code} {answer.text[:200]}")
            elif request.stream:
                tally.faults += [
                    f"{request.label}: {fault}" for fault in _read_stream(answer, request)
                ]
            else:
                answer.read()
                tally.faults += [
                    f"{request.label}: {fault}" for fault in _json_faults(answer, request)
                ]
    except httpx.TransportError as error:
        tally.faults.append(f"{request.label}: {str(error) or type(error).__name__}")


def _read_stream(answer: Any, request: ClientRequest) -> list[str]:  # Any: httpx is imported lazily
    check = StreamCheck()
    for chunk in answer.iter_raw():
        check.feed(chunk)
    unknown = [name for name, _ in check.tool_calls if name not in request.tools]
    return [*check.faults(), *(f"tool call {name} was never offered" for name in unknown)]


def _json_faults(answer: Any, request: ClientRequest) -> list[str]:  # Any: httpx is imported lazily
    try:
        row = answer.json()
    except ValueError:
        return ["the answer is not JSON"]
    faults = []
    if row.get("type") != "message" or not row.get("content"):
        faults.append("the answer is no message with content")
    if not {"input_tokens", "output_tokens"} <= (row.get("usage") or {}).keys():
        faults.append("usage is missing")
    called = [b.get("name") for b in row.get("content") or [] if b.get("type") == "tool_use"]
    faults += [
        f"tool call {name} was never offered" for name in called if name not in request.tools
    ]
    return faults


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
        return {"log_lines": None, "log_errors": None}

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
        return {"log_lines": None, "log_errors": None}
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
