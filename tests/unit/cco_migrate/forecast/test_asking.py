"""The gateway's forecast: how it is asked for, read, said and judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.forecast import text as forecast_text
from cco_migrate.forecast.asking import NoForecast, ask, read
from cco_migrate.forecast.blast_radius import BlastRadius, blast_radius
from cco_migrate.migrations import Inputs, model_overrides
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Basis, JsonObject
from cco_migrate.planning import basis
from cco_migrate.planning.outlook import BROKEN, check_forecast, waivers
from cco_migrate.planning.preflight import Mark

SONNET, HAIKU = "claude-sonnet-4-5", "claude-haiku-4-5"
OVERRIDES = f"""\
[overrides]
enabled = true
rules = [["{SONNET}", "{HAIKU}"]]
[agent_rules]
explore = "{HAIKU}"
""".encode()
PEAK: dict[str, Any] = {
    "provider": "anthropic", "model": HAIKU, "requests": 22, "input_tokens": 4000,
    "output_tokens": 1000, "limits": None,
}  # fmt: skip
COST: dict[str, Any] = {
    "now_usd": 0.0579, "then_usd": 0.0275, "change_usd": -0.0304, "interval_usd": None,
    "confidence": 0.95, "priced": 24, "subscription": 0,
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "window": {
        "start_time": "2026-11-21T10:00:00Z", "end_time": "2026-11-21T12:00:00Z",
        "requests": 24, "undecided": 0,
    },
    "matched": 21, "overridden": 20, "adapted": {"effort": 8}, "skipped": {"holdout": 1},
    "broken": {}, "limits_unknown": 0, "rules": [{"from": SONNET, "to": HAIKU, "requests": 20}],
    "live_sessions": {"conversations": 3, "switched": 2, "switching_cost_usd": 0.05},
    "peak_minutes": [PEAK], "cost": COST,
}  # fmt: skip
Reply = tuple[int, Mapping[str, str], bytes]


def test_question_carries_the_rules_and_the_token(
    serve: Callable[..., str], context_at: Callable[[str], Context]
) -> None:
    asked: list[tuple[str, str, Any]] = []

    def script(method: str, path: str, body: bytes) -> Reply:
        asked.append((method, path, json.loads(body)))
        return 200, {}, json.dumps(ANSWER).encode()

    context = context_at(serve(script))
    (context.instance.home / "admin-token").write_text("the-token\n")
    assert ask(context, OVERRIDES) == ANSWER
    rules = {"rules": [[SONNET, HAIKU]], "agent_rules": {"explore": HAIKU}}
    assert asked == [("POST", "/gateway/what-if", {"overrides": rules})]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"{}", "has no /gateway/what-if"),
        (401, b"{}", "answers 401"),
        (200, b"<html>", "what-if: "),
        (200, b'{"matched": 3}', "another shape"),
    ],
)
def test_answer_that_is_none_is_said(
    serve: Callable[..., str], context_at: Callable[[str], Context],
    status: int, body: bytes, said: str,
) -> None:  # fmt: skip
    context = context_at(serve(lambda _method, _path, _body: (status, {}, body)))
    (context.instance.home / "admin-token").write_text("the-token")
    with pytest.raises(NoForecast, match=said):
        ask(context, OVERRIDES)


def test_gateway_without_our_token_is_not_asked(
    context_at: Callable[[str], Context], closed_port: int
) -> None:
    with pytest.raises(NoForecast, match=r"admin-token: .* the question needs it"):
        ask(context_at(f"http://127.0.0.1:{closed_port}"), OVERRIDES)


@pytest.mark.parametrize(
    ("changed", "waived", "marks"),
    [
        ({}, "", [Mark.OK, Mark.OK, Mark.NOT_APPLICABLE, Mark.OK]),
        ({"window": {**ANSWER["window"], "requests": 0}}, "", [Mark.WARN]),
        (
            {"broken": {"no-provider": 2}, "peak_minutes": []},
            "",
            [Mark.OK, Mark.FAIL, Mark.OK, Mark.OK],
        ),
        (
            {"broken": {"no-provider": 2}, "peak_minutes": []},
            BROKEN,
            [Mark.OK, Mark.WARN, Mark.OK, Mark.OK],
        ),
        (
            {"limits_unknown": 3, "peak_minutes": []},
            "",
            [Mark.OK, Mark.WARN, Mark.OK, Mark.OK],
        ),
        (
            {"peak_minutes": [{**PEAK, "limits": {"requests": 50, "tokens": 5000}}]},
            "",
            [Mark.OK, Mark.OK, Mark.OK, Mark.OK],
        ),
        (
            {"peak_minutes": [{**PEAK, "limits": {"requests": 21}}]},
            "",
            [Mark.OK, Mark.OK, Mark.WARN, Mark.OK],
        ),
        (
            {"peak_minutes": [], "cost": {**COST, "priced": 0}},
            "",
            [Mark.OK, Mark.OK, Mark.NOT_APPLICABLE],
        ),
    ],
)
def test_forecast_is_judged(changed: Mapping[str, Any], waived: str, marks: list[Mark]) -> None:
    lines = check_forecast(read({**ANSWER, **changed}), waivers(waived))
    assert [line.mark for line in lines] == marks


def test_broken_requests_are_told_with_the_way_to_accept_them() -> None:
    broken = read({**ANSWER, "broken": {"no-provider": 2, "breaker-open": 1}})
    (failed,) = (line for line in check_forecast(broken, ()) if line.mark is Mark.FAIL)
    assert "3 recorded requests would break" in failed.text
    assert "no-provider 2×, breaker-open 1×" in failed.text
    assert "--waive broken-requests" in failed.text


def test_unknown_waiver_is_refused() -> None:
    with pytest.raises(InvalidInput, match="--waive everything: unknown; there is: broken-request"):
        waivers(f"{BROKEN}, everything")


def test_sentences_carry_their_figures() -> None:
    seen = read(ANSWER)
    assert forecast_text.matched(seen) == (
        "24 recorded requests: 21 match a rule, 20 would be overridden; adapted: effort 8×; "
        "skipped: holdout 1×; 0 would break"
    )
    assert forecast_text.sessions(seen) == (
        "3 live sessions, 2 would change the model (cache rewrites: $0.0500)"
    )
    assert forecast_text.cost(seen.cost) == (
        "24 priced requests: $0.0275 instead of $0.0579 (-52.5 %); too few sessions for an interval"
    )
    known = replace(seen.cost, interval=(Decimal("-0.04"), Decimal("0.01")))
    assert forecast_text.cost(known).endswith(
        "change between -$0.0400 and +$0.0100 at 95% confidence"
    )


def test_blast_radius_counts_only_who_asks_for_a_replaced_model() -> None:
    entries: list[JsonObject] = [
        {"requested_model": SONNET, "client": "cli/2", "user": "ann", "session_id": "a"},
        {"requested_model": SONNET, "client": "cli/2", "user": None, "session_id": "b"},
        {"requested_model": SONNET, "client": "cli/2", "user": None, "session_id": None},
        {"requested_model": HAIKU, "client": "other", "user": None, "session_id": "c"},
    ]
    radius = blast_radius(read(ANSWER), entries)
    assert radius == BlastRadius(("ann", "cli/2"), (SONNET,), 2, 10.0, 4)
    assert BlastRadius.from_json(json.loads(json.dumps(radius.to_json()))) == radius


def test_short_record_is_not_taken_for_an_hourly_rate_above_it() -> None:
    window = {**ANSWER["window"], "end_time": "2026-11-21T10:00:01Z"}
    assert blast_radius(read({**ANSWER, "window": window}), []).requests_per_hour == 20


def test_rows_of_the_report_name_each_thing_once_forecast_or_none() -> None:
    radius = blast_radius(read(ANSWER), []).to_json()
    basis = Basis("2026-11-21T12:00:00Z", "1", {}, (), (), ANSWER, radius)
    headings = [heading for heading, _ in forecast_text.rows(basis)]
    assert headings == ["Blast radius", "Recorded requests", "Live sessions", "Rate limits", "Cost"]
    assert forecast_text.rows(replace(basis, forecast=None)) == ()


def test_example_answer_is_what_the_schema_says() -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # slow to import

    root = Path(__file__).parents[4] / "schemas" / "answers" / "what-if.schema.json"
    Draft202012Validator(json.loads(root.read_bytes())).validate(ANSWER)


@pytest.mark.parametrize(
    ("answer", "waived", "mark", "notes"),
    [
        (None, "", Mark.NOT_APPLICABLE, basis.ASSUMED),
        (ANSWER, "", Mark.OK, ()),
        (ANSWER, BROKEN, Mark.OK, ()),
        ({**ANSWER, "broken": {"no-provider": 2}}, "", Mark.FAIL, ()),
        ({**ANSWER, "broken": {"no-provider": 2}}, BROKEN, Mark.WARN, (f"waived: {BROKEN}",)),
    ],
)
def test_plan_carries_the_forecast_what_was_waived_and_what_is_assumed(
    serve: Callable[..., str], context_at: Callable[[str], Context],
    answer: Mapping[str, Any] | None, waived: str, mark: Mark, notes: tuple[str, ...],
) -> None:  # fmt: skip
    def script(method: str, _path: str, _body: bytes) -> Reply:
        said = answer if method == "POST" else None
        return (404, {}, b"{}") if said is None else (200, {}, json.dumps(said).encode())

    context = context_at(serve(script))
    (context.instance.home / "admin-token").write_text("the-token")
    files = {**dict.fromkeys(ConfigName), ConfigName.OVERRIDES: OVERRIDES}
    inputs = Inputs(
        context.instance, files, fix=False, replace=False, known_models=(),
        verification=Verification(),
    )  # fmt: skip
    made = basis.founded(model_overrides.plan(inputs), inputs, context)
    plan, lines = basis.forecast(made, inputs, context, waivers(waived))
    assert mark in {line.mark for line in lines}
    assert plan.notes == (*made.notes, *notes)
    assert plan.basis is not None
    assert plan.basis.forecast == answer
