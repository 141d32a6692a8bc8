"""Did the cost fall? Tokens are priced here again, and every charge is compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from cco_migrate.checks.cost import CostFell
from cco_migrate.context import Context
from cco_migrate.model import Step
from cco_migrate.verdict import Verdict

Reply = tuple[int, dict[str, str], bytes]
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]

CHECK = CostFell()
STEP = Step(11, "cost", "cost", "cost.fell")
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
AUDIT: Mapping[str, object] = {
    "method": "audit", "overridden": 20, "wrong": 0, "unpriced": [], "billed_usd": "0.07",
    "computed_usd": "0.07", "before_usd": "0.21", "prices_as_of": "2026-11-21",
}  # fmt: skip
TOTALS: Mapping[str, object] = {"method": "totals", "targets": [HAIKU], "target_calls": 3}


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (AUDIT, Verdict.GO, "$0.0700 instead of $0.2100 (-66.7 %) for 20 requests"),
        ({**AUDIT, "billed_usd": "0.21"}, Verdict.NO_GO, "(+0.0 %)"),
        ({**AUDIT, "billed_usd": "0.42"}, Verdict.NO_GO, "(+100.0 %)"),
        (
            {**AUDIT, "wrong": 2, "billed_usd": "0.09"},
            Verdict.NO_GO,
            "2 requests billed $0.090000, tokens at list price give $0.070000",
        ),
        (
            {**AUDIT, "wrong": 2, "wrong_models": ["m", "n"]},
            Verdict.NO_GO,
            "(prices of m, n as of 2026-11-21); if the gateway bills by other prices, install",
        ),
        ({**AUDIT, "unpriced": ["m", "n"]}, Verdict.INCONCLUSIVE, "no price for m, n"),
        ({**AUDIT, "overridden": 0}, Verdict.INCONCLUSIVE, "no overridden request to price"),
        (TOTALS, Verdict.GO, f"3 calls billed to {HAIKU}; amounts not recomputed"),
        ({**TOTALS, "target_calls": 0}, Verdict.NO_GO, "0 calls billed"),
        ({"unmeasured": "no answer"}, Verdict.INCONCLUSIVE, "no answer"),
    ],
)
def test_judge(facts: Mapping[str, object], verdict: Verdict, said: str) -> None:
    judgement = CHECK.judge(STEP, facts)
    assert judgement.verdict is verdict
    assert said in judgement.summary.replace("-0.0", "+0.0")


def row(cost: float | None, **more: object) -> dict[str, object]:
    return {
        "request_id": "a", "requested_model": SONNET, "model": HAIKU, "stream": False,
        "cost_usd": cost, "input_tokens": 1000, "output_tokens": 500, "cache_write_tokens": 0,
        "cache_read_tokens": 0, **more,
    }  # fmt: skip


WRITTEN = {"input_tokens": 0, "output_tokens": 0, "cache_write_tokens": 1_000_000}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(0.0035)], {"overridden": 1, "wrong": 0, "before_usd": "0.0105"}),
        ([row(0.0035), row(0.0035)], {"overridden": 2, "computed_usd": "0.0070"}),
        ([row(0.0035 + 9e-7)], {"wrong": 0}),
        ([row(0.0035 + 2e-6)], {"wrong": 1}),
        ([row(0.0105)], {"wrong": 1, "wrong_models": [HAIKU]}),
        ([row(0)], {"wrong": 1, "billed_usd": "0"}),
        ([row(0.0105, model=SONNET)], {"overridden": 0, "before_usd": "0"}),
        ([row(1.25, **WRITTEN)], {"wrong": 0}),
        ([row(2, **WRITTEN)], {"wrong": 0}),
        ([row(1.2, **WRITTEN)], {"wrong": 1}),
        ([row(2.1, **WRITTEN)], {"wrong": 1}),
        ([row(0.001, cache_read_tokens=None, input_tokens=1000, output_tokens=0)], {"wrong": 0}),
        ([row(0.1, model="house-model")], {"unpriced": ["house-model"]}),
        ([row(0.1, requested_model="old-model")], {"unpriced": ["old-model"]}),
        ([row(None)], {"unpriced": [HAIKU]}),
    ],
)
def test_measure_prices_the_audited_tokens(
    serve: Serve,
    context_at: Callable[[str], Context],
    rows: list[dict[str, object]],
    expected: Mapping[str, object],
) -> None:
    body = json.dumps({"entries": rows}).encode()
    context = context_at(serve(lambda *_: (200, {}, body)))
    sent = {"request_ids": ["a"], "baseline": {"models": {}}}
    facts = CHECK.measure(STEP, {}, replace(context, evidence={"traffic": sent}))
    assert {name: facts[name] for name in expected} == expected
    assert facts["method"] == "audit"


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([{"name": HAIKU, "calls": 7, "cost": 1}], {**TOTALS, "target_calls": 5}),
        ([], {**TOTALS, "target_calls": -2}),
        (None, {"unmeasured": "this gateway tells neither audit nor cost per model"}),
    ],
)
def test_measure_without_an_audit_counts_calls_of_the_targets(
    serve: Serve,
    context_at: Callable[[str], Context],
    models: object,
    expected: Mapping[str, object],
) -> None:
    def script(_method: str, target: str, _body: bytes) -> Reply:
        found = target == "/api/machine/stats"
        return (200, {}, json.dumps({"models": models}).encode()) if found else (404, {}, b"")

    sent = {
        "request_ids": ["a"], "baseline": {"models": {HAIKU: 2}}, "expected_targets": [HAIKU],
    }  # fmt: skip
    context = replace(context_at(serve(script)), evidence={"traffic": sent})
    assert CHECK.prepare(STEP, context) == {}
    assert CHECK.measure(STEP, {}, context) == expected


def test_measure_without_traffic_or_gateway_is_unmeasured(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    context = context_at(f"http://127.0.0.1:{closed_port}")
    assert "no verification traffic" in str(CHECK.measure(STEP, {}, context)["unmeasured"])
    sent = {"request_ids": ["a"]}
    facts = CHECK.measure(STEP, {}, replace(context, evidence={"traffic": sent}))
    assert "does not answer" in str(facts["unmeasured"])


OVERRIDES = '{"llmGateway": {"costTracking": {"pricingOverrides": {%s}}}}'


@pytest.mark.parametrize(
    ("orchestra", "rows", "expected"),
    [
        (
            OVERRIDES % f'"{HAIKU}": {{"inputPerMillion": 0.7, "outputPerMillion": 0.1}}',
            [row(0.00075)],
            {"wrong": 0, "computed_usd": "0.00075", "before_usd": "0.0105"},
        ),
        (OVERRIDES % f'"{HAIKU}": {{"inputPerMillion": 0.7}}', [row(0.0035)], {"wrong": 1}),
        (
            OVERRIDES % '"house": {"inputPerMillion": 0, "outputPerMillion": 0}',
            [row(0, model="house")],
            {"wrong": 0, "unpriced": []},
        ),
        (
            '{"llmGateway": {"costTracking": {"enabled": false}}}',
            [row(None)],
            {"unmeasured": "llmGateway.costTracking.enabled is false: no cost is known"},
        ),
    ],
)
def test_measure_uses_the_prices_of_the_gateways_file(
    serve: Serve,
    context_at: Callable[[str], Context],
    orchestra: str,
    rows: list[dict[str, object]],
    expected: Mapping[str, object],
) -> None:
    body = json.dumps({"entries": rows}).encode()
    context = context_at(serve(lambda *_: (200, {}, body)))
    (context.instance.config_dir / "orchestra-config.json").write_text(orchestra)
    sent = {"request_ids": ["a"], "baseline": {"models": {}}}
    facts = CHECK.measure(STEP, {}, replace(context, evidence={"traffic": sent}))
    assert {name: facts[name] for name in expected} == expected


def test_measure_with_a_faulty_file_of_prices_is_unmeasured(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    context = context_at(f"http://127.0.0.1:{closed_port}")
    (context.instance.config_dir / "orchestra-config.json").write_text("{")
    sent = {"request_ids": ["a"]}
    facts = CHECK.measure(STEP, {}, replace(context, evidence={"traffic": sent}))
    assert "orchestra-config.json:1: syntax error" in str(facts["unmeasured"])
