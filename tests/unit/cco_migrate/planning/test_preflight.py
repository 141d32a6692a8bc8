"""What the preflight says about prices: how old they are, whose they are, which the files add."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.checks.configuration import findings
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.costs import CostTracking
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.inputs import Verification
from cco_migrate.model import Instance
from cco_migrate.planning.preflight import Mark
from cco_migrate.planning.prices_preflight import (
    MAX_CHARGE_AGE,
    MAX_PRICE_AGE_DAYS,
    check_charges,
    check_prices,
)
from cco_migrate.verdict import Severity

TAKEN = CostTracking().prices().as_of
PATH = Path("model-overrides.toml")
RULES = b'[overrides]\nrules = [["claude-sonnet-4-5", "house-model"]]\n'
HOUSE = b'{"llmGateway": {"costTracking": {"pricingOverrides": {"house-model": {%s}}}}}'


@pytest.mark.parametrize(
    ("age_days", "marks"),
    [(0, []), (MAX_PRICE_AGE_DAYS, []), (MAX_PRICE_AGE_DAYS + 1, [Mark.WARN])],
)
def test_old_prices_are_warned_about(
    instance_at: Callable[[str], Instance], age_days: int, marks: list[Mark]
) -> None:
    files = dict.fromkeys(ConfigName)
    inputs = Inputs(
        instance_at("http://127.0.0.1:9"), files, fix=False, replace=True, known_models=(),
        verification=Verification(),
    )  # fmt: skip
    lines = check_prices(inputs, TAKEN + timedelta(days=age_days))
    assert [line.mark for line in lines] == marks
    for line in lines:
        assert f"the prices are of {TAKEN}, {age_days} days old" in line.text


@pytest.mark.parametrize(
    ("orchestra", "rules"),
    [
        (None, {"override-unknown-target": "warning", "override-unpriced-target": "warning"}),
        (HOUSE % b'"inputPerMillion": 1, "outputPerMillion": 2', {}),
        (
            HOUSE % b'"inputPerMillion": 1',
            {
                "override-unknown-target": "warning",
                "override-unpriced-target": "warning",
                "cost-unknown-model": "error",
            },
        ),
        (
            b'{"llmGateway": {"costTracking": {"enabled": false}}}',
            {
                "override-unknown-target": "warning",
                "override-unpriced-target": "warning",
                "cost-switched-off": "warning",
            },
        ),
    ],
)
def test_model_with_prices_of_the_files_is_known_and_priced(
    orchestra: bytes | None, rules: Mapping[str, str]
) -> None:
    files = {ConfigName.OVERRIDES: RULES, ConfigName.ORCHESTRA: orchestra}
    found = findings(files, PATH, None)
    assert {one.rule: one.severity for one in found} == {
        rule: Severity(severity) for rule, severity in rules.items()
    }


Reply = tuple[int, dict[str, str], bytes]
OTHER = {
    ConfigName.ORCHESTRA: HOUSE.replace(b"house-model", b"claude-haiku-4-5")
    % b'"inputPerMillion": 2, "outputPerMillion": 10'
}


def row(cost_usd: float | None, **more: object) -> dict[str, Any]:
    return {
        "request_id": "a", "requested_model": "claude-haiku-4-5", "model": "claude-haiku-4-5",
        "stream": False, "cost_usd": cost_usd, "input_tokens": 1000, "output_tokens": 100,
        "cache_write_tokens": 0, "cache_read_tokens": 0, "terms": [], "cache": None, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "files", "warned"),
    [
        ([row(0.0015)], {}, False),
        ([row(0.003)], {}, True),
        ([row(0.003)], OTHER, False),  # the configuration says so, and the gateway reads it, too
        ([row(0.0015)], OTHER, True),
        ([row(0.0015), row(0.003)], {}, False),  # the newest first: prices have changed since
        ([row(0.003, timestamp="yesterday")], {}, True),  # when, nobody can say: it may be now
        ([row(0.003, timestamp="2020-01-01T00:00:00")], {}, True),
        ([row(None)], {}, False),
        ([row(9, cache="hit"), row(9, terms=["batch"]), row(9, model="house-model")], {}, False),
        ([row(9, client="cco-migrate verification")], {}, False),
        ([], {}, False),
        (None, {}, False),
    ],
)
def test_gateway_that_bills_by_other_prices_is_warned_about_before_anything_is_changed(
    serve: Callable[[Callable[[str, str, bytes], Reply]], str],
    context_at: Callable[[str], Context],
    rows: list[dict[str, Any]] | None,
    files: Mapping[ConfigName, bytes],
    *,
    warned: bool,
) -> None:
    body = json.dumps({"entries": rows}).encode()
    context = context_at(serve(lambda *_: (200 if rows is not None else 500, {}, body)))
    inputs = Inputs(
        context.instance, {**dict.fromkeys(ConfigName), **files}, fix=False, replace=True,
        known_models=(), verification=Verification(),
    )  # fmt: skip
    lines = check_charges(inputs, context)
    assert [line.mark for line in lines] == [Mark.WARN] * warned
    for line in lines:
        assert f"of claude-haiku-4-5 is not what its tokens cost by the prices of {TAKEN}" in (
            line.text
        )
        assert "costTracking.pricingOverrides" in line.text


@pytest.mark.parametrize(
    ("age", "warned"),
    [
        (timedelta(0), True),
        (MAX_CHARGE_AGE - timedelta(minutes=1), True),
        (MAX_CHARGE_AGE + timedelta(minutes=1), False),
        (timedelta(days=365), False),
    ],
    ids=str,
)
def test_charge_of_long_ago_says_nothing_of_the_prices_now(
    serve: Callable[[Callable[[str, str, bytes], Reply]], str],
    context_at: Callable[[str], Context],
    age: timedelta,
    *,
    warned: bool,
) -> None:
    at = (datetime.now(UTC) - age).isoformat()
    body = json.dumps({"entries": [row(0.003, timestamp=at)]}).encode()
    context = context_at(serve(lambda *_: (200, {}, body)))
    inputs = Inputs(
        context.instance, dict.fromkeys(ConfigName), fix=False, replace=True,
        known_models=(), verification=Verification(),
    )  # fmt: skip
    assert [line.mark for line in check_charges(inputs, context)] == [Mark.WARN] * warned


@pytest.mark.parametrize("cost_usd", [0, 1.5])
def test_charge_that_no_price_explains_is_not_put_down_to_prices(
    serve: Callable[[Callable[[str, str, bytes], Reply]], str],
    context_at: Callable[[str], Context],
    cost_usd: float,
) -> None:
    body = json.dumps({"entries": [row(cost_usd)]}).encode()
    context = context_at(serve(lambda *_: (200, {}, body)))
    inputs = Inputs(
        context.instance, dict.fromkeys(ConfigName), fix=False, replace=True,
        known_models=(), verification=Verification(),
    )  # fmt: skip
    (line,) = check_charges(inputs, context)
    assert "pricingOverrides" not in line.text
