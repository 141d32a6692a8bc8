"""Verification traffic: every answer is looked at, and what is wrong with it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cco_migrate.checks.client_requests import client_requests
from cco_migrate.checks.sending import resolve_credential, send_requests
from cco_migrate.checks.traffic import TrafficFlows
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput, ToolkitError
from cco_migrate.model import Step
from cco_migrate.verdict import Verdict

Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

CHECK = TrafficFlows()
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
SSE = {"content-type": "text/event-stream", "x-gateway-request-id": "r"}
PLAIN = {"content-type": "application/json", "x-gateway-request-id": "r"}
PAGE = b"<p>Model Overrides <p>Cost Savings"


def event(kind: str, **more: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(), json.dumps({"type": kind, **more}).encode(),
    )  # fmt: skip


def streamed(tool: str = "Bash") -> list[bytes | None]:
    block = {"type": "tool_use", "name": tool, "input": {}}
    deltas: list[bytes | None] = [
        event("content_block_delta", index=0, delta={"partial_json": piece})
        for piece in ("{", '"a"', ":", "1", "}")
    ]
    return [
        event("message_start", message={"usage": {"input_tokens": 3, "output_tokens": 1}}),
        event("content_block_start", index=0, content_block=block),
        *deltas,
        event("content_block_stop", index=0),
        event("message_delta", usage={"output_tokens": 5}),
        event("message_stop"),
    ]


def message(**more: object) -> bytes:
    row = {
        "type": "message", "content": [{"type": "text", "text": "hello"}],
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }  # fmt: skip
    return json.dumps({**row, **more}).encode()


def whole(chunks: Sequence[bytes | None]) -> bytes:
    return b"".join(chunk for chunk in chunks if chunk is not None)


GOOD_STREAM: Reply = (200, SSE, streamed())
GOOD_JSON: Reply = (200, PLAIN, message())
CASES: list[tuple[str, bool, Reply, str]] = [
    ("good stream", True, GOOD_STREAM, ""),
    ("good answer", False, GOOD_JSON, ""),
    ("cut stream", True, (200, SSE, [*streamed()[:4], None]), "incomplete"),
    ("stream without its end", True, (200, SSE, streamed()[:-1]), "no message_stop at its end"),
    ("all at once", True, (200, SSE, whole(streamed())), "5 deltas arrived all at once"),
    ("wrong tool", True, (200, SSE, streamed("Rm")), "tool call Rm was never offered"),
    ("500 for a stream", True, (500, PLAIN, b"broken"), "500 broken"),
    ("500", False, (500, PLAIN, b"broken"), "500 broken"),
    ("529", False, (529, PLAIN, b"overloaded"), "529 overloaded"),
    ("an error in the stream", True, (200, SSE, [event("error", error={"message": "no"})]), "no"),
    ("html", False, (200, PLAIN, b"<p>"), "no message with content"),
    ("a list", False, (200, PLAIN, b"[]"), "no message with content"),
    ("odd content", False, (200, PLAIN, message(content=["x"])), "no message with content"),
    ("odd usage", False, (200, PLAIN, message(usage=3)), "no message with content"),
    (
        "undecodable",
        False,
        (200, {**PLAIN, "content-encoding": "gzip"}, b"no gzip"),
        "decompressing",
    ),
    ("no message", False, (200, PLAIN, b"{}"), "no message with content"),
    ("no content", False, (200, PLAIN, message(content=[])), "no message with content"),
    ("no usage", False, (200, PLAIN, message(usage=None)), "usage is missing"),
    (
        "wrong tool in an answer",
        False,
        (200, PLAIN, message(content=[{"type": "tool_use", "name": "Rm"}])),
        "tool call Rm was never offered",
    ),
]


@pytest.mark.parametrize(
    ("stream", "reply", "said"), [pytest.param(*c[1:], id=c[0]) for c in CASES]
)
def test_answer_is_looked_at(
    serve: Serve, context_at: Callable[[str], Context], stream: bool, reply: Reply, said: str
) -> None:
    url = serve(lambda *_: reply)
    requests = client_requests([SONNET], run="mo-1", streamed=int(stream))
    ids, faults, _ = send_requests(url, requests, "key", context_at(url))
    assert ids == ["r"]
    if said:
        assert said in faults[0]
        assert faults[0].startswith(f"#1 {SONNET}: ")
    else:
        assert faults == []


@pytest.mark.parametrize(
    ("models", "at_once", "faults", "late"),
    [
        ([SONNET] * 4, 0, 0, 0),
        ([SONNET] * 4, 1, 0, 1),
        ([SONNET] * 4, 2, 2, 0),
        ([SONNET] * 4, 4, 4, 0),
        ([HAIKU] * 4 + [SONNET] * 12, 4, 4, 0),  # each model may come another way
        ([HAIKU] + [SONNET] * 12, 1, 1, 0),
    ],
)
def test_few_streams_of_a_model_that_came_at_once_were_read_late(
    serve: Serve,
    context_at: Callable[[str], Context],
    models: list[str],
    at_once: int,
    faults: int,
    late: int,
) -> None:
    rest = len(models) - at_once
    replies = iter([(200, SSE, whole(streamed()))] * at_once + [GOOD_STREAM] * rest)
    url = serve(lambda *_: next(replies))
    requests = client_requests(models, run="mo-1", streamed=len(models))
    ids, found, few = send_requests(url, requests, "key", context_at(url))
    assert (len(ids), len(found), few) == (len(models), faults, late)
    assert all("arrived all at once" in fault for fault in found)


def test_nobody_there_is_a_fault_of_each_request(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    requests = client_requests([SONNET, HAIKU], run="mo-1", streamed=1)
    ids, faults, _ = send_requests(url, requests, "key", context_at(url))
    assert (ids, len(faults)) == ([], 2)


def test_requests_carry_the_key_and_the_clients_query(
    serve: Serve, context_at: Callable[[str], Context]
) -> None:
    asked = []

    def script(method: str, target: str, body: bytes) -> Reply:
        asked.append((method, target, json.loads(body)["model"]))
        return GOOD_JSON

    url = serve(script)
    send_requests(url, client_requests([SONNET], run="r", streamed=0), "key", context_at(url))
    assert asked == [("POST", "/v1/messages?beta=true", SONNET)]


def test_credential_is_found_by_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCO_TEST_KEY", "from-env")
    (tmp_path / "key").write_text("from-file\n")
    assert resolve_credential("env:CCO_TEST_KEY") == "from-env"
    assert resolve_credential(f"file:{tmp_path / 'key'}") == "from-file"
    assert resolve_credential("demo")


@pytest.mark.parametrize(
    "reference", ["env:CCO_NOT_SET", "file:/no/such/file", "sk-live-in-plain", "env:", ""]
)
def test_credential_that_is_not_there_is_refused(reference: str) -> None:
    with pytest.raises(InvalidInput, match="--key"):
        resolve_credential(reference)


def step(models: Sequence[str], streams: int, **more: object) -> Step:
    params = {
        "mode": "send", "models": list(models), "streamed": streams, "shape": "claude-code",
        "credential": "demo", "rules": [[SONNET, HAIKU], [SONNET, "later"]], "watch_s": 0,
        "log_overrides": True, **more,
    }  # fmt: skip
    return Step(9, "traffic", "traffic", "traffic.flows", params)


class Gateway:
    """A scripted gateway that counts and logs what it overrides."""

    def __init__(self, log: Path, *, lines: bool = True) -> None:
        self.log, self.lines, self.total, self.rows = log, lines, 7, [self.row("old", SONNET)]
        log.write_text("Model override: before → the baseline\n")

    @staticmethod
    def row(request_id: str, model: str) -> dict[str, object]:
        return {
            "request_id": request_id, "requested_model": model, "model": HAIKU, "stream": False,
            "cost_usd": 0.1, "input_tokens": 1, "output_tokens": 1, "cache_write_tokens": 0,
            "cache_read_tokens": 0,
        }  # fmt: skip

    def __call__(self, _method: str, target: str, body: bytes) -> Reply:
        path = target.partition("?")[0]
        if path == "/v1/messages":
            return self.answer(json.loads(body))
        rows: dict[str, object] = {
            "/api/overrides/stats": {"total_overrides": self.total},
            "/api/machine/stats": {"models": [{"name": HAIKU, "calls": 2, "cost": 0.1}]},
            "/gateway/audit": {"entries": self.rows[:1] if "limit=1&" in target else self.rows},
        }
        if path == "/":
            return 200, {"content-type": "text/html"}, PAGE
        return 200, PLAIN, json.dumps(rows[path]).encode()

    def answer(self, body: Mapping[str, object]) -> Reply:
        if body["model"] == SONNET:
            self.total += 1
            if self.lines:
                with self.log.open("a") as file:
                    file.write(f"Model override: {SONNET} → {HAIKU}\nERROR none of ours\n")
        self.rows.insert(0, self.row(f"new{self.total}", str(body["model"])))
        return GOOD_STREAM if body.get("stream") else GOOD_JSON


def run(step: Step, context: Context) -> tuple[Mapping[str, object], Verdict, str]:
    facts = CHECK.measure(step, CHECK.prepare(step, context), context)
    judgement = CHECK.judge(step, facts)
    return facts, judgement.verdict, judgement.summary


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "gateway.log")


@pytest.fixture
def context(serve: Serve, context_at: Callable[[str], Context], gateway: Gateway) -> Context:
    made = context_at(serve(gateway))
    return replace(made, instance=replace(made.instance, log=gateway.log))


def test_sent_traffic_that_is_overridden_and_logged_is_go(context: Context) -> None:
    facts, verdict, said = run(step([SONNET, HAIKU, SONNET], 2), context)
    assert verdict is Verdict.GO
    assert "3 sent, 2 streamed" in said
    assert "2 override lines in the log" in said
    assert (facts["expected_overrides"], facts["expected_targets"]) == (2, [HAIKU])
    assert facts["log_errors"] == 2
    assert facts["baseline"] == {
        "total": 7, "models": {HAIKU: 2}, "last_id": "old",
        "log_bytes": len("Model override: before → the baseline\n".encode()),
    }  # fmt: skip
    assert facts["dashboard"] == {
        "complete": True,
        "said": f"{context.instance.url}/ has Model Overrides and Cost Savings",
    }


def test_missing_log_is_told_and_not_held_against_it(context: Context) -> None:
    _, verdict, said = run(
        step([SONNET], 0), replace(context, instance=replace(context.instance, log=None))
    )
    assert verdict is Verdict.GO
    assert "no log to watch" in said


def test_log_lines_that_the_file_switches_off_are_not_awaited(context: Context) -> None:
    facts, verdict, said = run(step([SONNET], 0, log_overrides=False), context)
    assert verdict is Verdict.GO
    assert facts["log_lines"] is None
    assert "the file switches the override lines of the log off" in said


def test_watch_without_a_client_is_inconclusive(context: Context) -> None:
    facts, verdict, said = run(step([], 0, mode="watch"), context)
    assert verdict is Verdict.INCONCLUSIVE
    assert "no client sent anything" in said
    assert facts["sent"] == 0


def test_watch_sees_the_requests_of_real_clients(context: Context, gateway: Gateway) -> None:
    watching = step([], 0, mode="watch", watch_s=10)
    receipt = CHECK.prepare(watching, context)
    gateway.answer({"model": SONNET})
    facts = CHECK.measure(watching, receipt, context)
    assert (facts["sent"], facts["expected_overrides"], facts["request_ids"]) == (1, 1, ["new8"])
    assert CHECK.judge(watching, facts).verdict is Verdict.GO


def test_no_baseline_is_said_before_anything_is_sent(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    with pytest.raises(ToolkitError, match="no baseline"):
        CHECK.prepare(step([SONNET], 0), context_at(f"http://127.0.0.1:{closed_port}"))


GOOD_FACTS: Mapping[str, object] = {
    "faults": [], "sent": 2, "streamed": 1, "log_lines": 2, "expected_overrides": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD_FACTS, Verdict.GO, "order, terminator, usage, tool calls intact"),
        ({**GOOD_FACTS, "faults": ["#1: 500", "#2: cut"]}, Verdict.NO_GO, "the first: #1: 500"),
        ({**GOOD_FACTS, "log_lines": 1}, Verdict.NO_GO, "1 override lines in the log, 2 expected"),
        ({**GOOD_FACTS, "log_lines": None}, Verdict.GO, "no log to watch"),
        ({**GOOD_FACTS, "read_late": 1}, Verdict.GO, "intact; 1 of them read late, all at once"),
        ({**GOOD_FACTS, "sent": 0}, Verdict.INCONCLUSIVE, "the rules are loaded and unproved"),
    ],
)
def test_judge(facts: Mapping[str, object], verdict: Verdict, said: str) -> None:
    judgement = CHECK.judge(step([SONNET], 1), facts)
    assert judgement.verdict is verdict
    assert said in judgement.summary
