"""Do the statistics agree with what was sent? Bypass and unmatched rules are told apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from cco_migrate.checks.statistics import StatisticsAgree
from cco_migrate.context import Context
from cco_migrate.model import Step
from cco_migrate.verdict import Verdict

Reply = tuple[int, dict[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

CHECK = StatisticsAgree()
STEP = Step(10, "counts", "statistics", "statistics.agree")
GOOD: Mapping[str, object] = {
    "expected": 20, "counted": 20, "sent_ids": 24, "audited_ids": 24, "audited_overrides": 20,
    "unmatched": 4,
}  # fmt: skip
SILENT: Mapping[str, object] = {**GOOD, "counted": 0, "audited_overrides": 0}


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (GOOD, Verdict.GO, "20 overridden = 20 audited = 20 expected; 4 unmatched, as planned"),
        ({**GOOD, "counted": 23}, Verdict.GO, "20 expected (+3 of other clients)"),
        ({**GOOD, "counted": 19}, Verdict.NO_GO, "19 overrides counted, 20 expected"),
        (
            SILENT,
            Verdict.NO_GO,
            "0 overrides counted though 24 requests reached the gateway: no rule matches them",
        ),
        (
            {**SILENT, "audited_ids": 0},
            Verdict.NO_GO,
            "0 overrides counted and none of the requests is in the audit: they bypass the gateway",
        ),
        (
            {**SILENT, "audited_ids": None, "audited_overrides": None},
            Verdict.NO_GO,
            "0 overrides counted",
        ),
        (
            {**GOOD, "counted": 0},
            Verdict.NO_GO,
            "0 overrides counted though the audit has 20: the gateway does not count them",
        ),
        ({**SILENT, "expected": 0}, Verdict.INCONCLUSIVE, "0 overrides counted"),
        ({**GOOD, "audited_ids": 23}, Verdict.NO_GO, "23 of 24 requests are in the audit"),
        ({**GOOD, "audited_overrides": 19}, Verdict.NO_GO, "19 overridden there, 20 expected"),
        (
            {**GOOD, "audited_ids": None, "audited_overrides": None},
            Verdict.GO,
            "this gateway keeps no audit to compare with",
        ),
        ({"unmeasured": "no answer"}, Verdict.INCONCLUSIVE, "no answer"),
    ],
)
def test_judge(facts: Mapping[str, object], verdict: Verdict, said: str) -> None:
    judgement = CHECK.judge(STEP, facts)
    assert judgement.verdict is verdict
    assert said in judgement.summary


def row(request_id: str, requested: str, model: str) -> dict[str, object]:
    return {
        "request_id": request_id, "requested_model": requested, "model": model, "stream": False,
        "cost_usd": 0.1, "input_tokens": 1, "output_tokens": 1, "cache_write_tokens": 0,
        "cache_read_tokens": 0,
    }  # fmt: skip


SENT: Mapping[str, object] = {
    "sent": 2, "expected_overrides": 1, "request_ids": ["a", "b"], "baseline": {"total": 5},
}  # fmt: skip
ROWS = [row("c", "sonnet", "haiku"), row("b", "sonnet", "haiku"), row("a", "opus", "opus")]


def measured(
    serve: Serve,
    context_at: Callable[[str], Context],
    sent: Mapping[str, object],
    *,
    audit: bool = True,
) -> Mapping[str, object]:
    totals = iter([5, 5, 6])  # the counter lags a moment

    def script(_method: str, target: str, _body: bytes) -> Reply:
        if target == "/api/overrides/stats":
            return 200, {}, json.dumps({"total_overrides": next(totals, 6)}).encode()
        if audit:
            return 200, {}, json.dumps({"entries": ROWS, "total": 3}).encode()
        return 404, {}, b""

    evidence = {"traffic": sent} if sent else {}
    context = replace(context_at(serve(script)), evidence=evidence)
    assert CHECK.prepare(STEP, context) == {}
    return CHECK.measure(STEP, {}, context)


def test_measure_waits_for_the_counter_and_looks_at_its_own_requests(
    serve: Serve, context_at: Callable[[str], Context]
) -> None:
    facts = measured(serve, context_at, SENT)
    assert facts == {
        "expected": 1, "counted": 1, "sent_ids": 2, "audited_ids": 2, "audited_overrides": 1,
        "unmatched": 1,
    }  # fmt: skip
    assert CHECK.judge(STEP, facts).verdict is Verdict.GO


@pytest.mark.parametrize(
    ("sent", "audit"), [(SENT, False), ({**SENT, "request_ids": []}, True)], ids=["404", "no ids"]
)
def test_measure_without_an_audit_reads_the_counter_alone(
    serve: Serve, context_at: Callable[[str], Context], sent: Mapping[str, object], audit: bool
) -> None:
    facts = measured(serve, context_at, sent, audit=audit)
    assert (facts["counted"], facts["audited_ids"], facts["audited_overrides"]) == (1, None, None)


def test_measure_without_traffic_or_gateway_is_unmeasured(
    serve: Serve, context_at: Callable[[str], Context], closed_port: int
) -> None:
    assert "no verification traffic" in str(measured(serve, context_at, {})["unmeasured"])
    context = context_at(f"http://127.0.0.1:{closed_port}")
    facts = CHECK.measure(STEP, {}, replace(context, evidence={"traffic": SENT}))
    assert "does not answer" in str(facts["unmeasured"])
