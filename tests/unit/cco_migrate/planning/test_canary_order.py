"""The canary as it is typed: what is asked for, what makes no sense, and what can be foretold."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cco_migrate.client import AUDIT_FIELDS
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import InvalidInput
from cco_migrate.judge.criterion import Mode
from cco_migrate.migrations import Inputs
from cco_migrate.migrations.inputs import Cutover, Verification
from cco_migrate.planning.canary_order import check_canary, ordered
from cco_migrate.planning.preflight import Mark
from cco_migrate.session import MigrateOptions

OPTIONS = MigrateOptions(kind="gateway-cutover", phase=2, canary="5,50")
WAIVED = replace(OPTIONS, waive="error-rate", why="a demo")


def inputs_of(context: Context) -> Inputs:
    return Inputs(
        context.instance, dict.fromkeys(ConfigName), fix=False, replace=True, known_models=(),
        verification=Verification(models=("m",), credential="demo"), cutover=Cutover(phase=2),
    )  # fmt: skip


@pytest.fixture
def context(context_at: Callable[[str], Context]) -> Context:
    return context_at("http://127.0.0.1:3000")


def test_shares_are_watched_for_half_an_hour_unless_something_else_is_asked_for(
    context: Context,
) -> None:
    made = ordered(replace(WAIVED, soak_requests=9), inputs_of(context), context)
    assert made is not None
    assert (made.shares, made.soak.bake_s, made.soak.offer.requests) == ((5, 50), 1800, 9)
    observed = {c.id for c in made.soak.criteria if c.mode is Mode.OBSERVE}
    assert observed == {"error-rate", "audit-gaps"}  # the latter is so by itself
    other = ordered(replace(OPTIONS, canary_soak="2h"), inputs_of(context), context)
    assert other is not None
    assert other.soak.bake_s == 7200
    assert ordered(replace(OPTIONS, canary=""), inputs_of(context), context) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"canary": "", "canary_soak": "5m"}, "--canary-soak: belongs to --canary"),
        ({"phase": 1}, "--canary: belongs to --phase 2; this is phase 1"),
        ({"canary": "50,5"}, "does not rise"),
        ({"canary_soak": "5 minutes"}, "--canary-soak 5 minutes: write a number with"),
        ({"soak_interval": "2h"}, "--soak-interval 2h: longer than the bake time"),
        ({"waive": "error-rate"}, "needs --why"),
        ({"waive": "nonsense"}, "--waive nonsense: unknown"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    context: Context, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        ordered(replace(OPTIONS, **changed), inputs_of(context), context)


def test_each_stage_is_foretold_by_its_share_of_the_traffic(
    context_at: Callable[[str], Context], serve: Callable[..., str]
) -> None:
    """Two streams a second: enough for streaming-failures at half of it, not at a twentieth."""
    now = datetime.now(UTC)
    told = {**dict.fromkeys(AUDIT_FIELDS), "success": True, "status": 200, "stream": True}
    entries = [
        {**told, "id": number, "timestamp": (now - timedelta(seconds=number / 2)).isoformat()}
        for number in range(1000)
    ]
    answer = json.dumps({"entries": entries, "total": len(entries)}).encode()
    context = context_at(serve(lambda *_: (200, {}, answer)))
    made = ordered(replace(OPTIONS, canary_soak="2m"), inputs_of(context), context)
    assert made is not None
    found = {
        step: line
        for step, line in check_canary(made, context)
        if "streaming-failures" in line.text
    }
    assert {step: line.mark for step, line in found.items()} == {
        "canary-5": Mark.FAIL,
        "canary-50": Mark.OK,
    }
    assert found["canary-5"].text.startswith("canary of 5 %: streaming-failures needs ")
